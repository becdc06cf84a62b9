"""``benchmarks/gpu.py`` with small sizes on a CPU: everything except CUDA, and the page of results."""

import copy
import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "benchmarks"))

from on_gpu.page import COMMAND, HEADING, goals, section, with_section  # noqa: E402

#: The packages that the benchmark requires.
REQUIRED = ("torch", "transformers", "numpy")
NEEDS_ACCELERATE = ("precision", "resumption", "Table 3", "two processes")


def run(
    *arguments: str, options: Iterable[str] = (), environment: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *options, str(ROOT / "benchmarks/gpu.py"), *arguments],
        env=os.environ
        | {"PYTHONPATH": "", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        | dict(environment or {}),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The results of a full run."""
    path = tmp_path_factory.mktemp("gpu") / "gpu.json"
    result = run("--tiny", "--output", str(path))
    assert result.returncode == 0, result.stderr
    return json.loads(path.read_text(encoding="utf-8"))


def values_of(results: Mapping[str, Any], name: str) -> Any:
    found = results["sections"][name]
    assert found["status"] == "done", found
    return found["values"]


def test_every_section_is_completed(tiny: dict[str, Any]) -> None:
    assert [one["status"] for one in tiny["sections"].values()] == ["done"] * 13
    environment = values_of(tiny, "environment")
    assert environment["kind"] == "cpu" and "thread" in environment["device"]
    assert environment["packages"]["torch"] == f"torch {importlib.metadata.version('torch')}"
    assert environment["packages"]["cuml"] == "absent"
    assert all(rate > 1e6 for rate in values_of(tiny, "floors").values())


def test_kmeans_is_measured(tiny: dict[str, Any]) -> None:
    ratios = values_of(tiny, "K-Means on GPU and CPU")["ratios"]
    assert [one["ratio"] for one in ratios] == [0.05, 0.1, 0.2, 0.4]
    assert all(one["torch"]["holds"] and one["cuml"] is None for one in ratios)
    for one in values_of(tiny, "K-Means")["ratios"]:
        assert one["torch"]["seconds"] > 0 and one["torch"]["objective"] > 0
        assert one["pass_floor_share"] > 0
        assert one["cuml"]["status"] == "absent"
    assert values_of(tiny, "XLM-V's K-Means")["second_pass_seconds"] > 0
    assert values_of(tiny, "the CPU's K-Means")["torch"] == {"above_cpu": 0.0, "holds": True}
    others = values_of(tiny, "other libraries' K-Means")
    faiss = others["others"]["faiss"]
    assert others["ours"]["objective"] <= faiss["objective"] * 1.01
    assert faiss["ours_is_there_after"] is None or faiss["ours_is_there_after"] > 0
    assert others["others"]["flash-kmeans, float16"]["status"] == "absent"


def test_trainings_are_compared_with_each_other(tiny: dict[str, Any]) -> None:
    found = values_of(tiny, "precision")
    assert len(found["float32_losses"]) == found["steps"]
    assert found["kinds"]["bf16"]["holds"]
    assert 0 < found["kinds"]["bf16"]["largest_difference"] < 0.02
    assert found["kinds"]["fp16"]["why"] == "fp16 needs a CUDA device"
    found = values_of(tiny, "resumption")
    assert found["holds"] and found["resumed_difference"] == found["repeated_difference"] == 0
    assert 0 < found["cut_off_after"] < found["steps"]
    assert values_of(tiny, "two processes")["holds"]
    assert values_of(tiny, "gradient caching")["holds"]
    assert (
        values_of(tiny, "gradient caching")["gradient_difference"] > 0
    )  # it was computed in parts
    assert values_of(tiny, "encoding and search")["search"]["first_ten_are_numpys"]


def test_table3_has_the_papers_rows(tiny: dict[str, Any]) -> None:
    rows = values_of(tiny, "Table 3")["rows"]
    assert [(r["dimension"], r["ratio"]) for r in rows[::2]] == [
        *((768, ratio) for ratio in (0.05, 0.1, 0.2, 0.4, 1.0)),
        *((dimension, ratio) for dimension in (128, 32) for ratio in (0.05, 1.0)),
    ]
    assert [row["logits"] for row in rows] == ["masked", "all"] * 9
    assert rows[8]["paper"] == {
        "million_parameters": 178,
        "gigabytes": 74.6,
        "steps_per_second": 1.9,
    }
    assert all(row["steps_per_second"] > 0 and row["floor_share"] > 0 for row in rows)
    sizes = [row["parameters"] for row in rows[::2]]
    assert sizes[:5] == sorted(sizes[:5]) and sizes[8] < sizes[6] < sizes[4]


def test_page_shows_the_results_and_claims_no_goal(tiny: dict[str, Any]) -> None:
    page = section(tiny)
    assert page.startswith(f"{HEADING}\n\nMeasured on {values_of(tiny, 'environment')['device']}")
    assert all(verdict == "not run" for _, _, verdict in goals(tiny))
    assert "| 32 | 100% | " in page and "| 74.6 GB, 1.90/s |" in page
    assert "K-Means by torch, 400 rows into 40%: objective above the CPU's" in page
    assert "does not hold" not in page
    assert "passages in" in page and "Not measured" not in page
    widths = {line.count("|") for line in page.splitlines() if line.startswith("| d |")}
    assert widths == {9}


def full_size(tiny: dict[str, Any], device: str = "NVIDIA H100 80GB HBM3") -> dict[str, Any]:
    """The same results, marked as from full sizes on a GPU."""
    results = copy.deepcopy(tiny)
    results["sizes"] = "full"
    results["sections"]["environment"]["values"] |= {
        "device": device,
        "kind": "cuda",
        "memory_bytes": 80 * 2**30,
        "gpus": 1,
    }
    first_ratio = results["sections"]["K-Means"]["values"]["ratios"][0]
    first_ratio["torch"]["seconds"], first_ratio["pass_floor_share"] = 1.5, 0.5
    others = results["sections"]["other libraries' K-Means"]["values"]["others"]
    for name, seconds in (("flash-kmeans, float32", 1.0), ("flash-kmeans, float16", 0.4)):
        others[name] = {
            "status": "done",
            "seconds": 1.2,
            "objective": 10.0,
            "peak_bytes": 2**30,
            "ours_is_there_after": seconds,
        }
    for row in results["sections"]["Table 3"]["values"]["rows"]:
        row |= {"peak_bytes": 25_000_000_000, "steps_per_second": 4.0, "floor_share": 0.46}
    return results


def test_goals_are_compared_with_measurements(tiny: dict[str, Any]) -> None:
    found = {goal: (measured, verdict) for goal, measured, verdict in goals(full_size(tiny))}
    assert list(found.values()) == [
        ("1.50 s", "met"),
        ("0.40 s, flash-kmeans 1.20 s in float16; 1.00 s, flash-kmeans 1.20 s in float32", "met"),
        ("50%", "not met"),
        ("25.0 GB", "not met"),
        ("4.0", "met"),
        ("46%", "met"),
    ]
    assert "| 1.50 s | met |" in section(full_size(tiny))


def test_goal_is_not_met_if_another_library_is_never_reached(tiny: dict[str, Any]) -> None:
    results = full_size(tiny)
    others = results["sections"]["other libraries' K-Means"]["values"]["others"]
    others["flash-kmeans, float16"]["ours_is_there_after"] = None
    assert goals(results)[1][1:] == (
        "never, flash-kmeans 1.20 s in float16; 1.00 s, flash-kmeans 1.20 s in float32",
        "not met",
    )


def test_goals_apply_only_to_their_gpu(tiny: dict[str, Any]) -> None:
    assert {verdict for *_, verdict in goals(full_size(tiny, "NVIDIA L4"))} == {"not run"}


def test_out_of_memory_and_failed_comparisons_are_shown(tiny: dict[str, Any]) -> None:
    results = full_size(tiny)
    row = results["sections"]["Table 3"]["values"]["rows"][9]
    for key in ("peak_bytes", "steps_per_second", "floor_share"):
        del row[key]
    row |= {"status": "out of memory", "why": "Tried to allocate 15 GiB"}
    results["sections"]["resumption"]["values"]["holds"] = False
    results["sections"]["two processes"] = {"status": "absent", "why": "one GPU", "values": {}}
    page = section(results)
    (line,) = (line for line in page.splitlines() if line.startswith("| 768 | 100% |"))
    assert line == (
        "| 768 | 100% | 25.0 GB, 4.00/s | 46% | out of memory: Tried to allocate 15 GiB | – "
        "| 74.6 GB, 1.90/s | 0.34, 2.11 |"
    )
    assert "| 32 | 5% | 25.0 GB, 4.00/s | 46% | 25.0 GB, 4.00/s | 1.00, 1.00 |" in page
    assert "**does not hold**" in page
    assert "Not measured: two processes (absent: one GPU)." in page


def test_new_section_replaces_the_old_one() -> None:
    document = f"# A\n\n## B\n\nb\n\n{HEADING}\n\nold\n\n### sub\n\n## C\n\nc\n"
    new_document = with_section(document, f"{HEADING}\n\nnew \\1\n")
    assert new_document == f"# A\n\n## B\n\nb\n\n{HEADING}\n\nnew \\1\n\n## C\n\nc\n"
    assert with_section("# A\n", f"{HEADING}\n\nnew\n") == f"# A\n\n{HEADING}\n\nnew\n"


def test_performance_page_claims_no_result_without_a_run() -> None:
    document = (ROOT / "docs/performance.md").read_text(encoding="utf-8")
    if "Not yet run" in document:
        assert with_section(document, section(None)) == document
        assert {verdict for *_, verdict in goals(None)} == {"not run"}
    else:  # the benchmark was run
        assert f"by `{COMMAND}` in" in document


# Optional packages


@pytest.fixture(scope="module")
def minimal_packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with only torch, transformers, numpy and their requirements."""
    folder = tmp_path_factory.mktemp("site")
    pending, seen = list(REQUIRED), set()
    while pending:
        name = pending.pop().lower().replace("_", "-")
        if name in seen:
            continue
        seen.add(name)
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        for text in distribution.requires or []:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                pending.append(requirement.name)
        for top in {file.parts[0] for file in distribution.files or []} - {"..", "__pycache__"}:
            target = Path(str(distribution.locate_file(top)))
            link = folder / top
            if target.exists() and not link.exists():
                link.symlink_to(target)
    assert not {"snakemake", "datasets", "accelerate", "pyarrow", "psutil"} & seen
    return folder


def test_benchmark_needs_only_torch_transformers_and_numpy(
    minimal_packages: Path, tmp_path: Path
) -> None:
    path = tmp_path / "gpu.json"
    result = run(
        "--tiny",
        "--output",
        str(path),
        options=["-S"],
        environment={"PYTHONPATH": str(minimal_packages)},
    )
    assert result.returncode == 0, result.stderr
    results = json.loads(path.read_text(encoding="utf-8"))
    assert values_of(results, "environment")["packages"]["accelerate"] == "absent"
    for name, one in results["sections"].items():
        if name in NEEDS_ACCELERATE:
            assert one["status"] == "absent" and "accelerate cannot be imported" in one["why"]
        else:
            assert one["status"] == "done", (name, one)
    assert all(
        one["status"] == "absent"
        for one in values_of(results, "other libraries' K-Means")["others"].values()
    )
    assert "; precision (absent: accelerate cannot be imported" in section(results)


def test_time_limit_keeps_the_finished_sections(tmp_path: Path) -> None:
    path = tmp_path / "gpu.json"
    result = run("--tiny", "--output", str(path), "--time-limit", "3")
    assert result.returncode == 0, result.stderr
    results = json.loads(path.read_text(encoding="utf-8"))
    statuses = [one["status"] for one in results["sections"].values()]
    assert len(statuses) == 13
    assert "out of time" in statuses and set(statuses) <= {"done", "out of time"}
    assert "out of time: the limit is 3 s" in section(results)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output", "{folder}/a.json"], "no CUDA device"),
        (["--page", "{folder}/none.json"], "none.json does not exist"),
        (
            ["--page", "{folder}/tiny.json"],
            "from small sizes or not from a GPU",
        ),
        (["--tiny", "--output", "{folder}/a.json", "--only", "Tabel 3"], "the sections are "),
    ],
)
def test_impossible_request_is_reported_in_one_line(
    arguments: list[str], message: str, tiny: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "tiny.json").write_text(json.dumps(tiny), encoding="utf-8")
    before = (ROOT / "docs/performance.md").read_bytes()
    result = run(*(argument.format(folder=tmp_path) for argument in arguments))
    (line,) = result.stderr.splitlines()
    assert result.returncode == 1 and line.startswith("Error: ") and message in line
    assert (ROOT / "docs/performance.md").read_bytes() == before


def test_help_names_the_options() -> None:
    text = run("--help").stdout
    assert all(option in text for option in ("--time-limit", "--tiny", "--page", "--only"))
