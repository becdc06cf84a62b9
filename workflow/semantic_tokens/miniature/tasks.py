"""The four datasets: what is asked of the sentences.

All draw facts from one small world: somebody buys or photographs a thing in a country, joins a
company on a day, or a company ships a thing to a country. What the tasks ask is the same
everywhere: to know what kind of thing a word names (food, animal, plant, clothing, vehicle,
tool), or to tell two like words apart. The nouns and names of the test split are in no training
text, so what they mean has to come from the embeddings.
"""

import dataclasses
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semantic_tokens.errors import InputError
from semantic_tokens.miniature.sentences import Sentence, fill, templates
from semantic_tokens.miniature.words import KINDS, LANGUAGES, SPLITS, Words, words_of

Fact = tuple[str, dict[str, str]]  # relation, slot -> words
Record = dict[str, Any]

# Slots: P person, C company, L territory, T thing, D date.
RELATIONS = {"buy": "PTL", "photo": "PTL", "join": "PCD", "ship": "CTL"}
QUESTIONS = {"buy": "PT", "photo": "PT", "join": "CD", "ship": "LT"}
# What the same person may also have done, of which nothing follows.
_TWIN = {"buy": "photo", "photo": "buy"}
_HAS_PLACE = ("buy", "photo", "ship")
_ENTITIES = {"P": "PER", "C": "ORG", "L": "LOC", "D": "DATE"}
LABELS = ("entailment", "contradiction", "neutral")
# What differs in a pair of that label, where the verdict does not decide.
_DECISIVE = {"contradiction": ("T", "L"), "neutral": ("P", "relation")}
_VERDICT_OF = {"entailment": "certain", "contradiction": "denied", "neutral": "open"}


@dataclass(frozen=True)
class Options:
    """How a dataset is drawn; every field is a key of the dataset's ``options``.

    Attributes:
        languages: ISO 639-3 codes out of :data:`LANGUAGES`.
        examples: how many (queries, for ranking) each split has in every language.
        seed: every language and split draws from a stream of its own.
        ambiguous_fraction: share of NER sentences that tell nothing of a name's type.
        kind_fraction: share of questions and hypotheses for which one has to know of what kind
            a thing is.
        exact_fraction: share of questions and pairs in which a single word decides.
        near_fraction: how often that word, if it is a thing, is exchanged for one of its kind.
        rumour_fraction: share of a query's other passages that would answer it, were they true.
        distractors: facts beside the one that answers, at most; 1 to 5. A context has fewer
            where nothing else requires them, and a query always has so many other passages, or
            as many as there are.
    """

    languages: Sequence[str]
    examples: Mapping[str, int]
    seed: int
    ambiguous_fraction: float = 0.5
    kind_fraction: float = 0.25
    exact_fraction: float = 0.25
    near_fraction: float = 0.5
    rumour_fraction: float = 0.5
    distractors: int = 2

    @classmethod
    def checked(cls, given: Mapping[str, Any]) -> "Options":
        """The options that a config gives.

        Raises:
            InputError: a key is missing, unknown or out of range; the message names it.
        """
        known = {field.name: field for field in dataclasses.fields(cls)}
        for key in given:
            if key not in known:
                raise _unusable(key, "is not known", f"use one of {', '.join(known)}")
        for key, field in known.items():
            if key not in given and field.default is dataclasses.MISSING:
                raise _unusable(key, "is missing", "add it")
        options = cls(**given)
        for language in options.languages:
            if language not in LANGUAGES:
                remedy = f"there are templates for {', '.join(LANGUAGES)}"
                raise _unusable("languages", f"has {language!r}", remedy)
        if not options.languages or len(set(options.languages)) < len(options.languages):
            raise _unusable("languages", "is empty or repeats itself", "name each language once")
        for split in SPLITS:
            if not _is_count(options.examples.get(split), least=1):
                raise _unusable(
                    f"examples.{split}", "is not a number of examples", "give 1 or more"
                )
        for key in (
            "ambiguous_fraction",
            "exact_fraction",
            "near_fraction",
            "rumour_fraction",
            "kind_fraction",
        ):
            if not 0 <= getattr(options, key) <= 1:
                raise _unusable(key, f"is {getattr(options, key)}", "give a number from 0 to 1")
        if not _is_count(options.distractors, least=1, most=len(KINDS) - 1):
            remedy = f"give a whole number from 1 to {len(KINDS) - 1}"
            raise _unusable("distractors", f"is {options.distractors}", remedy)
        return options


