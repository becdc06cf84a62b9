"""One-line messages about SLURM jobs that failed or never start, with advice.

Snakemake prints a page about every failed job, but not SLURM's message for grouped jobs. A job that
can never start waits forever, and nothing is printed. So :class:`Failures` listens to the executor
of the SLURM plugin, and watches the queue.
"""

import logging
import re
import subprocess
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo

from semantic_tokens.jobs.cluster.keys import MEMORY_KEY, TIME_KEY

#: SLURM's reasons for waiting jobs that can never start.
_NEVER = re.compile(
    r"PartitionTimeLimit|PartitionNodeLimit|BadConstraints|InvalidAccount|InvalidQOS"
    r"|(QOS|Assoc)(Max|Min)\w*PerJob(Limit)?|(QOS|Assoc)MaxWall\w*|(QOS|Assoc)Min\w+"
)
#: SLURM's reasons for jobs that wait for an administrator, a node or a person.
_HELD = re.compile(r"JobHeld\w+|ReqNodeNotAvail|Nodes required for job are DOWN|launch failed")
#: SLURM's names of the limits of an account or a quality of service.
_LIMIT = re.compile(r"\b(?:QOS|Assoc)\w+")
#: SLURM's answers to a submission when too many jobs are queued.
_QUEUE_IS_FULL = re.compile(r"\b(?:QOS|Assoc)\w*Submit\w*|temporarily un(?:able|available)")
#: The time until a job is submitted again after the queue was full.
_SECONDS_UNTIL_NEXT_SUBMISSION = 60.0
#: Signs in the log of a job that was killed because of its memory.
_MEMORY_EXCEEDED = re.compile(r"oom.kill|exceeded memory limit|Out Of Memory", re.IGNORECASE)
#: The rules that pass data through a model in batches of `device_batch_size`.
_TRAINING = {"pretrain", "measure_pretraining", "fine_tune"}
#: The rules that continue from a checkpoint.
_CONTINUING = {"pretrain", "fine_tune"}
_TIMESTAMP = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ ")


@dataclass(frozen=True)
class Job:
    """A job, with the information for an error message.

    Attributes:
        rules: the rules of the job, or of the grouped jobs.
        name: its wildcards, as in its paths.
        resources: the requested resources.
        threads: the number of requested CPUs.
        logs: the jobs' own logs, of unfinished jobs.
        slurm_log: the output of SLURM and Snakemake.
        sharing: the number of grouped jobs.
    """

    rules: tuple[str, ...]
    name: str
    resources: Mapping[str, Any] = field(default_factory=dict)
    threads: int = 1
    logs: tuple[Path, ...] = ()
    slurm_log: Path | None = None
    sharing: int = 1

    @property
    def title(self) -> str:
        return f"{'+'.join(self.rules)} ({self.name})" if self.name else "+".join(self.rules)

    @property
    def partition(self) -> str:
        name = self.resources.get("slurm_partition")
        return f"partition `{name}`" if name else "the default partition"


def refusal(job: Job, said: str, limit: str | None = None) -> str:
    """The message about a job that was not submitted.

    Args:
        said: the message of ``sbatch``, or of the plugin, which checks accounts first.
        limit: the time limit of the partition, if it is known.
    """
    errors = re.findall(r"error: (.*)", said)
    reason = errors[-1] if errors else " ".join(said.split())
    reason = reason.removeprefix("Batch job submission failed: ").strip().rstrip(".")
    name = _LIMIT.search(said)
    if name and name[0] not in reason:
        reason = f"{reason}: {name[0]}"
    if _QUEUE_IS_FULL.search(said) or (name is None and "policy" in reason):
        remedy = "lower `jobs` in the profile, or request less"
    elif name:
        remedy = _limit_remedy(job, name[0], limit)
    else:
        remedy = _refusal_remedy(job, reason, limit)
    return f"{job.title} was not submitted: {reason}; {remedy}"


