"""The files that benchmarks measure on, made by the workflow itself."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: The wheel's whole encoder, and the real data of config/laptop.yaml: downloaded, or copies of them.
CONFIGS = (
    "config/laptop.yaml",
    *(["profiles/offline/mirrors.yaml"] if os.environ.get("SEMANTIC_TOKENS_DATA") else []),
    "benchmarks/config.yaml",
)


def made(*targets: str) -> list[Path]:
    """Have the workflow make some files, and return their paths."""
    command = [sys.executable, "-m", "snakemake", "--cores", "all", "--configfile", *CONFIGS, "--"]
    answer = subprocess.run([*command, *targets], cwd=ROOT, capture_output=True, text=True)
    if answer.returncode:
        sys.exit(
            f"the workflow could not make {', '.join(targets)}:\n{answer.stdout}{answer.stderr}"
        )
    return [ROOT / target for target in targets]
