"""The examples of each miniature task, generated from facts.

Every task requires the meaning of words: the kind of a thing (food, animal, plant …), whether a
sentence says certain, denied or open, or the difference between two similar words. No noun, name or
template of the test split is in a training text, so their meaning must come from the embeddings.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from semantic_tokens.data.miniature.options import Options
from semantic_tokens.data.miniature.world import (
    HAS_PLACE,
    QUESTIONS,
    RELATIONS,
    TWIN,
    VERDICTS,
    Fact,
    Narrator,
)
from semantic_tokens.errors import InputError

Record = dict[str, Any]

_ENTITIES = {"P": "PER", "C": "ORG", "L": "LOC", "D": "DATE"}
LABELS = ("entailment", "contradiction", "neutral")
_VERDICT_OF = dict(zip(LABELS, VERDICTS, strict=True))
# label -> what can differ in a pair, if the verdict does not decide
_DECISIVE = {"contradiction": ("T", "L"), "neutral": ("P", "relation")}


def named_entities(narrator: Narrator, count: int, options: Options) -> Iterator[Record]:
    """Sentences with people (PER), companies (ORG), territories (LOC) and dates (DATE)."""
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
    """A question and several facts. Only the first fact answers it, with one of its slots."""

    question: str
    asked: str
    facts: Sequence[Fact]


def riddle_of_kinds(narrator: Narrator, territory: str, options: Options) -> Riddle:
    """Ask for the thing of one kind in a territory that also has things of other kinds.

    The words of all facts match the question equally well, so the kinds must be known.
    """
    kind = narrator.kind()
    things = [narrator.words.thing(narrator.rng, kind)]
    things += narrator.things_of_other_kinds(kind, options.distractors)
    facts = [
        narrator.fact(narrator.rng.choice(HAS_PLACE), L=territory, T=thing) for thing in things
    ]
    return Riddle(narrator.ask_which(kind, territory), "T", facts)


def riddle_of_words(narrator: Narrator, fact: Fact, asked: str, options: Options) -> Riddle:
    """Ask for a slot of a fact. Each of the other facts differs in one word that the question
    contains, or in the relation."""
    relation, fillers = fact
    others: list[Fact] = []
    for slot in RELATIONS[relation]:
        if slot != asked:
            changed = narrator.other(slot, fillers[slot], options.near_fraction)
            answer = narrator.other(asked, fillers[asked])
            others.append((relation, fillers | {slot: changed, asked: answer}))
    if relation in TWIN:
        answer = narrator.other(asked, fillers[asked])
        others.append((TWIN[relation], fillers | {asked: answer}))
    narrator.rng.shuffle(others)
    return Riddle(narrator.ask(fact, asked), asked, [fact, *others[: options.distractors]])


def riddle_of_relations(narrator: Narrator, fact: Fact, asked: str, others: int) -> Riddle:
    """Ask for a slot of a fact. The other facts, if any, have other relations."""
    relations = [relation for relation in RELATIONS if relation != fact[0]]
    chosen = narrator.rng.sample(relations, min(others, len(relations)))
    facts = [fact, *(narrator.fact(relation) for relation in chosen)]
    return Riddle(narrator.ask(fact, asked), asked, facts)


def draw_riddle(
    narrator: Narrator, options: Options, others: int, territory: str | None = None
) -> Riddle:
    """Draw a riddle of kinds (``kind_fraction``), of words (``exact_fraction``) or of relations.

    Args:
        others: the number of other facts in a riddle of relations.
        territory: the territory that the question must name, if any.
    """
    draw = narrator.rng.random()
    if draw < options.kind_fraction:
        return riddle_of_kinds(narrator, territory or narrator.filler("L"), options)
    choices = [
        (relation, asked)
        for relation, slots in QUESTIONS.items()
        for asked in slots
        if not territory or (relation in HAS_PLACE and asked != "L")
    ]
    relation, asked = narrator.rng.choice(choices)
    fact = narrator.fact(relation, L=territory) if territory else narrator.fact(relation)
    if draw < options.kind_fraction + options.exact_fraction:
        return riddle_of_words(narrator, fact, asked, options)
    return riddle_of_relations(narrator, fact, asked, others)


def question_answering(narrator: Narrator, count: int, options: Options) -> Iterator[Record]:
    """A riddle whose facts form one text in random order. The answer is a part of the text.

    If only the question word (who, what, where, when) decides, the text contains a single fact.
    Then the meaning of the words decides, and not which sentence is found.
    """
    for _ in range(count):
        riddle = draw_riddle(narrator, options, 0)
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
    """Pairs of a premise (a statement about an event, and a verdict) and a hypothesis (that the
    event took place).

    In most pairs, the verdict decides: certain (entailment), denied (contradiction) or open
    (neutral). In ``exact_fraction`` of the last two, the premise is certain and differs from the
    hypothesis in one word. For a contradiction this is the thing or the place, because both
    sentences are assumed to be about the same event, as usual in NLI. For neutral it is the person
    or the relation. ``kind_fraction`` of the hypotheses name the thing by its kind. Hypotheses have
    the same distribution for all three labels.
    """
    for number in range(count):
        label = LABELS[number % len(LABELS)]
        relation, kind = narrator.rng.choice(list(TWIN)), narrator.kind()
        _, claimed = narrator.fact(relation, T=narrator.words.thing(narrator.rng, kind))
        stated = dict(claimed)
        names_kind = narrator.rng.random() < options.kind_fraction
        if names_kind:
            claimed["T"] = narrator.kind_word(kind)
        hypothesis = relation, claimed
        verdict = _VERDICT_OF[label]
        if label != "entailment" and narrator.rng.random() < options.exact_fraction:
            verdict = "certain"
            changed = narrator.rng.choice(_DECISIVE[label])
            if changed == "relation":
                relation = TWIN[relation]
            elif changed == "T" and names_kind:
                stated["T"] = narrator.things_of_other_kinds(kind, 1)[0]
            else:
                stated[changed] = narrator.other(changed, stated[changed], options.near_fraction)
        template = narrator.rng.randrange(2)
        yield {
            "first": narrator.tell_with_verdict((relation, stated), verdict, template),
            "second": narrator.tell(hypothesis, 1 - template).text,
            "label": label,
        }


def rankings(narrator: Narrator, count: int, options: Options) -> Iterator[Record]:
    """A riddle with one passage per fact, each with a verdict. The first passage is certain, and
    relevant. ``rumour_fraction`` of the others would answer the query if they were certain.

    Within a language and split, every query names another territory, and the passages of other
    queries do not name it. So no other passage of the collection answers it.

    Raises:
        InputError: there are too few territories.
    """
    places = narrator.words.territories
    if count >= len(places):
        raise InputError(
            f"`options.examples.{narrator.split}` of a miniature dataset is {count}, and each query "
            f"takes one of the {len(places)} territories that {narrator.words.language} has there; "
            f"give {len(places) - 1} or fewer"
        )
    asked_about = narrator.rng.sample(places, count)
    elsewhere = [place for place in places if place not in asked_about]
    for territory in asked_about:
        riddle = draw_riddle(narrator, options, options.distractors, territory)
        passages = []
        for index, (relation, stated) in enumerate(riddle.facts):
            verdict = "certain" if index == 0 else narrator.rng.choice(VERDICTS)
            if index and narrator.rng.random() < options.rumour_fraction:
                relation, stated = riddle.facts[0]
                stated = stated | {
                    riddle.asked: narrator.other(riddle.asked, stated[riddle.asked], 1.0)
                }
                verdict = narrator.rng.choice(["denied", "open"])
            if stated.get("L", territory) != territory:
                stated = stated | {"L": narrator.rng.choice(elsewhere)}
            passage = narrator.tell_with_verdict((relation, stated), verdict)
            if passage not in passages:
                passages.append(passage)
        yield {"query": riddle.question, "passages": passages}
