"""The miniature tasks: formats, disjoint splits, determinism, and difficulty."""

import collections
import json
import os
import re
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from semantic_tokens.data.bm25 import bm25_candidates
from semantic_tokens.data.miniature import GENERATORS, generate, texts
from semantic_tokens.data.miniature.sentences import fill, running_text, templates
from semantic_tokens.data.miniature.words import KINDS, LANGUAGES, SPLITS, by_split, words_of
from semantic_tokens.data.miniature.world import QUESTIONS, RELATIONS, VERDICTS
from semantic_tokens.errors import InputError
from semantic_tokens.tasks.metrics import ndcg_at_10

EXAMPLES = {"train": 60, "dev": 12, "test": 30}
OPTIONS = {"languages": list(LANGUAGES), "examples": EXAMPLES, "seed": 1}
Records = list[dict]


@pytest.fixture(scope="module")
def emoji_wheel(wheel: Callable[[str], Path]) -> Path:
    return wheel("emoji")


@pytest.fixture(scope="module")
def datasets(emoji_wheel: Path) -> dict[str, dict[str, Records]]:
    return {kind: generate(kind, emoji_wheel, **OPTIONS) for kind in GENERATORS}


def all_examples(dataset: dict[str, Records]) -> Records:
    return [record for split in SPLITS for record in dataset[split]]


# Formats


@pytest.mark.parametrize("kind", GENERATORS)
def test_every_language_has_the_requested_number_of_examples(datasets, kind):
    for split, count in EXAMPLES.items():
        found = collections.Counter(record["language"] for record in datasets[kind][split])
        assert found == dict.fromkeys(LANGUAGES, count)


@pytest.mark.parametrize("kind", GENERATORS)
def test_ids_are_unique_over_the_dataset(datasets, kind):
    dataset = datasets[kind]
    for records in (all_examples(dataset), dataset.get("passages", [])):
        ids = [record["id"] for record in records]
        assert len(set(ids)) == len(ids)


def test_ten_languages_in_six_scripts_or_more(datasets):
    scripts = {
        unicodedata.name(character).split()[0]
        for record in datasets["token_classification"]["test"]
        for token in record["tokens"]
        for character in token
        if character.isalpha()
    }
    assert len(LANGUAGES) == 10
    assert {"LATIN", "CYRILLIC", "ARABIC", "HANGUL", "HIRAGANA", "KATAKANA", "CJK"} <= scripts


def test_tags_are_well_formed_iob2_over_four_types(datasets):
    types = collections.Counter()
    for record in all_examples(datasets["token_classification"]):
        assert len(record["tokens"]) == len(record["tags"]) > 0
        for before, tag in zip(["O", *record["tags"]], record["tags"], strict=False):
            if tag.startswith("I-"):
                assert before[2:] == tag[2:], record
            types[tag[2:]] += tag.startswith("B-")
    assert {name for name, count in types.items() if count} == {"PER", "ORG", "LOC", "DATE"}


def test_entities_contain_no_punctuation(datasets):
    for record in all_examples(datasets["token_classification"]):
        inside = [t for t, tag in zip(record["tokens"], record["tags"], strict=True) if tag != "O"]
        assert not set(inside) & set(".,:;?!「」“”、。，؟"), record


def test_answer_text_is_at_its_stated_position(datasets):
    for record in all_examples(datasets["question_answering"]):
        (answer,) = record["answers"]
        text, start = answer["text"], answer["start"]
        assert text == text.strip() != ""
        assert record["context"][start : start + len(text)] == text
        assert text not in re.findall(r"\w+", record["question"])


def test_queries_have_one_relevant_passage_of_their_language(datasets):
    dataset = datasets["ranking"]
    language_of = {passage["id"]: passage["language"] for passage in dataset["passages"]}
    for query in all_examples(dataset):
        ((passage, grade),) = query["relevant"].items()
        assert grade == 1 and language_of[passage] == query["language"]


def test_passages_are_unique(datasets):
    passages = [(p["language"], p["text"]) for p in datasets["ranking"]["passages"]]
    assert len(set(passages)) == len(passages)


