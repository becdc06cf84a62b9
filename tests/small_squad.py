"""Small documents in SQuAD's JSON."""

from collections.abc import Callable
from typing import Any


def squad_document(
    language: str, split: str, paragraphs: int, prefix: str, text: Callable[[str, int], str]
) -> dict[str, Any]:
    """One paragraph per article, and two questions per paragraph.

    Args:
        prefix: the beginning of each question's id.
        text: the text of a paragraph, from the language and the paragraph's number. It starts with
            the language, which is the answer to each question.
    """
    return {
        "data": [
            {
                "title": f"{split} {number}",
                "paragraphs": [
                    {
                        "context": f"{split} {text(language, number)}",
                        "qas": [
                            {
                                "id": f"{prefix}{split}{number}-{question}",
                                "question": f"What says thing {number}, {question}?",
                                "answers": [{"text": language, "answer_start": len(split) + 1}],
                            }
                            for question in range(2)
                        ],
                    }
                ],
            }
            for number in range(paragraphs)
        ]
    }
