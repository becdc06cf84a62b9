# make table5   set everything up and make Table 5 of the default profile
# make test     set everything up and run all checks
# make lock     write the lock files and conda environments anew, after a change in pyproject.toml
# make resolve  see that all of them resolve from the package index alone
#
# PYTHON=python3.12   the Python to set up with
# TORCH=cpu or cuda   the build of torch; without it, CUDA where there is an NVIDIA GPU
PYTHON ?= python3
TORCH ?= auto
STAMP = .venv/installed

.PHONY: table5 test lock resolve
table5: $(STAMP)
	@. .venv/bin/activate && snakemake --cores all results/table5.csv

test: $(STAMP)
	@. .venv/bin/activate && ruff check . && ruff format --check . && mypy \
	  && snakefmt --check Snakefile rules && snakemake --lint && python -m pytest -q

lock: $(STAMP)
	@.venv/bin/python envs/lock.py

resolve: $(STAMP)
	@.venv/bin/python envs/lock.py --check

$(STAMP): pyproject.toml requirements.lock envs/installer.lock envs/torch.lock
	@$(PYTHON) envs/set_up.py --torch $(TORCH)
	@touch $@
