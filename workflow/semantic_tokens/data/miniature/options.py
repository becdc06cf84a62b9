"""The options of a miniature dataset."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from semantic_tokens.data.miniature.words import KINDS, LANGUAGES, SPLITS
from semantic_tokens.errors import InputError

_COUNT = {"type": "integer", "minimum": 1}
_FRACTION = {"type": "number", "minimum": 0, "maximum": 1}
_SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["languages", "examples", "seed"],
    "properties": {
        "languages": {
            "type": "array",
            "items": {"enum": list(LANGUAGES)},
            "minItems": 1,
            "uniqueItems": True,
        },
        "examples": {
            "type": "object",
            "additionalProperties": False,
            "required": list(SPLITS),
            "properties": dict.fromkeys(SPLITS, _COUNT),
        },
        "seed": {"type": "integer"},
        "ambiguous_fraction": _FRACTION,
        "kind_fraction": _FRACTION,
        "exact_fraction": _FRACTION,
        "near_fraction": _FRACTION,
        "rumour_fraction": _FRACTION,
        "distractors": _COUNT | {"maximum": len(KINDS) - 1},
    },
}
_WHOLE = ("seed", "distractors", *(f"examples.{split}" for split in SPLITS))


@dataclass(frozen=True)
class Options:
    """The options of a dataset; every field is a key of the dataset's ``options``.

    Attributes:
        languages: ISO 639-3 codes from :data:`LANGUAGES`.
        examples: the number of examples (for ranking, queries) per split and language.
        seed: the random seed; every language and split has its own random stream.
        ambiguous_fraction: the fraction of NER sentences that do not show a name's type.
        kind_fraction: the fraction of questions and hypotheses about the kind of a thing.
        exact_fraction: the fraction of questions and pairs in which a single word decides.
        near_fraction: how often this word, if it is a thing, is replaced by another of its kind.
        rumour_fraction: the fraction of a query's other passages that would answer it if they were
            true.
        distractors: the number of other facts, at most 5. A context has fewer if it needs fewer.
    """

    languages: Sequence[str]
    examples: Mapping[str, int]
    seed: int
    ambiguous_fraction: float = 0.5
    kind_fraction: float = 0.25
    exact_fraction: float = 0.2
    near_fraction: float = 0.5
    rumour_fraction: float = 0.75
    distractors: int = 2

    @classmethod
    def checked(cls, given: Mapping[str, Any]) -> "Options":
        """The options that a config gives.

        Raises:
            InputError: a key is missing, unknown or out of range; the message names it.
        """
        import jsonschema

        validator = jsonschema.Draft202012Validator(_SCHEMA)
        error = jsonschema.exceptions.best_match(validator.iter_errors(dict(given)))
        if error is not None:
            key = ".".join(["options", *map(str, error.absolute_path)])
            raise InputError(
                f"`{key}` of a miniature dataset: {error.message}; config/README.md describes the "
                "options"
            )
        examples = {f"examples.{split}": count for split, count in given["examples"].items()}
        for key, value in {**given, **examples}.items():
            # For jsonschema, 2.0 is an integer.
            if key in _WHOLE and type(value) is not int:
                raise InputError(
                    f"`options.{key}` of a miniature dataset: {value!r} is not a whole number; write "
                    f"{int(value)}"
                )
        options = cls(**given)
        if options.kind_fraction + options.exact_fraction > 1:
            raise InputError(
                "`options.kind_fraction` and `options.exact_fraction` of a miniature dataset add up "
                "to more than 1; lower one of them"
            )
        return options
