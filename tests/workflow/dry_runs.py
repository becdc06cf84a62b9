"""Many dry runs of Snakemake in one process: the jobs that would run again after each change.

Start it with ``python dry_runs.py CHECKOUT FOLDER``. It is a separate process because the digests
of code describe the imported package, which must be the checkout's. First it makes the study look
finished: it creates all outputs as empty files, and Snakemake's ``--touch`` records their
provenance. Then it reads changes from standard input, as JSON objects by name (``config`` to merge, ``files``
to edit, other ``targets``), and writes the jobs of each to standard output.
"""

import contextlib
import io
import json
import logging
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def run(
    checkout: Path, folder: Path, change: dict[str, Any], executor: str, targets: list[str]
) -> list[Any]:
    """The jobs that Snakemake would run (``dryrun``), or whose outputs it touches (``touch``)."""
    import yaml
    from snakemake.api import SnakemakeApi
    from snakemake.settings.types import (
        ConfigSettings,
        DAGSettings,
        OutputSettings,
        Quietness,
        ResourceSettings,
    )

    configfiles = []
    with tempfile.TemporaryDirectory() as temporary:
        if change:
            change_file = Path(temporary) / "change.yaml"
            change_file.write_text(yaml.safe_dump(change), encoding="utf-8")
            configfiles.append(change_file)
        with (
            contextlib.redirect_stdout(io.StringIO()),
            SnakemakeApi(OutputSettings(quiet={Quietness.ALL}, dryrun=executor == "dryrun")) as api,
        ):
            workflow = api.workflow(
                ResourceSettings(cores=2),
                ConfigSettings(configfiles=configfiles),
                snakefile=checkout / "Snakefile",
                workdir=folder,
            )
            dag = workflow.dag(
                DAGSettings(targets=frozenset(targets), forceall=executor == "touch")
            )
            dag.execute_workflow(executor)
            jobs = workflow._workflow.dag
            return [job for job in jobs.jobs if job.output and jobs.needrun(job)]


def make_outputs(
    checkout: Path, folder: Path, targets: list[str]
) -> tuple[dict[str, str], list[str]]:
    """Create all outputs of the study as empty files, with Snakemake's records of their provenance.

    Returns:
        every output and its rule, and all rules of the workflow.
    """
    from snakemake.executors import touch

    jobs = run(checkout, folder, {}, "dryrun", targets)
    for job in jobs:
        for output in job.output:
            path = folder / output
            if job.rule.name == "fetch_download" or output.is_directory:
                path.mkdir(parents=True, exist_ok=True)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
    touch.Executor.SLEEPING_TIME = 0.002
    run(checkout, folder, {}, "touch", targets)
    rules = [rule.name for rule in jobs[0].rule.workflow.rules]
    return {str(output): job.rule.name for job in jobs for output in job.output}, rules


@contextlib.contextmanager
def edited(paths: list[Path]) -> Iterator[None]:
    """Append a line to these files during the body, and restore content and dates. The line is not
    a comment, because comments do not change digests."""
    with tempfile.TemporaryDirectory() as temporary:
        copies = [shutil.copy2(path, f"{temporary}/{n}") for n, path in enumerate(paths)]
        for path in paths:
            with path.open("a", encoding="utf-8") as file:
                file.write("A_LINE_MORE = 1\n" if path.suffix == ".py" else "# A line more.\n")
        try:
            yield
        finally:
            for copy, path in zip(copies, paths, strict=True):
                shutil.copy2(copy, path)


def parse_once() -> None:
    """Parse every rule file once. They do not change between these runs, and parsing takes nearly
    half of a dry run."""
    import snakemake.api  # noqa: F401 (the modules below import each other)
    from snakemake import workflow

    parsed: dict[tuple[str, int], Any] = {}
    parse = workflow.parse

    def parse_cached(path: Any, *args: Any, **named: Any) -> Any:
        key = (str(path.get_path_or_uri(secret_free=True)), named.get("rulecount", 0))
        if key not in parsed:
            parsed[key] = parse(path, *args, **named)
        return parsed[key]

    workflow.parse = parse_cached


def main(checkout: Path, folder: Path) -> None:
    logging.disable(logging.ERROR)
    request = json.load(sys.stdin)
    parse_once()
    outputs, rules = make_outputs(checkout, folder, request["targets"])
    stale = {}
    for name, change in request["changes"].items():
        with edited([Path(file) for file in change.get("files", ())]):
            try:
                targets = change.get("targets", request["targets"])
                jobs = run(checkout, folder, change.get("config", {}), "dryrun", targets)
            except SystemExit:
                sys.exit(f"the workflow refuses the change of {name}: {change}")
            stale[name] = [
                {
                    "rule": job.rule.name,
                    "wildcards": dict(job.wildcards_dict),
                    "outputs": list(map(str, job.output)),
                }
                for job in jobs
            ]
    json.dump({"stale": stale, "outputs": outputs, "rules": rules}, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
