"""The four datasets: what is asked of the sentences.

All draw facts from one small world of three relations: somebody buys a thing in a country,
joins a company on a day, or a company ships a thing to a country. What makes the tasks hard is
the same everywhere: distractors that share all but one word with the right answer, so that a
reader has to tell like words apart.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from semantic_tokens.errors import InputError
from semantic_tokens.miniature.sentences import Sentence, fill, templates
from semantic_tokens.miniature.words import SPLITS, Words, words_of

Fact = tuple[str, dict[str, str]]  # relation, slot -> words
Examples = dict[str, list[dict[str, Any]]]

RELATIONS = {"buy": "PTL", "join": "PCD", "ship": "CTL"}
QUESTIONS = {"buy": "PT", "join": "CD", "ship": "LT"}
_ENTITIES = {"P": "PER", "C": "ORG", "L": "LOC", "D": "DATE"}


class Narrator:
    """Tells facts in one language with one split's words and templates."""

    def __init__(self, language: str, split: str, emoji_wheel: Path, rng: random.Random) -> None:
        self.language, self.split, self.rng = language, split, rng
        self.templates = templates(language)
        forms = tuple(self.templates["company"])
        self.words: Words = words_of(language, forms, emoji_wheel)[split]

    def filler(self, slot: str) -> str:
        draw = {
            "P": self.words.person,
            "C": self.words.company,
            "L": self.words.territory,
            "T": self.words.thing,
            "D": self.words.date,
        }
        return draw[slot](self.rng)

    def other(self, slot: str, than: str, near: bool = False) -> str:
        """Another filler of a slot; a near one is a thing of the same kind."""
        if near and slot == "T":
            return self.words.near_thing(self.rng, than)
        while (word := self.filler(slot)) == than:
            pass
        return word

    def fact(self, relation: str, **given: str) -> Fact:
        return relation, {
            slot: given.get(slot) or self.filler(slot) for slot in RELATIONS[relation]
        }

    def tell(self, fact: Fact, template: int | None = None) -> Sentence:
        """A statement of a fact, by a template of this split."""
        choices = self.templates[fact[0]][self.split]
        index = self.rng.randrange(len(choices)) if template is None else template
        return self._fill(choices[index], fact[1])

    def ask(self, fact: Fact, slot: str) -> str:
        """The question for one slot of a fact."""
        question = self.templates["ask"][f"{fact[0]}_{slot}"][SPLITS.index(self.split)]
        return self._fill(question, fact[1]).text

    def mention(self, slot: str) -> Sentence:
        """A sentence that says nothing of what it names: only the name tells what that is."""
        template = self.rng.choice(self.templates["ambiguous"][self.split])
        sentence = self._fill(template, {"X": self.filler(slot)})
        return Sentence(sentence.tokens, {slot: sentence.spans["X"]}, sentence.text, {})

    def join_texts(self, texts: Sequence[str]) -> str:
        return (" " if self.templates["spaced"] else "").join(texts)

    def _fill(self, template: str, fillers: Mapping[str, str]) -> Sentence:
        return fill(template, fillers, self.templates["spaced"])


def named_entities(narrator: Narrator, count: int, options: dict[str, Any]) -> Iterator[dict]:
    """Names of people, organisations and places, and dates. ``ambiguous_fraction`` of the
    sentences do not tell of which kind a name is."""
    for _ in range(count):
        if narrator.rng.random() < options["ambiguous_fraction"]:
            sentence = narrator.mention(narrator.rng.choice("PCL"))
        else:
            sentence = narrator.tell(narrator.fact(narrator.rng.choice(list(RELATIONS))))
        tags = ["O"] * len(sentence.tokens)
        for slot, (first, end) in sentence.spans.items():
            if slot in _ENTITIES:
                tags[first:end] = [f"I-{_ENTITIES[slot]}"] * (end - first)
                tags[first] = f"B-{_ENTITIES[slot]}"
        yield {"tokens": list(sentence.tokens), "tags": tags}


def question_answering(narrator: Narrator, count: int, options: dict[str, Any]) -> Iterator[dict]:
    """A question about one of several facts that differ from each other in one of the words
    that it names; a thing is exchanged for one of its kind in ``near_fraction`` of the cases."""
    for _ in range(count):
        relation = narrator.rng.choice(list(RELATIONS))
        slot = narrator.rng.choice(QUESTIONS[relation])
        target = narrator.fact(relation)
        facts = [target, *distractors(narrator, target, slot, options)]
        order = narrator.rng.sample(range(len(facts)), len(facts))
        context, start = "", 0
        for index in order:
            sentence = narrator.tell(facts[index])
            context = narrator.join_texts([context, sentence.text]) if context else sentence.text
            if index == 0:
                start = len(context) - len(sentence.text) + sentence.characters[slot][0]
        answer = {"text": answer_text(narrator, target[1][slot]), "start": start}
        yield {
            "context": context,
            "question": narrator.ask(target, slot),
            "answers": [answer],
        }


def answer_text(narrator: Narrator, words: str) -> str:
    return narrator.join_texts(words.split())


