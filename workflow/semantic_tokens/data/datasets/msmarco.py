"""Training on MS MARCO, and testing on another language of MIRACL (paper, Appendix F)."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from semantic_tokens.data.datasets.canonical import Example, Placed
from semantic_tokens.data.datasets.miracl import miracl
from semantic_tokens.data.digest_set import DigestSet
from semantic_tokens.errors import InputError
from semantic_tokens.text_files import files_in, json_lines

LANGUAGE = "eng"


def msmarco(
    path: Path | Sequence[Path],
    languages: Sequence[str] | None = None,
    distractors: float = 1.0,
    seed: int = 0,
) -> dict[str, Iterable[Example]]:
    """Train on MS MARCO's queries; dev and test are MIRACL's, in the requested languages.

    MS MARCO is read in Tevatron's form: ``train.jsonl.gz``, with one query and its relevant and
    negative passages per line. The English passages are those of this file, and all others are
    MIRACL's. A query searches only passages in its language.

    Args:
        path: folders with ``train.jsonl.gz`` and MIRACL's files, at any depth.
        languages: languages of MIRACL, without English, whose passages are MS MARCO's here.

    Raises:
        InputError: a file is missing, a line is malformed, or English is requested.
    """
    folders = [path] if isinstance(path, Path) else list(path)
    files = [file for folder in folders for file in files_in(folder, "**/train.jsonl")]
    if len(files) != 1:
        raise InputError(
            f"{', '.join(map(str, folders))}: one train.jsonl.gz of MS MARCO is expected, and there "
            f"are {len(files)}; correct the dataset's `download` or `path`"
        )
    if languages is None or LANGUAGE in languages:
        raise InputError(
            "the dataset's `languages` must name MIRACL's languages to test on, without eng: the "
            "English passages are MS MARCO's here"
        )
    tested = miracl(folders, languages, dev_fraction=0.5, distractors=distractors, seed=seed)
    # MIRACL's training queries are not used for training; half of them are the dev split.
    return {
        "train": _queries(files[0]),
        "dev": tested["dev"],
        "test": tested["test"],
        "passages": _all_passages(files[0], tested["passages"]),
    }


def _records(file: Path) -> Iterator[tuple[Placed, list[Placed], list[Placed]]]:
    """The query, the relevant and the negative passages of every line, in canonical form."""
    from tqdm import tqdm

    for number, record in tqdm(json_lines(file), desc="MS MARCO", unit="query", mininterval=2):
        try:
            relevant, others = (
                [
                    Placed(
                        {
                            "id": _name(passage),
                            "language": LANGUAGE,
                            "title": passage.get("title") or "",
                            "text": passage["text"],
                        },
                        file,
                        number,
                    )
                    for passage in record[f"{side}_passages"]
                ]
                for side in ("positive", "negative")
            )
            query = {
                "id": f"msmarco-{record['query_id']}",
                "language": LANGUAGE,
                "query": record["query"].strip(),
                "relevant": {passage["id"]: 1 for passage in relevant},
            }
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{file}, line {number}: query_id, query, positive_passages and negative_passages "
                f"(each of docid, title, text) are expected ({error!r}); fetch the file again"
            ) from error
        yield Placed(query, file, number), relevant, others


def _queries(file: Path) -> Iterator[Example]:
    for query, _, _ in _records(file):
        yield query


def _all_passages(file: Path, others: Iterable[Example]) -> Iterator[Example]:
    seen = DigestSet()
    for _, relevant, negatives in _records(file):
        for passage in relevant + negatives:
            if seen.add(
                json.dumps(passage, sort_keys=True)
            ):  # passages are repeated for many queries
                yield passage
    yield from others


def _name(passage: Example) -> str:
    return f"msmarco-{passage['docid']}"
