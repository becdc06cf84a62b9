"""The input files of benchmarks, made by the workflow."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: The wheel's full encoder, and the real data of config/laptop.yaml: downloads, or local copies.
CONFIGS = (
    "config/laptop.yaml",
    *(["profiles/offline/mirrors.yaml"] if os.environ.get("SEMANTIC_TOKENS_DATA") else []),
    "benchmarks/config.yaml",
)


def made(*targets: str) -> list[Path]:
    """Make files with the workflow, and return their paths."""
    command = [sys.executable, "-m", "snakemake", "--cores", "all", "--configfile", *CONFIGS, "--"]
    answer = subprocess.run([*command, *targets], cwd=ROOT, capture_output=True, text=True)
    if answer.returncode:
        sys.exit(
            f"the workflow could not make {', '.join(targets)}:\n{answer.stdout}{answer.stderr}"
        )
    return [ROOT / target for target in targets]
