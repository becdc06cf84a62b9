import pytest

from semantic_tokens.errors import InputError
from semantic_tokens.study.targets import check_made, without_files_of_options

MADE = ["results/runs/a/controls.csv", "results/runs/a/figures/figure3.svg"]


@pytest.mark.parametrize(
    "path",
    [
        *MADE,
        "results/runs/a/provenance.json",
        "results/scores/b/nli/seed-1.json",
    ],
)
def test_files_that_the_study_makes_and_all_others_are_accepted(path: str) -> None:
    check_made(path, MADE, "experiments.tsv")


@pytest.mark.parametrize(
    "path",
    [
        "results/runs/a/table4.csv",
        "results/table5_by_language.html",
        "results/controls.csv",
        "results/explorer.html",
        "results/runs/a/figures/figure9.svg",
    ],
)
def test_a_table_or_figure_without_experiments_is_named(path: str) -> None:
    with pytest.raises(InputError, match=rf"^{path} shows experiments that experiments\.tsv lacks"):
        check_made(path, MADE, "experiments.tsv")


@pytest.mark.parametrize("name", ["Controls.csv", "contrls.csv"])
def test_a_misspelt_name_is_corrected(name: str) -> None:
    with pytest.raises(InputError, match=r"did you mean results/runs/a/controls\.csv\?"):
        check_made(f"results/runs/a/{name}", MADE, "experiments.tsv")


@pytest.mark.parametrize(
    ("command", "targets"),
    [
        (
            "results/a.csv --report results/report.html results/b.csv",
            ["results/a.csv", "results/b.csv"],
        ),
        ("--configfile results/a.yaml results/b.yaml --cores 1 results/a.csv", ["results/a.csv"]),
        ("--configfile results/a.yaml -- results/a.csv", ["results/a.csv"]),
        ("--directory results/d results/a.csv", ["results/a.csv"]),
        ("--report --until results/a.csv", ["results/a.csv"]),
    ],
)
def test_files_of_options_are_no_targets(command: str, targets: list[str]) -> None:
    words = without_files_of_options(command.split())
    assert [word for word in words if word.startswith("results/")] == targets
