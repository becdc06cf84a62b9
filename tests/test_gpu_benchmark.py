"""``benchmarks/gpu.py`` with small sizes on a CPU: all paths except CUDA's, and its page."""

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
import torch
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "benchmarks"))

from on_gpu.page import COMMAND, HEADING, goals, section, with_section  # noqa: E402

#: The packages that the benchmark requires.
AT_HAND = ("torch", "transformers", "numpy")
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
    answer = run("--tiny", "--output", str(path))
    assert answer.returncode == 0, answer.stderr
    return json.loads(path.read_text(encoding="utf-8"))


def of(results: Mapping[str, Any], name: str) -> Any:
    found = results["sections"][name]
    assert found["status"] == "done", found
    return found["values"]


def test_every_section_is_done(tiny: dict[str, Any]) -> None:
    assert [one["status"] for one in tiny["sections"].values()] == ["done"] * 13
    environment = of(tiny, "environment")
    assert environment["kind"] == "cpu" and "thread" in environment["device"]
    assert environment["packages"]["torch"] == f"torch {torch.__version__}"
    assert environment["packages"]["cuml"] == "absent"
    assert all(rate > 1e6 for rate in of(tiny, "floors").values())


def test_kmeans_is_measured(tiny: dict[str, Any]) -> None:
    ratios = of(tiny, "K-Means on GPU and CPU")["ratios"]
    assert [one["ratio"] for one in ratios] == [0.05, 0.1, 0.2, 0.4]
    assert all(one["torch"]["holds"] and one["cuml"] is None for one in ratios)
    for one in of(tiny, "K-Means")["ratios"]:
        assert one["torch"]["seconds"] > 0 and one["torch"]["objective"] > 0
        assert one["pass_floor_share"] > 0
        assert one["cuml"]["status"] == "absent"
    assert of(tiny, "XLM-V's K-Means")["second_pass_seconds"] > 0
    assert of(tiny, "the CPU's K-Means")["torch"] == {"above_cpu": 0.0, "holds": True}
    others = of(tiny, "other libraries' K-Means")
    faiss = others["others"]["faiss"]
    assert others["ours"]["objective"] <= faiss["objective"] * 1.01
    assert faiss["ours_is_there_after"] is None or faiss["ours_is_there_after"] > 0
    assert others["others"]["flash-kmeans, float16"]["status"] == "absent"


def test_trainings_are_compared(tiny: dict[str, Any]) -> None:
    found = of(tiny, "precision")
    assert len(found["float32_losses"]) == found["steps"]
    assert found["kinds"]["bf16"]["holds"]
    assert 0 < found["kinds"]["bf16"]["largest_difference"] < 0.02
    assert found["kinds"]["fp16"]["why"] == "fp16 needs a CUDA device"
    found = of(tiny, "resumption")
    assert found["holds"] and found["resumed_difference"] == found["repeated_difference"] == 0
    assert 0 < found["cut_off_after"] < found["steps"]
    assert of(tiny, "two processes")["holds"]
    assert of(tiny, "gradient caching")["holds"]
    assert of(tiny, "gradient caching")["gradient_difference"] > 0  # it was computed in parts
    assert of(tiny, "encoding and search")["search"]["first_ten_are_numpys"]


def test_table3_has_the_papers_rows(tiny: dict[str, Any]) -> None:
    rows = of(tiny, "Table 3")["rows"]
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


def test_the_page_shows_them_and_claims_no_goal(tiny: dict[str, Any]) -> None:
    page = section(tiny)
    assert page.startswith(f"{HEADING}\n\nMeasured on {of(tiny, 'environment')['device']}")
    assert all(verdict == "not run" for _, _, verdict in goals(tiny))
    assert "| 32 | 100% | " in page and "| 74.6 GB, 1.90/s |" in page
    assert "K-Means by torch, 400 rows into 40%: objective above the CPU's" in page
    assert "does not hold" not in page
    assert "passages in" in page and "Not measured" not in page
    widths = {line.count("|") for line in page.splitlines() if line.startswith("| d |")}
    assert widths == {9}