def _refusal_remedy(job: Job, reason: str, limit: str | None) -> str:
    """What to do after ``sbatch`` refused a job for a reason other than a named limit."""
    remedies = {
        "node configuration": f"no node of {job.partition} has {_asked(job)}; name another "
        "partition in `set-resources` of the profile, or request less",
        "more processors": f"no node of {job.partition} has {_asked(job)}; lower `set-threads`",
        "CPU count": f"no node of {job.partition} has {_asked(job)}; lower `set-threads`",
        "Memory specification": f"no node of {job.partition} has {_asked(job)}; "
        f"{_memory_change(job.rules, 'lower')}, or name another partition",
        "time limit": _time_remedy(job, limit),
        "account": "`sacctmgr show associations user=$USER` lists yours; fix `slurm_account` in "
        "the profile",
        "partition": "`sinfo` lists the partitions; fix `slurm_partition` in the profile",
        "qos": "fix `qos` in the profile",
        "gres": "`sinfo -o '%P %G'` lists the GPUs; fix `gpu_model` or `gres` in the profile",
        "GRES": "`sinfo -o '%P %G'` lists the GPUs; fix `gpu_model` or `gres` in the profile",
        "contact": "the same command continues when SLURM answers again",
        "Socket": "the same command continues when SLURM answers again",
    }
    return next(
        (text for sign, text in remedies.items() if sign in reason),
        "fix what it names in the profile (docs/cluster.md)",
    )


def ending(job: Job, slurm_id: str, information: Mapping[str, str]) -> str:
    """The message about a job that started and failed.

    Args:
        information: SLURM's information: ``State``, and if known ``Partition``, ``TimeLimit`` and
            ``NodeList``.
    """
    state = information.get("State", "FAILED").partition(" ")[0]
    where = information.get("NodeList", "")
    node = f" on {where}" if where and where not in ("(null)", "None assigned") else ""
    begin = f"{job.title}: SLURM job {slurm_id}"
    log = _last_lines(job.slurm_log)
    if state == "OUT_OF_MEMORY" or _MEMORY_EXCEEDED.search(log):
        smaller = ", or lower `device_batch_size`" if _TRAINING.intersection(job.rules) else ""
        return (
            f"{begin} was killed{node}, because it exceeded its memory of "
            f"{job.resources.get('mem_mb', '?')} MB; {_memory_change(job.rules, 'raise')}{smaller}"
        )
    if state == "TIMEOUT":
        limit = information.get("TimeLimit") or f"{job.resources.get('runtime', '?')} minutes"
        again = (
            ", or give the same command again: a training continues from its checkpoint"
            if _CONTINUING.intersection(job.rules)
            else ""
        )
        return f"{begin} reached its time limit of {limit}; {_time_change(job.rules)}{again}"
    if state in ("NODE_FAIL", "BOOT_FAIL"):
        return (
            f"{begin} lost its node{node} ({state}); the same command runs it again, and "
            f"`--slurm-exclude-failed-nodes {where or 'NODE'}` avoids this node"
        )
    if state in ("CANCELLED", "PREEMPTED", "REVOKED", "DEADLINE"):
        return f"{begin} was ended by SLURM ({state}); the same command runs it again"
    for path in job.logs:
        if last := _last_lines(path, 1):
            return f"{begin} failed{node}: {last} ({path})"
    rest = f"; its log is {job.slurm_log}" if job.slurm_log else ""
    return f"{begin} ended as {state}{node} before it wrote its log{rest}"


def never_starts(job: Job, slurm_id: str, reason: str, limit: str | None = None) -> str:
    """The message about a job that waits for a reason that will not change."""
    remedy = _limit_remedy(job, reason, limit)
    return (
        f"{job.title}: SLURM job {slurm_id} could not start ({reason}) and was cancelled; {remedy}"
    )


def _limit_remedy(job: Job, name: str, limit: str | None) -> str:
    """What to do about a limit, by SLURM's name of it."""
    if name == "PartitionTimeLimit":
        return _time_remedy(job, limit)
    if "Wall" in name:
        return "lower `runtime_minutes.maximum` in the config to what yours allows"
    if name in ("InvalidAccount", "InvalidQOS"):
        return "fix `slurm_account` or `qos` in the profile"
    return f"it requests {_asked(job)} in {job.partition}; request less, or name another"