def test_queries_are_unique(datasets):
    queries = [(query["language"], query["query"]) for query in all_examples(datasets["ranking"])]
    assert len(set(queries)) == len(queries)


def test_relevant_passage_is_about_as_frequent_at_every_position(datasets):
    positions = collections.Counter(
        next(iter(query["relevant"])).rsplit("-", 1)[1]
        for query in all_examples(datasets["ranking"])
    )
    assert min(positions[position] for position in "012") > 0.2 * positions.total()


def test_pairs_are_balanced_in_every_language(datasets):
    for split, count in EXAMPLES.items():
        labels = collections.Counter(
            (record["language"], record["label"])
            for record in datasets["pair_classification"][split]
        )
        assert set(labels.values()) == {count // 3} and len(labels) == 3 * len(LANGUAGES)


def test_second_sentence_is_not_contained_in_the_first(datasets):
    pairs = datasets["pair_classification"]["test"]
    assert all(record["second"] not in record["first"] for record in pairs)


# Overlap of splits


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_noun_name_or_territory_is_in_two_splits(language, emoji_wheel):
    words = words_of(language, ("{name}",), emoji_wheel)
    used = {
        split: {*words[split].given_names, *words[split].family_names, *words[split].territories}
        | {noun for nouns in words[split].things.values() for noun in nouns}
        for split in SPLITS
    }
    assert all(used.values())
    assert not used["train"] & used["dev"]
    assert not used["train"] & used["test"]
    assert not used["dev"] & used["test"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_template_is_in_two_splits(language):
    found = [
        template
        for split in SPLITS
        for template in sorted(set(templates_of(language, split)))  # once per split
    ]
    assert len(set(found)) == len(found)


def templates_of(language: str, split: str) -> list[str]:
    language_templates = templates(language)
    split_index = SPLITS.index(split)
    return [
        *(template for relation in RELATIONS for template in language_templates[relation][split]),
        *(questions[split_index] for questions in language_templates["ask"].values()),
        language_templates["which"][split_index],
        *language_templates["ambiguous"][split],
        *(
            template
            for verdict in VERDICTS
            for template in language_templates["verdict"][verdict][split]
        ),
    ]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_has_at_least_two_things_in_every_split(language, emoji_wheel):
    for words in words_of(language, ("{name}",), emoji_wheel).values():
        assert min(len(words.things[kind]) for kind in KINDS) >= 2


def test_a_concept_is_in_the_same_split_in_every_language(emoji_wheel):
    concepts = by_split(KINDS["animal"])
    assert sorted("".join(map("".join, concepts.values()))) == sorted(KINDS["animal"])
    for language, cat, whale in (("eng", "cat", "whale"), ("deu", "Katze", "Wal")):
        words = words_of(language, ("{name}",), emoji_wheel)
        for noun, picture in ((cat, "🐈"), (whale, "🐋")):
            (split,) = [split for split in SPLITS if noun in words[split].things["animal"]]
            assert picture in concepts[split]


# Templates


def slots_in(template: str) -> str:
    return "".join(sorted(re.findall(r"\{([A-Z])\}", template)))


@pytest.mark.parametrize("language", LANGUAGES)
def test_templates_contain_the_slots_of_their_facts(language):
    language_templates = templates(language)
    for relation, slots in RELATIONS.items():
        for split in SPLITS:
            assert len(language_templates[relation][split]) == 2
            assert {slots_in(t) for t in language_templates[relation][split]} == {
                "".join(sorted(slots))
            }
    for relation, question_slots in QUESTIONS.items():
        for slot in question_slots:
            other_slots = "".join(sorted(set(RELATIONS[relation]) - {slot}))
            assert [
                slots_in(question) for question in language_templates["ask"][f"{relation}_{slot}"]
            ] == [other_slots] * 3
    assert [slots_in(question) for question in language_templates["which"]] == ["KL"] * 3
    assert {slots_in(t) for split in SPLITS for t in language_templates["ambiguous"][split]} == {
        "X"
    }
    assert language_templates["kinds"].keys() == KINDS.keys()
    assert len(set(language_templates["kinds"].values())) == len(KINDS)


def test_affixes_stay_outside_of_the_slot():
    sentence = fill("{P} 님은 {L}에서 {T} 봅니다 .", {"P": "김 철수", "L": "일본", "T": "뱀"}, True)
    assert sentence.text == "김 철수 님은 일본에서 뱀 봅니다."
    assert {slot: sentence.text[a:b] for slot, (a, b) in sentence.characters.items()} == {
        "P": "김 철수",
        "L": "일본",
        "T": "뱀",
    }
    assert sentence.spans == {"P": (0, 2), "L": (3, 4), "T": (4, 5)}
    assert sentence.tokens[3] == "일본에서"


@pytest.mark.parametrize(
    ("tokens", "spaced", "text"),
    [
        (["¿", "Qué", "compró", "Ana", "?"], True, "¿Qué compró Ana?"),
        (["In", "Peru", ",", "Ana", "…"], True, "In Peru, Ana …"),
        (["他", "在", "秘鲁", "。"], False, "他在秘鲁。"),
    ],
)
def test_tokens_are_joined_into_running_text(tokens, spaced, text):
    written, edges = running_text(tokens, spaced)
    assert written == text
    assert [written[first:end] for first, end in edges] == tokens


# Determinism


def test_output_does_not_depend_on_the_hash_seed(emoji_wheel):
    code = (
        "import hashlib, json, sys; from semantic_tokens.data.miniature import GENERATORS, generate\n"
        "options = json.loads(sys.argv[2])\n"
        "made = [generate(kind, sys.argv[1], **options) for kind in GENERATORS]\n"
        "print(hashlib.sha256(json.dumps(made).encode()).hexdigest())"
    )
    options = OPTIONS | {"languages": ["kor", "tur"], "examples": dict.fromkeys(SPLITS, 10)}
    package = Path(sys.modules["semantic_tokens"].__path__[0]).parent
    digests = {
        subprocess.run(
            [sys.executable, "-c", code, str(emoji_wheel), json.dumps(options)],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(package)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


@pytest.mark.parametrize("kind", GENERATORS)
def test_examples_do_not_depend_on_other_languages_and_splits(datasets, kind, emoji_wheel):
    russian_only = generate(
        kind,
        emoji_wheel,
        **OPTIONS | {"languages": ["rus"], "examples": EXAMPLES | {"train": 3}},
    )
    assert russian_only["test"] == [r for r in datasets[kind]["test"] if r["language"] == "rus"]


@pytest.mark.parametrize("kind", GENERATORS)
def test_another_seed_makes_another_dataset(datasets, kind, emoji_wheel):
    assert generate(kind, emoji_wheel, **OPTIONS | {"seed": 2})["test"] != datasets[kind]["test"]


# Difficulty


def test_hypotheses_do_not_reveal_the_label(emoji_wheel):
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    pairs = generate(
        "pair_classification",
        emoji_wheel,
        **OPTIONS | {"examples": {"train": 150, "dev": 3, "test": 90}},
    )

    def accuracy(side: str) -> float:
        train, test = pairs["train"], pairs["test"]
        classifier = make_pipeline(
            CountVectorizer(analyzer="char_wb", ngram_range=(2, 4)),
            LogisticRegression(max_iter=300),
        )
        classifier.fit([r[side] for r in train], [r["label"] for r in train])
        return float(
            np.mean(classifier.predict([r[side] for r in test]) == [r["label"] for r in test])
        )

    # 900 test pairs: one standard error is 0.016.
    assert 0.28 < accuracy("second") < 0.39


def test_ambiguous_templates_take_names_of_all_types(emoji_wheel):
    """Only the name shows its type, because the other words are the same for all types."""
    options = OPTIONS | {"languages": ["eng"], "ambiguous_fraction": 1.0}
    records = generate("token_classification", emoji_wheel, **options)["train"]
    types_of = collections.defaultdict(set)
    for record in records:
        outside = [t for t, tag in zip(record["tokens"], record["tags"], strict=True) if tag == "O"]
        types_of[" ".join(outside)] |= {tag[2:] for tag in record["tags"] if tag != "O"}
    assert len(types_of) == 2
    assert all(types == {"PER", "ORG", "LOC"} for types in types_of.values())


def test_bm25_finds_only_some_of_the_relevant_passages(datasets):
    dataset = datasets["ranking"]
    run = {
        ranked["id"]: dict(zip(ranked["candidates"], ranked["scores"], strict=True))
        for ranked in bm25_candidates(dataset["passages"], dataset["test"], depth=20)
    }
    relevant = {query["id"]: query["relevant"] for query in dataset["test"]}
    assert 0.3 < np.mean(list(ndcg_at_10(relevant, run).values())) < 0.85


def test_only_one_mentioned_thing_is_of_the_requested_kind(emoji_wheel):
    """All facts of such a context are in the territory of the question, and only one thing is of
    the requested kind."""
    options = OPTIONS | {"languages": ["eng"], "kind_fraction": 1.0, "exact_fraction": 0.0}
    words = words_of("eng", tuple(templates("eng")["company"]), emoji_wheel)["test"]
    kind_of = {noun: kind for kind, nouns in words.things.items() for noun in nouns}
    for record in generate("question_answering", emoji_wheel, **options)["test"]:
        mentioned = longest_matches(record["context"], kind_of)
        assert len(mentioned) == 3
        requested_kind = kind_of[record["answers"][0]["text"]]
        assert requested_kind in record["question"]
        assert [kind_of[noun] for noun in mentioned].count(requested_kind) == 1


def longest_matches(text: str, nouns: Iterable[str]) -> list[str]:
    ordered = sorted(nouns, key=len, reverse=True)
    return re.findall(rf"(?<=the )(?:{'|'.join(map(re.escape, ordered))})\b", text)


@pytest.mark.parametrize(
    ("exact_fraction", "expected"),
    [(0.0, {"entailment"}), (1.0, {"entailment", "contradiction", "neutral"})],
)
def test_verdict_decides_the_label_unless_the_fact_is_exact(exact_fraction, expected, emoji_wheel):
    options = OPTIONS | {
        "languages": ["eng"],
        "exact_fraction": exact_fraction,
        "kind_fraction": 0.0,
    }
    (certain_verdict,) = templates("eng")["verdict"]["certain"]["test"]
    certain_verdict = running_text(certain_verdict.split(), spaced=True)[0]
    labels = {
        record["label"]
        for record in generate("pair_classification", emoji_wheel, **options)["test"]
        if record["first"].endswith(certain_verdict)
    }
    assert labels == expected


def test_texts_cover_the_words_of_the_requested_languages(emoji_wheel):
    found = list(texts(emoji_wheel, languages=["deu", "zho"], sentences=50))
    assert collections.Counter(text["language"] for text in found) == {"deu": 50, "zho": 50}
    assert any("Land" in text["text"] for text in found)


# Bad options


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"languages": ["eng", "fra"]}, "options.languages.1"),
        ({"languages": []}, "options.languages"),
        ({"languages": ["eng", "eng"]}, "options.languages"),
        ({"examples": {"train": 0, "dev": 1, "test": 1}}, "options.examples.train"),
        ({"examples": {"train": 1, "dev": 1}}, "'test'"),
        ({"seed": "one"}, "options.seed"),
        ({"near_fraction": 1.5}, "options.near_fraction"),
        ({"distractors": 6}, "options.distractors"),
        ({"distractor": 2}, "distractor"),
        ({"kind_fraction": 0.7, "exact_fraction": 0.7}, "options.kind_fraction"),
    ],
)
def test_invalid_option_is_named_in_the_error(emoji_wheel, options, key):
    with pytest.raises(InputError, match=re.escape(key)):
        generate("question_answering", emoji_wheel, **OPTIONS | options)


def test_missing_option_is_named_in_the_error(emoji_wheel):
    with pytest.raises(InputError, match="seed"):
        generate("question_answering", emoji_wheel, languages=["eng"], examples=EXAMPLES)


def test_more_queries_than_territories_are_refused(emoji_wheel):
    options = OPTIONS | {"examples": {"train": 10, "dev": 200, "test": 10}}
    with pytest.raises(InputError, match=r"options\.examples\.dev"):
        generate("ranking", emoji_wheel, **options)


def test_an_unknown_kind_is_refused(emoji_wheel):
    with pytest.raises(InputError, match="summarisation"):
        generate("summarisation", emoji_wheel, **OPTIONS)