def _is_count(value: object, least: int, most: float = float("inf")) -> bool:
    return isinstance(value, int) and least <= value <= most


def _unusable(key: str, trouble: str, remedy: str) -> InputError:
    return InputError(f"option `{key}` of a miniature dataset {trouble}; {remedy}")


class Narrator:
    """Tells facts in one language with one split's words and templates."""

    def __init__(self, language: str, split: str, emoji_wheel: Path, rng: random.Random) -> None:
        self.split, self.rng = split, rng
        self.templates = templates(language)
        forms = tuple(self.templates["company"])
        self.words: Words = words_of(language, forms, emoji_wheel)[split]

    def filler(self, slot: str) -> str:
        """Words for a slot; things of all kinds are alike frequent."""
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
        """Another filler of a slot; a thing is of the same kind in ``near_fraction`` of cases."""
        if slot == "T" and self.rng.random() < near_fraction:
            return self.words.near_thing(self.rng, than)
        while (word := self.filler(slot)) == than:
            pass
        return word

    def fact(self, relation: str, **given: str) -> Fact:
        """A fact of a relation; slots that are not given are drawn."""
        return relation, {
            slot: given.get(slot) or self.filler(slot) for slot in RELATIONS[relation]
        }

    def tell(self, fact: Fact, template: int | None = None) -> Sentence:
        """A statement of a fact, by a template of this split."""
        choices = self.templates[fact[0]][self.split]
        index = self.rng.randrange(len(choices)) if template is None else template
        return self._fill(choices[index], fact[1])

    def tell_with_verdict(self, fact: Fact, verdict: str, template: int | None = None) -> str:
        """A statement of a fact, and a sentence that it is certain, denied or open."""
        comment = self.rng.choice(self.templates["verdict"][verdict][self.split])
        return self.join_texts([self.tell(fact, template).text, self._fill(comment, {}).text])

    def ask(self, fact: Fact, slot: str) -> str:
        """The question for one slot of a fact."""
        question = self.templates["ask"][f"{fact[0]}_{slot}"][SPLITS.index(self.split)]
        return self._fill(question, fact[1]).text

    def ask_which(self, kind: str, territory: str) -> str:
        """The question for the thing of a kind that there is in a territory."""
        question = self.templates["which"][SPLITS.index(self.split)]
        return self._fill(question, {"K": self.kind_word(kind), "L": territory}).text

    def mention(self, slot: str) -> Sentence:
        """A sentence that says nothing of what it names: only the name tells what that is."""
        template = self.rng.choice(self.templates["ambiguous"][self.split])
        sentence = self._fill(template, {"X": self.filler(slot)})
        return dataclasses.replace(sentence, spans={slot: sentence.spans["X"]})

    def join_texts(self, texts: Sequence[str]) -> str:
        return (" " if self.templates["spaced"] else "").join(texts)

    def _fill(self, template: str, fillers: Mapping[str, str]) -> Sentence:
        return fill(template, fillers, self.templates["spaced"])


def named_entities(narrator: Narrator, count: int, options: Options) -> Iterator[Record]:
    """Names of people (PER), companies (ORG) and territories (LOC), and dates (DATE)."""
    for _ in range(count):
        if narrator.rng.random() < options.ambiguous_fraction:
            sentence = narrator.mention(narrator.rng.choice("PCL"))
        else:
            relation = narrator.rng.choice(list(RELATIONS))
            person = narrator.words.full_name(narrator.rng)
            given = {"P": person} if "P" in RELATIONS[relation] else {}
            sentence = narrator.tell(narrator.fact(relation, **given))
        tags = ["O"] * len(sentence.tokens)
        for slot, (first, end) in sentence.spans.items():
            if slot in _ENTITIES:
                tags[first:end] = [f"I-{_ENTITIES[slot]}"] * (end - first)
                tags[first] = f"B-{_ENTITIES[slot]}"
        yield {"tokens": list(sentence.tokens), "tags": tags}


@dataclass(frozen=True)
class Riddle:
    """A question, and facts of which the first alone answers it, by one of its slots."""

    question: str
    asked: str
    facts: Sequence[Fact]