def _asked(job: Job) -> str:
    resources = job.resources
    parts = [f"{job.threads} CPU{'s' * (job.threads != 1)}"]
    if cpus := resources.get("cpus_per_task"):
        parts = [f"{cpus} CPUs"]
    if memory := resources.get("mem_mb"):
        parts.append(f"{memory} MB")
    if gpus := resources.get("gpu"):
        model = f" of type `{resources['gpu_model']}`" if resources.get("gpu_model") else ""
        parts.append(f"{gpus} GPU{'s' * (gpus != 1)}{model}")
    elif gres := resources.get("gres"):
        parts.append(f"`{gres}`")
    return ", ".join(parts) + " on one node"


def _time_remedy(job: Job, limit: str | None) -> str:
    allows = f" allows {limit}" if limit else " allows less"
    minutes = job.resources.get("runtime", "?")
    shared = ", or lower `group-components` in the profile" if job.sharing > 1 else ""
    return (
        f"it requests {minutes} minutes, and {job.partition}{allows}; set `runtime_minutes.maximum` "
        f"in the config to that{shared}, or name another partition in `set-resources` of the profile"
    )


def _memory_change(rules: Iterable[str], verb: str) -> str:
    """What to change for a job of these rules to request more or less memory."""
    return _change(rules, MEMORY_KEY, f"{verb} `memory_mb.{{}}` in the config", "mem_mb")


def _time_change(rules: Iterable[str]) -> str:
    """What to change for a job of these rules to request more time."""
    in_config = "raise `runtime_minutes.{}` (and `runtime_minutes.maximum`) in the config"
    return _change(rules, TIME_KEY, in_config, "runtime")


def _change(rules: Iterable[str], keys: Mapping[str, str], in_config: str, resource: str) -> str:
    """The change of the config's key for each rule, or of the profile if a rule has none."""
    changes = dict.fromkeys(
        in_config.format(keys[rule])
        if rule in keys
        else f"set `{rule}: {{{resource}: …}}` under `set-resources` in the profile"
        for rule in rules
    )
    return " and ".join(changes)


def _last_lines(path: Path | None, count: int = 20) -> str:
    """The last non-empty lines of a log, without times; empty without a log."""
    if path is None:
        return ""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    kept = [_TIMESTAMP.sub("", line).strip() for line in lines if line.strip()]
    return "\n".join(line[:500] for line in kept[-count:])


