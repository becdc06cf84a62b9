"""The files that benchmarks measure on, made by the workflow itself."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: The wheel's whole encoder, and samples of real data where they lie beside the checkout.
REAL = "config/real_sample.yaml"


def made(*targets: str, config: str = REAL) -> list[Path]:
    """Have the workflow make some files of a profile, and return their paths."""
    command = [sys.executable, "-m", "snakemake", "--cores", "all", "--configfile", config, "--"]
    answer = subprocess.run([*command, *targets], cwd=ROOT, capture_output=True, text=True)
    if answer.returncode:
        sys.exit(
            f"the workflow could not make {', '.join(targets)}:\n{answer.stdout}{answer.stderr}"
        )
    return [ROOT / target for target in targets]
