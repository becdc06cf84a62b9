# make table5   install everything and make Table 5 of the default profile
# make test     install everything and run all checks
# make docs     build the documentation in build/docs; fails at a broken link
# make pages    update the generated parts of config/README.md and docs/staleness.md
# make lock     update the lock files and conda environments after a change in pyproject.toml
# make resolve  check that all of them resolve from the package index
#
# PYTHON=python3.12   the Python to install with
# TORCH=cpu or cuda   the build of torch; the default is cuda if there is an NVIDIA GPU
PYTHON ?= python3
TORCH ?= auto
# Three processes with one thread each on two cores, because the tests of SLURM mostly wait.
PYTEST ?= -n 3 --dist loadgroup --no-loadscope-reorder
STAMP = .venv/installed

.PHONY: table5 test docs pages lock resolve
table5: $(STAMP)
	@. .venv/bin/activate && snakemake --cores all results/table5.csv

test: docs
	@. .venv/bin/activate && ruff check . && ruff format --check . && mypy \
	  && snakefmt --check Snakefile rules && snakemake --lint && OMP_NUM_THREADS=1 python -m pytest -q $(PYTEST)

docs: $(STAMP)
	@. .venv/bin/activate && sphinx-build -q -W --keep-going -n -E -c docs . build/docs \
	  && echo "the documentation is in build/docs/index.html"

pages: $(STAMP)
	@. .venv/bin/activate && python -m semantic_tokens.study.config_reference config/README.md \
	  && python tests/workflow/staleness.py > docs/staleness.md.new \
	  && mv docs/staleness.md.new docs/staleness.md

lock: $(STAMP)
	@.venv/bin/python envs/lock.py

resolve: $(STAMP)
	@.venv/bin/python envs/lock.py --check

$(STAMP): pyproject.toml requirements.lock envs/installer.lock envs/torch.lock
	@$(PYTHON) envs/set_up.py --torch $(TORCH)
	@touch $@