class Failures:
    """Listens to the SLURM plugin, and collects a message for each job that failed for good."""

    def __init__(self) -> None:
        self._lines: dict[str, str] = {}
        #: Of each job, the message about its last attempt that started.
        self._ended: dict[str, str] = {}
        self._jobs: dict[str, Any] = {}
        self._never: dict[str, str] = {}
        self._seen: dict[str, tuple[str, str]] = {}
        self._says_full = False
        self._log: logging.Logger | None = None
        self._executor: Any = None

    def watch(self, executor: Any, log: logging.Logger) -> None:
        """Listen to the executor, and watch the queue of its jobs."""
        self._executor, self._log = executor, log
        submitted, failed = executor.report_job_submission, executor.report_job_error

        def report_job_submission(job_info: Any, *args: Any, **named: Any) -> None:
            if job_info.external_jobid is not None:
                self._jobs[job_info.external_jobid] = job_info
            submitted(job_info, *args, **named)

        def report_job_error(job_info: Any, msg: str | None = None, **named: Any) -> None:
            try:
                if job_info.external_jobid is None and self._submits_later(job_info, msg or ""):
                    return
                self._note(job_info, msg or "")
            except Exception as error:  # Snakemake must always receive the failure
                log.warning("a failed job cannot be described (%s)", error)
            failed(job_info, msg=msg, **named)

        run_job = executor.run_job

        def run_job_or_report(job: Any) -> None:
            try:
                run_job(job)
            except Exception as error:
                # Version 2.8 of the plugin fails when it reports grouped jobs, and Snakemake would
                # wait for them forever.
                cause = error.__context__ or error
                executor._report_job_error_threadsafe(
                    SubmittedJobInfo(job), f"Job submission failed with exception: {cause}"
                )

        executor.run_job = run_job_or_report
        executor.report_job_submission = report_job_submission
        executor.report_job_error = report_job_error
        threading.Thread(target=self._look_at_the_queue, daemon=True).start()

    def tell(self) -> None:
        """Log the messages of the jobs that failed for good, if there are any."""
        if self._log is None or not self._lines:
            return
        count = len(self._lines)
        self._log.error(f"\n{count} job{'s' * (count > 1)} failed. Finished results are kept.")
        for line in self._lines.values():
            self._log.error(f"- {line}")

    def _submits_later(self, job_info: Any, message: str) -> bool:
        """Whether the queue is full of this user's jobs, so that the job is submitted again later.

        Snakemake is not told, so it counts no attempt.
        """
        full = _QUEUE_IS_FULL.search(_said(message))
        if full is None or not _answer("squeue", "--me", "--noheader", "--format=%i").strip():
            return False
        if not self._says_full and self._log is not None:
            self._log.warning(
                f"SLURM takes no more of your jobs for now ({full[0]}): "
                f"{described(job_info).title} and later ones are submitted when it does. "
                "To avoid this, lower `jobs` in the profile."
            )
        self._says_full = True
        later = threading.Timer(_SECONDS_UNTIL_NEXT_SUBMISSION, self._submit, [job_info.job])
        later.daemon = True
        later.start()
        return True

    def _submit(self, job: Any) -> None:
        """Submit a job, unless the run has ended meanwhile."""
        if self._executor.wait:
            self._executor.run_job(job)

    def _note(self, job_info: Any, message: str) -> None:
        job, slurm_id = described(job_info), job_info.external_jobid
        key = " ".join(map(str, job_info.job.output))
        has_started = slurm_id is not None and slurm_id not in self._never
        if slurm_id is None:
            # The submission failed; another attempt would fail too, unless SLURM was busy.
            if chosen := re.search(r"^\s+sbatch .*? -p (\S+)", message, re.MULTILINE):
                job = in_partition(job, chosen[1])
            limit = partition_limit(job.resources.get("slurm_partition"))
            line = refusal(job, _said(message), limit)
            if not re.search("contact|Socket", line) and not _QUEUE_IS_FULL.search(line):
                _give_up(job_info.job)
        elif slurm_id in self._never:
            line = self._never[slurm_id]
            _give_up(job_info.job)
        else:
            information = slurm_information(slurm_id)
            if "State" not in information and (
                state := re.search(r"status is: '([A-Z_]+)", message)
            ):
                information = {**information, "State": state[1]}
            line = ending(job, slurm_id, information)
        if has_started:
            self._ended[key] = line
        elif earlier := self._ended.get(key):  # the cause, which only the first attempts show
            line = f"{earlier}. The next attempt{line.removeprefix(job.title)}"
        self._lines.pop(key, None)
        if job_info.job.restart_times > job_info.job.attempt - 1:
            assert self._log is not None
            self._log.warning(f"{line}. It is submitted again.")
        else:
            self._lines[key] = line

    def _look_at_the_queue(self) -> None:
        # The interval at which the plugin checks for finished jobs.
        seconds = self._executor.workflow.executor_settings.init_seconds_before_status_checks
        pause = threading.Event()
        while not pause.wait(seconds):
            try:
                self._look()
            except (OSError, subprocess.SubprocessError) as error:
                assert self._log is not None
                self._log.debug(f"squeue: {error}")

    def _look(self) -> None:
        assert self._log is not None
        rows = _answer(
            *("squeue", "--noheader", "--states=PENDING,RUNNING", "--format=%i|%T|%r|%P"),
            f"--name={self._executor.run_uuid}",
        )
        for row in rows.splitlines():
            slurm_id, state, reason, partition = row.strip().split("|", 3)
            if slurm_id not in self._jobs or slurm_id in self._never:
                continue
            before = self._seen.get(slurm_id)
            self._seen[slurm_id] = (state, reason)
            title = described(self._jobs[slurm_id]).title
            if before is not None and before[0] == "RUNNING" and state == "PENDING":
                self._log.warning(
                    f"{title}: SLURM job {slurm_id} lost its node and waits in the queue again "
                    f"({reason}); a training continues from its checkpoint"
                )
            elif state == "PENDING" and _NEVER.fullmatch(reason) and before == (state, reason):
                job = in_partition(described(self._jobs[slurm_id]), partition)
                self._never[slurm_id] = never_starts(
                    job, slurm_id, reason, partition_limit(partition)
                )
                _answer("scancel", slurm_id)
            elif state == "PENDING" and _HELD.match(reason) and before != (state, reason):
                self._log.warning(
                    f"{title}: SLURM job {slurm_id} waits ({reason}); it starts when that is "
                    f"over, and `scancel {slurm_id}` cancels it"
                )


