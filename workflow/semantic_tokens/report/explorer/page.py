"""Write the explorer's page."""

import functools
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import pycountry

from semantic_tokens.data.languages import iso639_1
from semantic_tokens.data.lexicons.table import read_lexicon
from semantic_tokens.embeddings.matrix import load_embeddings
from semantic_tokens.errors import InputError
from semantic_tokens.files import atomic_file
from semantic_tokens.grouping.groups import Groups
from semantic_tokens.grouping.inspection import word_senses
from semantic_tokens.report.explorer.bundle import bundle
from semantic_tokens.report.explorer.packing import (
    COSINE_SCALE,
    LARGEST_COMPARED,
    alphabetical,
    pack,
    sense_columns,
    similarities,
    smallest,
)
from semantic_tokens.report.explorer.segmentation import segmenter
from semantic_tokens.study.recipe import Recipe
from semantic_tokens.tokenization.vocabulary import load_tokenizer, single_subword_id

_log = logging.getLogger(__name__)
_TEMPLATES = Path(__file__).parent / "templates"


def write_page(
    path: str | Path,
    *,
    title: str,
    recipes: Sequence[Recipe],
    groups: Sequence[str | Path],
    embeddings: Mapping[str, str | Path],
    tokenizer: str | Path,
    lexicons: Iterable[str | Path],
    keywords: Sequence[str],
) -> None:
    """Write one HTML file with several groupings of one backbone's vocabulary.

    Args:
        recipes: the recipes of the groupings, in display order.
        groups: one file per recipe.
        embeddings: alignment -> the file of the grouped embeddings.
        lexicons: tables of words, for the languages and the English of subwords.
        keywords: suggested first words.

    Raises:
        InputError: the groups belong to another vocabulary.
    """
    known = load_tokenizer(tokenizer)
    cutting = segmenter(known)
    pieces = cutting.pieces
    if cutting.settings["uncut"]:
        _log.warning(
            "%s has %s, which the page cannot use to split words: it finds only words that are a "
            "single subword",
            tokenizer,
            cutting.settings["uncut"],
        )
    senses = word_senses(
        (entry for lexicon in lexicons for entry in read_lexicon(lexicon)),
        functools.cache(lambda word: single_subword_id(known, word)),
    )
    columns = sense_columns(senses)
    contents: dict[str, Any] = {
        "pieces": pieces,
        "spellings": cutting.spellings,
        "order": alphabetical(pieces, cutting.settings["prefix"]),
        "scores": smallest(cutting.scores),
        "merges": smallest(cutting.merges.ravel()),
        "charsmap": cutting.charsmap,
        "senses": columns,
    }
    described: list[dict[str, Any]] = [{} for _ in recipes]
    for alignment in dict.fromkeys(recipe.alignment for recipe in recipes):
        matrix = load_embeddings(embeddings[alignment])  # one at a time, since they are large
        for number, recipe in enumerate(recipes):
            if recipe.alignment != alignment:
                continue
            token_to_group = Groups.load(groups[number]).token_to_group.numpy()
            if not len(token_to_group) == len(matrix) == len(pieces):
                raise InputError(
                    f"{groups[number]} groups {len(token_to_group)} subwords and {tokenizer} has "
                    f"{len(pieces)}; delete it and it will be made again"
                )
            compared = similarities(matrix, token_to_group)
            contents[f"groups-{number}"] = smallest(token_to_group)
            contents[f"to-mean-{number}"] = compared.to_mean
            contents[f"pairs-{number}"] = compared.pairs
            described[number] = describe(recipe) | {"groups": int(token_to_group.max()) + 1}
    sections = {name: pack(content) for name, content in contents.items()}
    header = {
        "backbone": recipes[0].backbone,
        "dimension": recipes[0].dimension_number,
        "segmenter": cutting.settings,
        "groupings": described,
        "languages": [[iso639_1(code), _name(code)] for code in columns["languages"]],
        "keywords": list(keywords),
        "largest_compared": LARGEST_COMPARED,
        "cosine_scale": COSINE_SCALE,
        "types": {name: kind for name, (kind, _) in sections.items()},
    }
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    page = environment.get_template("page.html.j2").render(
        title=title,
        uncut=cutting.settings["uncut"],
        # "<" could end the HTML element of the header.
        header=json.dumps(header, ensure_ascii=False).replace("<", r"\u003c"),
        style=(_TEMPLATES / "page.css").read_text(encoding="utf-8"),
        code=bundle(_TEMPLATES / "page/main.js"),
        sections={name: text for name, (_, text) in sections.items()},
    )
    with atomic_file(path) as partial:
        partial.write_text(page, encoding="utf-8")


def describe(recipe: Recipe) -> dict[str, str]:
    """The names of a grouping in the page: its alignment, and the grouping.

    >>> describe(Recipe("b", "clsa-muse+panlex", "dfull", "kmeans-euclidean-0.05"))
    {'alignment': 'CLSA on muse, panlex', 'grouping': '5% Euclidean'}
    """
    alignment = "Unaligned"
    if recipe.is_aligned:
        alignment = f"CLSA on {', '.join(recipe.alignment_lexicons)}"
    if recipe.grouping_method == "lexicon":
        grouping = f"lexicon {recipe.grouping.partition('-')[2].replace('+', ', ')}"
    else:
        grouping = f"{100 * recipe.ratio:.4g}%"
        if "euclidean" in recipe.grouping:
            grouping += " Euclidean"
        if "weighted" in recipe.grouping:
            grouping += " weighted by frequency"
    return {"alignment": alignment, "grouping": grouping}


def _name(code: str) -> str:
    """A language's short English name: ``ell`` is Greek, not Modern Greek (1453-)."""
    language = pycountry.languages.get(alpha_3=code)
    return code if language is None else language.name.partition(" (")[0].removeprefix("Modern ")
