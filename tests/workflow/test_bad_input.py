"""Unusable input ends in one message that names the fix. Finished results are kept."""

import re
from typing import Any

import pytest
from study import Study

SHA256 = "0" * 64
ROW = "figure3 no no unigran unaligned dfull kmeans-cosine-0.05 asis all-languages"


def assert_one_message(output: str, message: str) -> None:
    """Exactly one place of the output matches the regular expression, and at most one of the summary
    of failed jobs at its end. There is no traceback."""
    during, *at_the_end = re.split(r"\d+ jobs? failed\. Finished results are kept\.", output)
    assert len(re.findall(message, during)) == 1, output
    assert all(len(re.findall(message, part)) <= 1 for part in at_the_end), output
    assert "Traceback" not in output and 'File "' not in output, output


# Before any job


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"tasks": {"ner": {"training": {"learning_rat": 0.001}}}},
            r"config key tasks\.ner\.training\.learning_rat is not known.*`learning_rate`",
        ),
        (
            {"tasks": {"ner": {"dataset": "mini_name"}}},
            r"config key tasks\.ner\.dataset names 'mini_name', .*`mini_names`",
        ),
        (
            {"corpora": {"text": {"path": "config/texts"}}},
            r"config key corpora\.text\.path: .* config/texts; put the data there",
        ),
        (
            {"experiments": "config/misspelt.tsv"},
            r"config/misspelt\.tsv, line 10: backbone 'unigran' is not in .*; .*unigram",
        ),
    ],
    ids=["key", "dataset", "path", "row"],
)  # fmt: skip
def test_invalid_config_stops_the_run_before_any_job(
    study: Study, change: dict[str, Any], message: str
) -> None:
    rows = (study.folder / "config/experiments.tsv").read_text(encoding="utf-8")
    (study.folder / "config/misspelt.tsv").write_text(
        rows + ROW.replace(" ", "\t") + "\n", encoding="utf-8"
    )
    before = study.output_files()
    result = study.run(change=change)
    assert result.returncode == 1
    assert_one_message(result.stdout, rf"(?m)^Error: {message}")
    assert "Building DAG" not in result.stdout
    assert study.output_files() == before


# In a job


@pytest.fixture(scope="module")
def output(study: Study) -> str:
    """The output of a run in which every job has a different unusable input."""
    own = study.folder / "own"
    for folder in ("text", "conll/deu"):
        (own / folder).mkdir(parents=True)
    (own / "text/deu.txt").write_text("\n", encoding="utf-8")
    (own / "lexicon.tsv").write_text(
        "concept\tlanguage\tword\tsource\nred\tdeu\trot\n", encoding="utf-8"
    )
    for split in ("train", "dev", "test"):
        (own / f"conll/deu/{split}.txt").write_text("Anna B-PER\nlacht\n\n", encoding="utf-8")
    archive = {"package": "own", "version": "1.0", "sha256": SHA256, "path": "own/lexicon.tsv"}
    before = study.output_files()
    result = study.run(
        "resources/wheels/own.whl",
        "resources/downloads/own",
        "results/lexicons/own.tsv",
        "results/corpora/own.jsonl",
        "results/datasets/own/train.jsonl",
        "results/groups/unigram/unaligned/dfull/kmeans-cosine-0.001.safetensors",
        change={
            "wheels": {"own": archive},
            "downloads": {"own": {"url": "https://a.org/words/", "files": ["en-de.txt"]}},
            "mirrors": {"https://a.org/": "own"},
            "lexicons": {"own": {"reader": "table", "path": "own/lexicon.tsv"}},
            "corpora": {"own": {"reader": "text", "path": "own/text"}},
            "datasets": {
                "own": {
                    "kind": "token_classification",
                    "reader": "masakhaner",
                    "path": "own/conll",
                    "tokenization": {"max_length": 64},
                }
            },
        },
    )
    assert result.returncode == 1
    assert study.output_files() == before
    return result.stdout


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("fetch_wheel", rf"lexicon\.tsv has sha256 \w+, .*wheels\.own\.sha256 .*{SHA256}; fetch it again"),
        ("fetch_download", r"download 'own': there is no file own/words/en-de\.txt; .*`mirrors`"),
        ("read_lexicon", r"own/lexicon\.tsv, line 2: 4 .*columns .*tabs"),
        ("read_corpus", r"corpus 'own' has no text: .*; correct `languages`, `path` or `minimum_characters` of config key corpora\.own"),
        ("read_dataset", r"own/conll/deu/train\.txt, line 2: .* tag .*; (?:fix|correct) or remove the line"),
        ("group_kmeans", r"grouping 'kmeans-cosine-0\.001' gives 2 groups .* 5 subwords .*; fix the ratio"),
    ],
)  # fmt: skip
def test_failed_job_prints_one_message_with_the_fix(
    study: Study, output: str, rule: str, message: str
) -> None:
    assert_one_message(output, rf"{rule}: {message}")
    _, at_the_end = output.split("6 jobs failed. Finished results are kept.")
    assert re.search(rf"(?m)^- {rule}: {message}.* \(results/logs/{rule}/.*\.log\)$", at_the_end)
    (log,) = [
        path
        for path in (study.folder / "results/logs" / rule).rglob("*.log")
        if path.stem in ("own", "kmeans-cosine-0.001")
    ]
    assert_one_message(log.read_text(encoding="utf-8"), rf"{rule}: {message}")
