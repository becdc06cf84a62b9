"""The section of docs/performance.md about measurements on a GPU."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

HEADING = "## On a GPU"
COMMAND = "python benchmarks/gpu.py"
NOT_RUN = "not run"
#: The GPUs of the goals, as parts of their names.
_CARDS = ("H100", "H200")
_GIB = 2**30


def section(results: Mapping[str, Any] | None) -> str:
    """The section, in Markdown.

    Args:
        results: the file of ``benchmarks/gpu.py``; None if nothing was run.
    """
    lines = [HEADING, ""]
    if results is None:
        lines += [
            "Not yet run: no GPU was available for this project, so there are no results for bf16, "
            "compiled encoders, cuML, or the paper's Table 3. One command measures them with random "
            "weights and data, in less than ten minutes on one GPU. It needs torch, transformers and "
            "numpy. It uses other libraries if they are installed, and lists those that are not:",
            "",
            f"    {COMMAND}                        # writes results/benchmarks/gpu.json",
            f"    {COMMAND} --page results/benchmarks/gpu.json    # writes this section again",
        ]
    else:
        lines += _head(results)
    lines += ["", *_goals(results)]
    if results is not None:
        for part in (_kmeans, _contenders, _table3, _equalities, _retrieval, _what_is_missing):
            lines += part(results)
    return "\n".join(lines).rstrip() + "\n"


def with_section(document: str, text: str) -> str:
    """Replace the section with the same heading in a document, or append it."""
    pattern = re.compile(rf"^{re.escape(HEADING)}\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
    if not pattern.search(document):
        return document.rstrip() + "\n\n" + text
    made = pattern.sub(lambda _: text + "\n", document, count=1)
    return made.rstrip() + "\n"


def _head(results: Mapping[str, Any]) -> list[str]:
    found = values(results, "environment")
    gpus = found.get("gpus", 0)
    memory = f", {found['memory_bytes'] / _GIB:.0f} GiB" if "memory_bytes" in found else ""
    packages = ", ".join(v for v in found.get("packages", {}).values() if v != "absent")
    return [
        f"Measured on {found.get('device', 'an unknown device')}"
        + (f" (one of {gpus})" if gpus > 1 else "")
        + f"{memory}, driver {found.get('driver')}, CUDA {found.get('cuda')}, on "
        f"{results['began'][:10]}, by `{COMMAND}`"
        + (" --tiny" if results["sizes"] != "full" else "")
        + f" in {results['seconds']:.0f} s. Weights and data are random. Installed: {packages}.",
        "",
        f"The floor is the time of the matrix products at the rate of large products on this GPU: "
        f"{_rate(results, 'float32')} in float32 and {_rate(results, 'bfloat16')} in bf16.",
    ]


def _rate(results: Mapping[str, Any], precision: str) -> str:
    rate = values(results, "floors").get(f"{precision}_operations_per_second")
    return "?" if rate is None else f"{rate / 1e12:,.1f} TFLOP/s"


def values(results: Mapping[str, Any] | None, name: str) -> Mapping[str, Any]:
    """The results of a section; empty if it was not run."""
    return ((results or {}).get("sections", {}).get(name) or {}).get("values", {})


def goals(results: Mapping[str, Any] | None) -> list[tuple[str, str, str]]:
    """The goals, the measured values, and ``met``, ``not met`` or ``not run``."""
    at5 = next(iter(values(results, "K-Means").get("ratios", [])), {})
    ours = at5.get("torch", {}).get("seconds")
    others = values(results, "other libraries' K-Means").get("others", {})
    flash = {
        name.removeprefix("flash-kmeans, "): one
        for name, one in sorted(others.items())
        if name.startswith("flash-kmeans") and "seconds" in one
    }
    ahead = None
    if flash:
        ahead = all(
            found["ours_is_there_after"] is not None
            and found["ours_is_there_after"] < found["seconds"]
            for found in flash.values()
        )
    share = at5.get("pass_floor_share")
    full = [
        row
        for row in values(results, "Table 3").get("rows", [])
        if (row["dimension"], row["ratio"], row["logits"]) == (768, 1.0, "masked")
        and "steps_per_second" in row
    ]
    fastest = max(full, key=lambda row: row["steps_per_second"], default=None)
    memory, speed, floor = (
        None if fastest is None else fastest[name]
        for name in ("peak_bytes", "steps_per_second", "floor_share")
    )
    found: list[tuple[str, str, bool | None]] = [
        (
            "K-Means of mBERT's 119,547×768 into 5% in less than 2 s",
            "" if ours is None else f"{ours:.2f} s",
            None if ours is None else ours < 2,
        ),
        (
            "faster than flash-kmeans to an objective that is not higher",
            "; ".join(
                f"{_seconds(one['ours_is_there_after'])}, flash-kmeans {one['seconds']:.2f} s in {kind}"
                for kind, one in flash.items()
            ),
            ahead,
        ),
        (
            "one pass over all rows at 60% of the floor or more",
            "" if share is None else f"{share:.0%}",
            None if share is None else share >= 0.6,
        ),
        (
            "pretraining at 100%: a third of the paper's 74.6 GB or less",
            "" if memory is None else f"{memory / 1e9:.1f} GB",
            None if memory is None else memory <= 74.6e9 / 3,
        ),
        (
            "pretraining at 100%: twice the paper's 1.9 steps per second or more",
            "" if speed is None else f"{speed:.1f}",
            None if speed is None else speed >= 2 * 1.9,
        ),
        (
            "pretraining at 100%: 45% of the bf16 floor or more",
            "" if floor is None else f"{floor:.0%}",
            None if floor is None else floor >= 0.45,
        ),
    ]
    counts = _is_measured_for_goals(results)
    return [
        (goal, measured, NOT_RUN if is_met is None or not counts else _verdict(is_met))
        for goal, measured, is_met in found
    ]


def _is_measured_for_goals(results: Mapping[str, Any] | None) -> bool:
    """Whether these results are for full sizes, on a GPU of the goals."""
    if results is None or results["sizes"] != "full":
        return False
    return any(card in values(results, "environment").get("device", "") for card in _CARDS)


def _verdict(is_met: bool) -> str:
    return "met" if is_met else "not met"


def _goals(results: Mapping[str, Any] | None) -> list[str]:
    return [
        "The goals, on one H100 or H200:",
        "",
        *table(
            ("goal", "measured", ""),
            [(goal, found or "–", verdict) for goal, found, verdict in goals(results)],
        ),
    ]


def _kmeans(results: Mapping[str, Any]) -> list[str]:
    found = values(results, "K-Means")
    lines: list[str] = []
    if found.get("ratios"):
        lines += [
            "",
            f"**K-Means** of {found['rows']:,}×{found['columns']}, from rows on the CPU to an "
            "assignment on the CPU:",
            "",
            *table(
                ("groups", "one pass", "of the floor", "torch", "memory", "cuML", "memory"),
                [
                    (
                        f"{one['clusters']:,} ({one['ratio']:.0%})",
                        f"{1000 * one['pass_seconds']:.1f} ms",
                        f"{one['pass_floor_share']:.0%}",
                        *_timed(one["torch"]),
                        *_timed(one["cuml"]),
                    )
                    for one in found["ratios"]
                    if "cuml" in one
                ],
            ),
        ]
    large = values(results, "XLM-V's K-Means")
    if large.get("status") == "done":
        lines += [
            "",
            f"{large['rows']:,} rows into {large['clusters']:,}: peak memory "
            f"{large['peak_bytes'] / _GIB:.2f} GiB, and a later pass takes "
            f"{large['second_pass_seconds']:.2f} s.",
        ]
    elif large.get("why"):
        lines += ["", f"{large['rows']:,} rows: {large['status']} ({large['why']})."]
    return lines


def _timed(found: Mapping[str, Any]) -> tuple[str, str]:
    if "seconds" not in found:
        return found.get("status", NOT_RUN), "–"
    return (
        f"{found['seconds']:.2f} s to {found['objective']:,.0f}",
        f"{found['peak_bytes'] / _GIB:.2f} GiB",
    )


def _contenders(results: Mapping[str, Any]) -> list[str]:
    found = values(results, "other libraries' K-Means")
    if "ours" not in found:
        return []
    return [
        "",
        f"**Other libraries**, {found['passes']} passes each, into {found['clusters']:,} groups. Ours "
        f"ends after {found['ours']['seconds']:.2f} s at {found['ours']['objective']:,.1f}:",
        "",
        *table(
            ("library", "time", "spherical objective", "ours reaches it after", "memory"),
            [
                (
                    name,
                    f"{one['seconds']:.2f} s",
                    f"{one['objective']:,.1f}",
                    _seconds(one["ours_is_there_after"]),
                    f"{one['peak_bytes'] / _GIB:.2f} GiB",
                )
                if "seconds" in one
                else (name, _reason(one), "–", "–", "–")
                for name, one in found["others"].items()
            ],
        ),
    ]


def _table3(results: Mapping[str, Any]) -> list[str]:
    found = values(results, "Table 3")
    if not found.get("rows"):
        return []
    by_kind: dict[tuple[Any, ...], dict[str, Mapping[str, Any]]] = {}
    for one in found["rows"]:
        kind = (one["dimension"], one["ratio"], one["compiled"])
        by_kind.setdefault(kind, {})[one["logits"]] = one
    rows = []
    for (dimension, ratio, is_compiled), pair in by_kind.items():
        ours, every = pair["masked"], pair.get("all", {})
        paper = ours["paper"]
        theirs = {
            "peak_bytes": paper["gigabytes"] * 1e9,
            "steps_per_second": paper["steps_per_second"],
        }
        rows.append(
            (
                f"{dimension}",
                f"{ratio:.0%}" + (", compiled" if is_compiled else ""),
                _step(ours),
                f"{ours['floor_share']:.0%}" if "floor_share" in ours else "–",
                _step(every) if every else "–",
                _times(ours, every),
                _step(theirs),
                _times(ours, theirs),
            )
        )
    return [
        "",
        f"**Pretraining**, the rows of the paper's Table 3: {found['batch']} sequences of "
        f"{found['length']} tokens, {found['precision']}. The cells show memory and the median speed of "
        f"{found['steps']} steps without the first five. The paper's GPU is an A100 with 80 GB. "
        "Ratios are of memory and of speed:",
        "",
        *table(
            (
                "d",
                "groups",
                "ours: logits of masked positions",
                "of the floor",
                "`logits: all`",
                "ratio",
                "the paper",
                "ratio",
            ),
            rows,
        ),
    ]


def _step(found: Mapping[str, Any]) -> str:
    """Memory and speed of a step, or the reason why they are unknown."""
    if "steps_per_second" not in found:
        return _reason(found)
    return f"{found['peak_bytes'] / 1e9:.1f} GB, {found['steps_per_second']:.2f}/s"


def _times(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    """The ratios of memory and of speed, ours divided by theirs."""
    if any("steps_per_second" not in one for one in (ours, theirs)):
        return "–"
    return ", ".join(f"{ours[key] / theirs[key]:.2f}" for key in ("peak_bytes", "steps_per_second"))


def _equalities(results: Mapping[str, Any]) -> list[str]:
    rows = []
    agreement = values(results, "K-Means on GPU and CPU")
    for one in agreement.get("ratios", []):
        for backend in ("torch", "cuml"):
            if one.get(backend):
                rows.append(
                    (
                        f"K-Means by {backend}, {agreement['rows']:,} rows into {one['ratio']:.0%}: "
                        "objective above the CPU's",
                        f"{one[backend]['above_cpu']:+.2%}",
                        f"{agreement['bound']:.0%}",
                        _holds(one[backend]),
                    )
                )
    cpu = values(results, "the CPU's K-Means")
    for backend in ("torch", "cuml"):
        if backend in cpu:
            rows.append(
                (
                    f"the same, all rows of mBERT into 5% (the CPU takes {cpu['seconds']:.0f} s)",
                    f"{cpu[backend]['above_cpu']:+.2%}",
                    f"{cpu['bound']:.0%}",
                    _holds(cpu[backend]),
                )
            )
    for kind, one in values(results, "precision").get("kinds", {}).items():
        what = f"losses in {kind}, against float32"
        if "largest_difference" in one:
            rows.append(
                (what, f"{one['largest_difference']:.1e}", f"{one['bound']:.0e}", _holds(one))
            )
        else:
            rows.append((what, _reason(one), f"{one['bound']:.0e}", "–"))
    one = values(results, "gradient caching")
    if "holds" in one:
        what = (
            f"gradient of {one['texts']} texts in parts of {one['part']}, against the entire batch"
        )
        rows.append((what, f"{one['gradient_difference']:.1e}", f"{one['bound']:.0e}", _holds(one)))
    one = values(results, "resumption")
    if "holds" in one:
        rows.append(
            (
                "weights of a training that was interrupted, against one that was not",
                f"{one['resumed_difference']:.1e}",
                f"three times two runs' {one['repeated_difference']:.1e}",
                _holds(one),
            )
        )
    one = values(results, "two processes")
    if "holds" in one:
        rows.append(
            (
                "losses of two processes, against one's",
                f"{one['largest_difference']:.1e}",
                f"{one['bound']:.0e}",
                _holds(one),
            )
        )
    if not rows:
        return []
    return ["", "**Values that must agree:**", "", *table(("", "difference", "bound", ""), rows)]


def _retrieval(results: Mapping[str, Any]) -> list[str]:
    found = values(results, "encoding and search")
    lines = []
    if one := found.get("encoding"):
        lines.append(
            f"{one['texts']:,} texts of {one['tokens_per_text']} tokens are encoded at "
            f"{one['texts_per_second']:,.0f} per second, {one['floor_share']:.0%} of the {one['floor']} "
            "floor."
        )
    if one := found.get("search"):
        lines.append(
            f"{one['queries']:,} queries search {one['passages']:,} passages in {one['seconds']:.2f} s, "
            f"{one['floor_share']:.0%} of the float32 floor."
        )
    return ["", "**Retrieval:** " + " ".join(lines)] if lines else []


def _what_is_missing(results: Mapping[str, Any]) -> list[str]:
    missing = [
        f"{name} ({one['status']}{': ' + one['why'] if 'why' in one else ''})"
        for name, one in results["sections"].items()
        if one["status"] != "done"
    ]
    return ["", "Not measured: " + "; ".join(missing) + "."] if missing else []


def _reason(found: Mapping[str, Any]) -> str:
    why = f": {found['why']}" if "why" in found else ""
    return f"{found.get('status', NOT_RUN)}{why}".replace("|", "/")


def _holds(found: Mapping[str, Any]) -> str:
    return "holds" if found["holds"] else "**does not hold**"


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.2f} s"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table."""
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]