def distractors(
    narrator: Narrator, fact: Fact, asked: str, options: dict[str, Any]
) -> Iterator[Fact]:
    """Facts of the same relation that share all but one of the slots a question names; one for
    each of these slots."""
    relation, fillers = fact
    for slot in RELATIONS[relation]:
        if slot != asked:
            near = narrator.rng.random() < options["near_fraction"]
            changed = narrator.other(slot, fillers[slot], near)
            answer = narrator.other(asked, fillers[asked])
            yield relation, {**fillers, slot: changed, asked: answer}


def sentence_pairs(narrator: Narrator, count: int, options: dict[str, Any]) -> Iterator[dict]:
    """Premise and hypothesis. Entailment tells the same fact by another template; contradiction
    changes one word about the same subject; neutral speaks of another subject, or tells
    something else of this one. Hypotheses of all three are drawn alike."""
    subjects = {"buy": "P", "join": "P", "ship": "C"}
    related = {"buy": "join", "join": "buy", "ship": "join"}
    labels = ("entailment", "contradiction", "neutral")
    for number in range(count):
        relation = narrator.rng.choice(list(RELATIONS))
        label = labels[number % 3]
        subject = subjects[relation]
        # The hypothesis comes first: its kind must not depend on the label.
        hypothesis = narrator.fact(relation)
        fillers = dict(hypothesis[1])
        premise = hypothesis
        if label == "contradiction":
            slot = narrator.rng.choice([s for s in RELATIONS[relation] if s != subject])
            near = narrator.rng.random() < options["near_fraction"]
            premise = relation, {**fillers, slot: narrator.other(slot, fillers[slot], near)}
        elif label == "neutral" and narrator.rng.random() < 0.5:
            premise = relation, {**fillers, subject: narrator.other(subject, fillers[subject])}
        elif label == "neutral":
            premise = narrator.fact(related[relation], **{subject: fillers[subject]})
        first = narrator.rng.randrange(2)
        told = narrator.tell(hypothesis, 1 - first if premise[0] == relation else None)
        yield {"first": narrator.tell(premise, first).text, "second": told.text, "label": label}


def rankings(narrator: Narrator, count: int, options: dict[str, Any]) -> Iterator[dict]:
    """A question, the passage that answers it, and passages that share most of its words: other
    facts of the relation, and the same words in the other relation that has them."""
    for _ in range(count):
        relation = narrator.rng.choice(list(RELATIONS))
        slot = narrator.rng.choice(QUESTIONS[relation])
        target = narrator.fact(relation)
        others = list(distractors(narrator, target, slot, options))
        if slot in "PL" or relation == "join":
            shared = {s: w for s, w in target[1].items() if s != slot}
        else:
            shared = {"L": target[1]["L"]}
        twin = {"buy": "ship", "ship": "buy", "join": "buy"}[relation]
        common = {s: w for s, w in shared.items() if s in RELATIONS[twin]}
        others += [narrator.fact(twin, **common) for _ in range(options["twins"])]
        texts = [narrator.tell(fact).text for fact in [target, *others]]
        yield {"query": narrator.ask(target, slot), "passages": texts}


GENERATORS: dict[str, Callable[[Narrator, int, dict[str, Any]], Iterator[dict]]] = {
    "token_classification": named_entities,
    "question_answering": question_answering,
    "pair_classification": sentence_pairs,
    "ranking": rankings,
}


def generate(
    kind: str,
    emoji_wheel: str | Path,
    *,
    languages: Sequence[str],
    examples: Mapping[str, int],
    seed: int,
    ambiguous_fraction: float = 0.5,
    near_fraction: float = 0.5,
    twins: int = 1,
) -> Examples:
    """Generate a dataset in canonical form.

    Args:
        kind: a key of :data:`GENERATORS`.
        emoji_wheel: the archive that names things.
        examples: how many (queries, for ranking) each split has in every language.
        seed: every language and split draws from a stream of its own.
        ambiguous_fraction: share of NER sentences that tell nothing of a name's kind.
        near_fraction: how often a thing is exchanged for one of its kind.
        twins: passages a query that repeat its words in another relation.

    Returns:
        the splits, and ``passages`` for ranking.

    Raises:
        InputError: there is no such kind or language.
    """
    if kind not in GENERATORS:
        raise InputError(
            f"no miniature task is of kind {kind!r}; use one of {', '.join(GENERATORS)}"
        )
    options = {
        "ambiguous_fraction": ambiguous_fraction,
        "near_fraction": near_fraction,
        "twins": twins,
    }
    made: Examples = {split: [] for split in SPLITS}
    passages: list[dict[str, Any]] = []
    for split in SPLITS:
        for language in languages:
            rng = random.Random(f"{kind}/{split}/{language}/{seed}")
            narrator = Narrator(language, split, Path(emoji_wheel), rng)
            drawn = GENERATORS[kind](narrator, examples[split], options)
            for number, example in enumerate(drawn):
                identity = {"id": f"{language}-{split}-{number}", "language": language}
                if kind == "ranking":
                    for index, text in enumerate(example.pop("passages")):
                        passage = {"id": f"{identity['id']}-{index}", "language": language}
                        passages.append(passage | {"title": "", "text": text})
                    example["relevant"] = {f"{identity['id']}-0": 1}
                made[split].append(identity | example)
    return made | {"passages": sorted(passages, key=lambda p: p["id"])} if passages else made