def full(tiny: dict[str, Any], device: str = "NVIDIA H100 80GB HBM3") -> dict[str, Any]:
    """The same results, marked as from full sizes on a GPU."""
    made = copy.deepcopy(tiny)
    made["sizes"] = "full"
    made["sections"]["environment"]["values"] |= {
        "device": device,
        "kind": "cuda",
        "memory_bytes": 80 * 2**30,
        "gpus": 1,
    }
    at5 = made["sections"]["K-Means"]["values"]["ratios"][0]
    at5["torch"]["seconds"], at5["pass_floor_share"] = 1.5, 0.5
    others = made["sections"]["other libraries' K-Means"]["values"]["others"]
    for name, there in (("flash-kmeans, float32", 1.0), ("flash-kmeans, float16", 0.4)):
        others[name] = {
            "status": "done",
            "seconds": 1.2,
            "objective": 10.0,
            "peak_bytes": 2**30,
            "ours_is_there_after": there,
        }
    for row in made["sections"]["Table 3"]["values"]["rows"]:
        row |= {"peak_bytes": 25_000_000_000, "steps_per_second": 4.0, "floor_share": 0.46}
    return made


def test_goals_are_met_or_not(tiny: dict[str, Any]) -> None:
    found = {goal: (measured, verdict) for goal, measured, verdict in goals(full(tiny))}
    assert list(found.values()) == [
        ("1.50 s", "met"),
        ("0.40 s, flash-kmeans 1.20 s in float16; 1.00 s, flash-kmeans 1.20 s in float32", "met"),
        ("50%", "not met"),
        ("25.0 GB", "not met"),
        ("4.0", "met"),
        ("46%", "met"),
    ]
    assert "| 1.50 s | met |" in section(full(tiny))


def test_a_library_that_is_never_reached_is_not_behind(tiny: dict[str, Any]) -> None:
    made = full(tiny)
    others = made["sections"]["other libraries' K-Means"]["values"]["others"]
    others["flash-kmeans, float16"]["ours_is_there_after"] = None
    assert goals(made)[1][1:] == (
        "never, flash-kmeans 1.20 s in float16; 1.00 s, flash-kmeans 1.20 s in float32",
        "not met",
    )


def test_goals_are_for_their_cards(tiny: dict[str, Any]) -> None:
    assert {verdict for *_, verdict in goals(full(tiny, "NVIDIA L4"))} == {"not run"}


def test_what_does_not_fit_or_hold_is_shown(tiny: dict[str, Any]) -> None:
    made = full(tiny)
    row = made["sections"]["Table 3"]["values"]["rows"][9]
    for key in ("peak_bytes", "steps_per_second", "floor_share"):
        del row[key]
    row |= {"status": "out of memory", "why": "Tried to allocate 15 GiB"}
    made["sections"]["resumption"]["values"]["holds"] = False
    made["sections"]["two processes"] = {"status": "absent", "why": "one GPU", "values": {}}
    page = section(made)
    (line,) = (line for line in page.splitlines() if line.startswith("| 768 | 100% |"))
    assert line == (
        "| 768 | 100% | 25.0 GB, 4.00/s | 46% | out of memory: Tried to allocate 15 GiB | – "
        "| 74.6 GB, 1.90/s | 0.34, 2.11 |"
    )
    assert "| 32 | 5% | 25.0 GB, 4.00/s | 46% | 25.0 GB, 4.00/s | 1.00, 1.00 |" in page
    assert "**does not hold**" in page
    assert "Not measured: two processes (absent: one GPU)." in page