def riddle_of_kinds(narrator: Narrator, territory: str, options: Options) -> Riddle:
    """Ask for the thing of a kind in a territory where there are things of other kinds too: to
    the letter all fit alike, so the kind of each has to be known."""
    kind = narrator.kind()
    things = [narrator.words.thing(narrator.rng, kind)]
    things += narrator.things_of_other_kinds(kind, options.distractors)
    facts = [
        narrator.fact(narrator.rng.choice(_HAS_PLACE), L=territory, T=thing) for thing in things
    ]
    return Riddle(narrator.ask_which(kind, territory), "T", facts)


def riddle_of_words(narrator: Narrator, fact: Fact, asked: str, options: Options) -> Riddle:
    """Ask for a slot of a fact beside others that differ from it in one of the words that the
    question names, or in what was done."""
    relation, fillers = fact
    others: list[Fact] = []
    for slot in RELATIONS[relation]:
        if slot != asked:
            changed = narrator.other(slot, fillers[slot], options.near_fraction)
            answer = narrator.other(asked, fillers[asked])
            others.append((relation, fillers | {slot: changed, asked: answer}))
    if relation in _TWIN:
        answer = narrator.other(asked, fillers[asked])
        others.append((_TWIN[relation], fillers | {asked: answer}))
    narrator.rng.shuffle(others)
    return Riddle(narrator.ask(fact, asked), asked, [fact, *others[: options.distractors]])


def riddle_of_relations(narrator: Narrator, fact: Fact, asked: str, others: int) -> Riddle:
    """Ask for a slot of a fact beside facts of other relations, if there are others at all."""
    relations = [relation for relation in RELATIONS if relation != fact[0]]
    chosen = narrator.rng.sample(relations, min(others, len(relations)))
    facts = [fact, *(narrator.fact(relation) for relation in chosen)]
    return Riddle(narrator.ask(fact, asked), asked, facts)


def draw_riddle(
    narrator: Narrator, options: Options, others: int, territory: str | None = None
) -> Riddle:
    """A riddle of kinds in ``kind_fraction`` of the cases, of words in ``exact_fraction``, else
    of relations, with so many others; its question names the territory, where one is given."""
    draw = narrator.rng.random()
    if draw < options.kind_fraction:
        return riddle_of_kinds(narrator, territory or narrator.filler("L"), options)
    choices = [
        (relation, asked)
        for relation, slots in QUESTIONS.items()
        for asked in slots
        if not territory or (relation in _HAS_PLACE and asked != "L")
    ]
    relation, asked = narrator.rng.choice(choices)
    fact = narrator.fact(relation, L=territory) if territory else narrator.fact(relation)
    if draw < options.kind_fraction + options.exact_fraction:
        return riddle_of_words(narrator, fact, asked, options)
    return riddle_of_relations(narrator, fact, asked, others)


def question_answering(narrator: Narrator, count: int, options: Options) -> Iterator[Record]:
    """A riddle whose facts are told in one text, in any order; the answer is a part of it."""
    for _ in range(count):
        riddle = draw_riddle(narrator, options, narrator.rng.randint(0, options.distractors))
        context, answer = "", {}
        for index in narrator.rng.sample(range(len(riddle.facts)), len(riddle.facts)):
            sentence = narrator.tell(riddle.facts[index])
            context = narrator.join_texts([context, sentence.text]) if context else sentence.text
            if index == 0:
                first, end = sentence.characters[riddle.asked]
                start = len(context) - len(sentence.text) + first
                answer = {"text": sentence.text[first:end], "start": start}
        yield {"context": context, "question": riddle.question, "answers": [answer]}


def sentence_pairs(narrator: Narrator, count: int, options: Options) -> Iterator[Record]:
    """A premise, that tells of an event and what to hold of it, and the hypothesis that the event
    took place.

    In most pairs the verdict decides: certain (entailment), denied (contradiction) or open
    (neutral). In ``exact_fraction`` of the last two the premise is certain, and what it tells
    differs from the hypothesis in one word: in the thing or the place (contradiction: both are
    taken to speak of one event, as is the custom in NLI), or in the person or in what was done
    (neutral). ``kind_fraction`` of the hypotheses name the thing by its kind. Hypotheses alone
    are drawn alike for the three labels.
    """
    for number in range(count):
        label = LABELS[number % len(LABELS)]
        relation, kind = narrator.rng.choice(list(_TWIN)), narrator.kind()
        _, claimed = narrator.fact(relation, T=narrator.words.thing(narrator.rng, kind))
        told = dict(claimed)
        if narrator.rng.random() < options.kind_fraction:
            claimed["T"] = narrator.kind_word(kind)
        hypothesis = relation, claimed
        verdict = _VERDICT_OF[label]
        if label != "entailment" and narrator.rng.random() < options.exact_fraction:
            verdict = "certain"
            changed = narrator.rng.choice(_DECISIVE[label])
            if changed == "relation":
                relation = _TWIN[relation]
            elif changed == "T":
                told["T"] = narrator.things_of_other_kinds(kind, 1)[0]
            else:
                told[changed] = narrator.other(changed, told[changed])
        template = narrator.rng.randrange(2)
        yield {
            "first": narrator.tell_with_verdict((relation, told), verdict, template),
            "second": narrator.tell(hypothesis, 1 - template).text,
            "label": label,
        }


