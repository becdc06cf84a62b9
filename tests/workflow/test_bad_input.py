"""What a user sees of unusable input: one message that says what to fix, and nothing lost."""

import re
from typing import Any

import pytest
from study import Study

SHA256 = "0" * 64
ROW = "figure3 no no unigran unaligned dfull kmeans-cosine-0.05 asis all-languages"


def assert_one_message(output: str, message: str) -> None:
    """``message``, a regular expression, matches one line alone, and no traceback is shown."""
    assert len(re.findall(message, output)) == 1, output
    assert "Traceback" not in output and 'File "' not in output, output


# Before any job


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"tasks": {"ner": {"training": {"learning_rat": 0.001}}}},
            r"config key tasks\.ner\.training\.learning_rat is not known; did you mean `learning_rate`",
        ),
        (
            {"tasks": {"ner": {"dataset": "mini_name"}}},
            r"config key tasks\.ner\.dataset names 'mini_name', .* did you mean `mini_names`",
        ),
        (
            {"corpora": {"text": {"path": "config/texts"}}},
            r"config key corpora\.text\.path: there is nothing at config/texts; put the data there",
        ),
        (
            {"experiments": "config/misspelt.tsv"},
            r"config/misspelt\.tsv, line 10: backbone 'unigran' is not in .*; did you mean unigram",
        ),
    ],
    ids=["key", "dataset", "path", "row"],
)  # fmt: skip
def test_a_bad_config_ends_the_run_before_it_begins(
    study: Study, change: dict[str, Any], message: str
) -> None:
    rows = (study.folder / "config/experiments.tsv").read_text(encoding="utf-8")
    (study.folder / "config/misspelt.tsv").write_text(
        rows + ROW.replace(" ", "\t") + "\n", encoding="utf-8"
    )
    before = study.made()
    answer = study.run(change=change)
    assert answer.returncode == 1
    assert_one_message(answer.stdout, rf"(?m)^Error: {message}")
    assert "Building DAG" not in answer.stdout
    assert study.made() == before


# In a job


@pytest.fixture(scope="module")
def output(study: Study) -> str:
    """All that is shown of a run in which every job meets another unusable input."""
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
    before = study.made()
    answer = study.run(
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
    assert answer.returncode == 1
    assert study.made() == before
    return answer.stdout


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("fetch_wheel", rf"lexicon\.tsv has sha256 \w+, and config key wheels\.own\.sha256 says {SHA256}; fetch it again"),
        ("fetch_download", r"download 'own': there is no file own/words/en-de\.txt; put it there or correct `mirrors`"),
        ("read_lexicon", r"own/lexicon\.tsv, line 2: 4 filled columns separated by tabs are expected"),
        ("read_corpus", r"corpus 'own' has no text: .*; correct `languages` or `path` of config key corpora\.own"),
        ("read_dataset", r"own/conll/deu/train\.txt, line 2: a word and its tag .*; (?:fix|correct) or remove the line"),
        ("group_kmeans", r"grouping 'kmeans-cosine-0\.001' gives 2 groups for 2500 subwords, but 5 subwords are groups of one.*; fix the ratio"),
    ],
)  # fmt: skip
def test_a_job_names_the_fix_once(study: Study, output: str, rule: str, message: str) -> None:
    assert_one_message(output, rf"{rule}: {message}")
    (log,) = [
        path
        for path in (study.folder / "results/logs" / rule).rglob("*.log")
        if path.stem in ("own", "kmeans-cosine-0.001")
    ]
    assert_one_message(log.read_text(encoding="utf-8"), rf"{rule}: {message}")
