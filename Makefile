# make table5   set everything up and make Table 5 of the default profile
# make test     set everything up and run all checks
PYTHON ?= python3
STAMP = .venv/installed

.PHONY: table5 test
table5: $(STAMP)
	. .venv/bin/activate && snakemake --cores all results/table5.csv

test: $(STAMP)
	. .venv/bin/activate && ruff check . && ruff format --check . && mypy \
	  && snakefmt --check Snakefile rules && snakemake --lint && python -m pytest -q

$(STAMP): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=")'
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet torch==2.13.0
	.venv/bin/python -m pip install --quiet --editable '.[test]'
	touch $@
