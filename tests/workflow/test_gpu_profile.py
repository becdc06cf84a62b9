"""``profiles/gpu``: as many parallel jobs as GPUs, each with its own GPU. The GPUs are fake."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import WHEELS
from study import ROOT, Study, new_study

EMBEDDINGS = "unigram/unaligned/dfull"
#: Targets of one rule that uses a GPU. All can start at the same time.
TARGETS = [
    f"results/groups/{EMBEDDINGS}/kmeans-{metric}-{ratio}.safetensors"
    for metric in ("cosine", "euclidean")
    for ratio in (0.05, 0.1, 0.2)
]


@pytest.fixture
def separate_study(
    tmp_path: Path, wheel: Callable[[str], Path], wheel_pins: dict[str, dict[str, str]]
) -> Study:
    """A separate study, to observe which jobs run in parallel."""
    wheels = {name: wheel_pins[name] | {"path": str(wheel(name))} for name in WHEELS}
    return new_study(tmp_path / "checkout", tmp_path / "study", wheels)


def test_parallel_jobs_use_different_gpus(separate_study: Study, tmp_path: Path) -> None:
    record = tmp_path / "record"
    process = separate_study.start(
        *TARGETS,
        options=["--profile", str(ROOT / "profiles/gpu"), "--cores", "4"],
        environment={
            "CUDA_VISIBLE_DEVICES": "1,3",
            "TMPDIR": str(tmp_path),
            "PYTHONPATH": str(Path(__file__).parent / "fake_gpus"),
            "FAKE_GPU_RECORD": str(record),
        },
    )
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert gpu_limit(output) == ["2"]
    spans = [line.split() for line in record.read_text(encoding="utf-8").splitlines()]
    spans = [(name, float(began), float(ended)) for name, began, ended in spans]
    assert len(spans) == len(TARGETS)
    assert {name for name, _, _ in spans} == {"1", "3"}
    for i, (name, began, ended) in enumerate(spans):
        for other, other_began, other_ended in spans[i + 1 :]:
            assert name != other or ended <= other_began or other_ended <= began
    overlapping = [
        (one, other)
        for one in spans
        for other in spans
        if one[0] < other[0] and one[1] < other[2] and other[1] < one[2]
    ]
    assert overlapping  # some jobs ran at the same time
    logs = sorted((separate_study.folder / "results/logs/group_kmeans").rglob("*.log"))
    for log in logs:
        log_text = log.read_text(encoding="utf-8")
        assert re.search(r"uses GPU [13] of this machine", log_text), log_text
        assert re.search(r"K-Means by torch on .+, float32: ", log_text), log_text
    assert len(logs) == len(TARGETS)


@pytest.mark.parametrize(
    ("options", "devices", "gpus"),
    [
        ([], "0,1,2", ["3"]),
        (["--resources", "gpu=1"], "0,1,2", ["1"]),
        (["--config", "gpus_per_job=4"], "0,1,2", ["4"]),
        (["--config", "gpus_per_job=0"], "0,1,2", []),
        ([], "", []),
    ],
)
def test_gpu_limit_equals_the_number_of_gpus(
    options: list[str], devices: str, gpus: list[str], separate_study: Study
) -> None:
    """In a run of jobs without GPUs, because a dry run does not show the limit."""
    process = separate_study.start(
        f"results/embeddings/{EMBEDDINGS}.safetensors",
        options=["--profile", str(ROOT / "profiles/gpu"), *options, "--until", "fetch_wheel"],
        environment={"CUDA_VISIBLE_DEVICES": devices},
    )
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert gpu_limit(output) == gpus


def gpu_limit(output: str) -> list[str]:
    """The number of GPUs for parallel jobs in Snakemake's output."""
    lines = re.findall(r"^Provided resources: .*$", output, re.MULTILINE)
    return re.findall(r'\bgpu=Resource\("gpu", (\d+)\)', "\n".join(lines))
