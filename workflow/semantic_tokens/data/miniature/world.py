"""The facts of the miniature datasets, and their statements in one language."""

import dataclasses
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from semantic_tokens.data.miniature.sentences import Sentence, fill, templates
from semantic_tokens.data.miniature.words import KINDS, SPLITS, Words, words_of

Fact = tuple[str, dict[str, str]]  # relation, slot -> words

# Slots: P person, C company, L territory, T thing, D date.
RELATIONS = {"buy": "PTL", "photo": "PTL", "join": "PCD", "ship": "CTL"}
# The slots that questions ask for. Each needs a question template.
QUESTIONS = {"buy": "PT", "photo": "PT", "join": "CD", "ship": "LT"}
# Relations of the same person and thing, neither of which implies the other.
TWIN = {"buy": "photo", "photo": "buy"}
HAS_PLACE = ("buy", "photo", "ship")
VERDICTS = ("certain", "denied", "open")


class Narrator:
    """States facts in one language, with the words and templates of one split."""

    def __init__(self, language: str, split: str, emoji_wheel: Path, rng: random.Random) -> None:
        self.split, self.rng = split, rng
        self.templates = templates(language)
        forms = tuple(self.templates["company"])
        self.words: Words = words_of(language, forms, emoji_wheel)[split]

    def filler(self, slot: str) -> str:
        """Random words for a slot. Things of all kinds are equally frequent."""
        match slot:
            case "P":
                return self.words.short_name(self.rng)
            case "C":
                return self.words.company(self.rng)
            case "L":
                return self.rng.choice(self.words.territories)
            case "D":
                return self.words.date(self.rng)
            case _:
                return self.words.thing(self.rng, self.kind())

    def kind(self) -> str:
        return self.rng.choice(list(KINDS))

    def kind_word(self, kind: str) -> str:
        """The word for a kind of things: food, animal …"""
        return self.templates["kinds"][kind]

    def things_of_other_kinds(self, kind: str, count: int) -> list[str]:
        kinds = self.rng.sample([other for other in KINDS if other != kind], count)
        return [self.words.thing(self.rng, other) for other in kinds]

    def other(self, slot: str, than: str, near_fraction: float = 0.0) -> str:
        """Other words for a slot. In ``near_fraction`` of cases, a thing keeps its kind."""
        if slot == "T" and self.rng.random() < near_fraction:
            return self.words.near_thing(self.rng, than)
        while (word := self.filler(slot)) == than:
            pass
        return word

    def fact(self, relation: str, **given: str) -> Fact:
        """A fact of a relation. Slots that are not given are random."""
        return relation, {
            slot: given.get(slot) or self.filler(slot) for slot in RELATIONS[relation]
        }

    def tell(self, fact: Fact, template: int | None = None) -> Sentence:
        """A statement of a fact, from a template of this split."""
        choices = self.templates[fact[0]][self.split]
        index = self.rng.randrange(len(choices)) if template is None else template
        return self._fill(choices[index], fact[1])

    def tell_with_verdict(self, fact: Fact, verdict: str, template: int | None = None) -> str:
        """A statement of a fact, and a sentence that calls it certain, denied or open."""
        comment = self.rng.choice(self.templates["verdict"][verdict][self.split])
        return self.join_texts([self.tell(fact, template).text, self._fill(comment, {}).text])

    def ask(self, fact: Fact, slot: str) -> str:
        """The question for one slot of a fact."""
        question = self.templates["ask"][f"{fact[0]}_{slot}"][SPLITS.index(self.split)]
        return self._fill(question, fact[1]).text

    def ask_which(self, kind: str, territory: str) -> str:
        """The question for the thing of one kind in a territory."""
        question = self.templates["which"][SPLITS.index(self.split)]
        return self._fill(question, {"K": self.kind_word(kind), "L": territory}).text

    def mention(self, slot: str) -> Sentence:
        """A sentence in which only the name itself shows its type."""
        template = self.rng.choice(self.templates["ambiguous"][self.split])
        sentence = self._fill(template, {"X": self.filler(slot)})
        return dataclasses.replace(sentence, spans={slot: sentence.spans["X"]})

    def anything(self) -> str:
        """A statement with a verdict, or a question."""
        relation = self.rng.choice(list(RELATIONS))
        fact = self.fact(relation)
        if self.rng.random() < 0.5:
            return self.tell_with_verdict(fact, self.rng.choice(VERDICTS))
        if self.rng.random() < 0.5:
            return self.ask_which(self.kind(), self.filler("L"))
        return self.ask(fact, self.rng.choice(QUESTIONS[relation]))

    def join_texts(self, texts: Sequence[str]) -> str:
        return (" " if self.templates["spaced"] else "").join(texts)

    def _fill(self, template: str, fillers: Mapping[str, str]) -> Sentence:
        return fill(template, fillers, self.templates["spaced"])