def described(job_info: Any) -> Job:
    """The job of the executor's ``SubmittedJobInfo``.

    For grouped jobs, only those whose outputs are missing.
    """
    job = job_info.job
    members = list(job) if job.is_group() else [job]
    unfinished = [m for m in members if not all(Path(path).exists() for path in m.output)]
    members = unfinished or members
    # The run's folder ends with a slash; it is empty for the run without a name.
    names = ["".join(f"{part}/" for part in member.wildcards) for member in members]
    names = [name.replace("//", "/").strip("/") for name in names]
    shown = names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
    logfile = (job_info.aux or {}).get("slurm_logfile")
    return Job(
        rules=tuple(dict.fromkeys(member.rule.name for member in members)),
        name=shown,
        resources=dict(job.resources.items()),
        threads=job.threads,
        logs=tuple(Path(path) for member in members for path in member.log),
        slurm_log=Path(logfile) if logfile else None,
        sharing=len(job),
    )


def _said(message: str) -> str:
    """What ``sbatch`` said, from the plugin's message about a submission that failed."""
    said = re.search(r"The error message was '(.*?)'\.?\n", message, re.DOTALL)
    return said[1] if said else message.partition("exception: ")[2] or message


def in_partition(job: Job, partition: str) -> Job:
    """The job with the partition that the plugin chose."""
    return replace(job, resources={**job.resources, "slurm_partition": partition})


def slurm_information(slurm_id: str) -> dict[str, str]:
    """SLURM's information about a finished job; empty if SLURM no longer has it."""
    names = {"JobState": "State", "NodeList": "NodeList", "TimeLimit": "TimeLimit"}
    shown = _answer("scontrol", "show", "job", "--oneliner", slurm_id)
    fields = dict(part.split("=", 1) for part in shown.split() if "=" in part)
    if information := {name: fields[key] for key, name in names.items() if key in fields}:
        return information
    columns = ("State", "NodeList", "TimeLimit")
    shown = _answer("sacct", "-X", "-P", "-n", "-j", slurm_id, f"--format={','.join(columns)}")
    return (
        dict(zip(columns, shown.strip().split("\n")[-1].split("|"), strict=False)) if shown else {}
    )


def partition_limit(partition: str | None) -> str | None:
    """The time limit of a partition, or of the default one, in SLURM's form."""
    shown = _answer(
        "scontrol", "show", "partition", "--oneliner", *([partition] if partition else [])
    )
    for line in shown.splitlines():
        fields = dict(part.split("=", 1) for part in line.split() if "=" in part)
        if partition or fields.get("Default") == "YES":
            return fields.get("MaxTime")
    return None


def _give_up(job: Any) -> None:
    """Make Snakemake not submit a job again, because SLURM would refuse it again."""
    job.attempt = max(job.attempt, job.restart_times + 1)


def _answer(*command: str) -> str:
    """The output of a command of SLURM; empty if it fails."""
    try:
        answer = subprocess.run(
            command, capture_output=True, encoding="utf-8", timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout if answer.returncode == 0 else ""