def rankings(narrator: Narrator, count: int, options: Options) -> Iterator[Record]:
    """A riddle whose facts are a passage each, with a verdict; the first, which is certain, is
    relevant. ``rumour_fraction`` of the others would answer, were they not denied or open.

    Every query of a language and split names a territory that no other does, nor does another's
    passage, so nothing else in the collection answers it.

    Raises:
        InputError: there are not as many territories.
    """
    places = narrator.words.territories
    if count >= len(places):
        raise _unusable(
            f"examples.{narrator.split}",
            f"is {count} and {narrator.words.language} has names of {len(places)} territories "
            "there, one for each query",
            f"give {len(places) - 1} or fewer",
        )
    asked_about = narrator.rng.sample(places, count)
    elsewhere = [place for place in places if place not in asked_about]
    for territory in asked_about:
        riddle = draw_riddle(narrator, options, options.distractors, territory)
        passages = []
        for index, (relation, told) in enumerate(riddle.facts):
            verdict = "certain" if index == 0 else narrator.rng.choice(list(_VERDICT_OF.values()))
            if index and narrator.rng.random() < options.rumour_fraction:
                relation, told = riddle.facts[0]
                told = told | {riddle.asked: narrator.other(riddle.asked, told[riddle.asked], 1.0)}
                verdict = narrator.rng.choice(["denied", "open"])
            if told.get("L", territory) != territory:
                told = told | {"L": narrator.rng.choice(elsewhere)}
            passages.append(narrator.tell_with_verdict((relation, told), verdict))
        yield {"query": riddle.question, "passages": passages}


GENERATORS: dict[str, Callable[[Narrator, int, Options], Iterator[Record]]] = {
    "token_classification": named_entities,
    "question_answering": question_answering,
    "pair_classification": sentence_pairs,
    "ranking": rankings,
}


def generate(kind: str, emoji_wheel: str | Path, **given: Any) -> dict[str, list[Record]]:
    """Generate a dataset in canonical form.

    Args:
        kind: a key of :data:`GENERATORS`.
        emoji_wheel: the archive that names things.
        given: the fields of :class:`Options`.

    Returns:
        the splits, and ``passages`` for ranking. The same options make the same records; those
        of a language do not depend on which others there are.

    Raises:
        InputError: there is no such kind, or an option is unusable.
    """
    if kind not in GENERATORS:
        raise InputError(
            f"no miniature task is of kind {kind!r}; use one of {', '.join(GENERATORS)}"
        )
    options = Options.checked(given)
    made: dict[str, list[Record]] = {split: [] for split in SPLITS}
    if kind == "ranking":
        made["passages"] = []
    for split in SPLITS:
        for language in options.languages:
            rng = random.Random(f"{kind}/{split}/{language}/{options.seed}")
            narrator = Narrator(language, split, Path(emoji_wheel), rng)
            drawn = GENERATORS[kind](narrator, options.examples[split], options)
            for number, example in enumerate(drawn):
                identity = {"id": f"{language}-{split}-{number}", "language": language}
                if kind == "ranking":
                    passages = _passages(identity["id"], language, example.pop("passages"), rng)
                    made["passages"] += passages.values()
                    example["relevant"] = {passages[0]["id"]: 1}
                made[split].append(identity | example)
    return made


def _passages(
    query: str, language: str, texts: Sequence[str], rng: random.Random
) -> dict[int, Record]:
    """Number a query's passages in any order: an id must not tell which is relevant."""
    places = rng.sample(range(len(texts)), len(texts))
    return {
        index: {"id": f"{query}-{place}", "language": language, "title": "", "text": texts[index]}
        for index, place in enumerate(places)
    }