def test_a_page_takes_the_place_of_the_last_one() -> None:
    document = f"# A\n\n## B\n\nb\n\n{HEADING}\n\nold\n\n### sub\n\n## C\n\nc\n"
    made = with_section(document, f"{HEADING}\n\nnew \\1\n")
    assert made == f"# A\n\n## B\n\nb\n\n{HEADING}\n\nnew \\1\n\n## C\n\nc\n"
    assert with_section("# A\n", f"{HEADING}\n\nnew\n") == f"# A\n\n{HEADING}\n\nnew\n"


def test_the_document_claims_nothing_that_was_not_run() -> None:
    document = (ROOT / "docs/performance.md").read_text(encoding="utf-8")
    if "Not yet run" in document:
        assert with_section(document, section(None)) == document
        assert {verdict for *_, verdict in goals(None)} == {"not run"}
    else:  # it was run, and names the GPU
        assert f"by `{COMMAND}` in" in document


# Optional packages


@pytest.fixture(scope="module")
def little(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with only torch, transformers, numpy and their requirements."""
    folder = tmp_path_factory.mktemp("site")
    ahead, seen = list(AT_HAND), set()
    while ahead:
        name = ahead.pop().lower().replace("_", "-")
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
                ahead.append(requirement.name)
        for top in {file.parts[0] for file in distribution.files or []} - {"..", "__pycache__"}:
            target = Path(str(distribution.locate_file(top)))
            link = folder / top
            if target.exists() and not link.exists():
                link.symlink_to(target)
    assert not {"snakemake", "datasets", "accelerate", "pyarrow", "psutil"} & seen
    return folder


def test_it_needs_only_torch_transformers_and_numpy(little: Path, tmp_path: Path) -> None:
    path = tmp_path / "gpu.json"
    answer = run(
        "--tiny", "--output", str(path), options=["-S"], environment={"PYTHONPATH": str(little)}
    )
    assert answer.returncode == 0, answer.stderr
    results = json.loads(path.read_text(encoding="utf-8"))
    assert of(results, "environment")["packages"]["accelerate"] == "absent"
    for name, one in results["sections"].items():
        if name in NEEDS_ACCELERATE:
            assert one["status"] == "absent" and "accelerate cannot be imported" in one["why"]
        else:
            assert one["status"] == "done", (name, one)
    assert all(
        one["status"] == "absent"
        for one in of(results, "other libraries' K-Means")["others"].values()
    )
    assert "; precision (absent: accelerate cannot be imported" in section(results)


def test_a_time_limit_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "gpu.json"
    answer = run("--tiny", "--output", str(path), "--time-limit", "3")
    assert answer.returncode == 0, answer.stderr
    results = json.loads(path.read_text(encoding="utf-8"))
    statuses = [one["status"] for one in results["sections"].values()]
    assert len(statuses) == 13
    assert "out of time" in statuses and set(statuses) <= {"done", "out of time"}
    assert "out of time: the limit is 3 s" in section(results)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--output", "{folder}/a.json"], "torch finds no CUDA device here; run this on a GPU"),
        (["--page", "{folder}/none.json"], "none.json does not exist"),
        (
            ["--page", "{folder}/tiny.json"],
            "from small sizes or not from a GPU, so it is not a measurement",
        ),
        (["--tiny", "--output", "{folder}/a.json", "--only", "Tabel 3"], "the sections are "),
    ],
)
def test_what_cannot_be_done_is_reported_in_one_line(
    arguments: list[str], said: str, tiny: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "tiny.json").write_text(json.dumps(tiny), encoding="utf-8")
    before = (ROOT / "docs/performance.md").read_bytes()
    answer = run(*(argument.format(folder=tmp_path) for argument in arguments))
    (line,) = answer.stderr.splitlines()
    assert answer.returncode == 1 and line.startswith("Error: ") and said in line
    assert (ROOT / "docs/performance.md").read_bytes() == before


def test_help_names_the_options() -> None:
    said = run("--help").stdout
    assert all(option in said for option in ("--time-limit", "--tiny", "--page", "--only"))
