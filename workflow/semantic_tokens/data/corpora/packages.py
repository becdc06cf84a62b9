"""Real text in package archives: translated messages and small dialogues."""

import contextlib
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from semantic_tokens.data.languages import iso639_1, known_language
from semantic_tokens.errors import InputError
from semantic_tokens.sources.wheels import members, read_member

_PLACEHOLDER = re.compile(r"%\([^)]*\)[.\d]*[sdifr]|%[sdifr]|\{[^}]*\}|<[^>]*>|&[a-z]+;")
_CATALOGUE = re.compile(r"/locale/([^/]+)/LC_MESSAGES/[^/]+\.po$")
_DJANGO_LOCALES = {"zho": "zh_Hans"}
# Folders that are not named after a language; None means that the folder is ignored.
_CHATTERBOT_FOLDERS: dict[str, str | None] = {
    "traditionalchinese": None,
    "hinglish": None,
    "oriya": "ori",
}


def django(path: Path, languages: Sequence[str]) -> Iterator[dict[str, str]]:
    """Django's interface in many languages: human translations from gettext catalogues, without
    placeholders and markup. English is the original."""
    from babel.messages.pofile import PoFileError, read_po

    wanted = {_DJANGO_LOCALES.get(code, iso639_1(code)): code for code in languages}
    for member in sorted(members(path)):
        match = _CATALOGUE.search(member)
        if match is None or match[1] not in wanted:
            continue
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # it prints warnings about plural forms
                catalogue = read_po(io.BytesIO(read_member(path, member)))
        except (PoFileError, ValueError) as error:
            raise InputError(f"{path}: {member} is not a gettext catalogue ({error})") from error
        for message in catalogue:
            if not message.id or message.fuzzy:
                continue
            source = message.string if match[1] != "en" else message.id
            for text in source if isinstance(source, tuple | list) else (source,):
                clean = _PLACEHOLDER.sub(" ", text or "")
                if clean.strip():
                    yield {"language": wanted[match[1]], "text": clean}


def chatterbot(path: Path, languages: Sequence[str]) -> Iterator[dict[str, str]]:
    """Small dialogues in YAML, with one folder per language. Each dialogue is a passage. Folders that
    are not named after a language are ignored.

    Raises:
        InputError: a file in a requested language is not YAML.
    """
    import yaml

    for member in sorted(members(path)):
        parts = member.split("/")
        if len(parts) != 4 or not member.endswith(".yml"):
            continue
        folder = parts[2]
        known = folder in _CHATTERBOT_FOLDERS
        language = _CHATTERBOT_FOLDERS[folder] if known else known_language(folder)
        if language is None or language not in languages:
            continue
        try:
            content = yaml.safe_load(read_member(path, member).decode("utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: {member} is not YAML ({error})") from error
        conversations = content.get("conversations") if isinstance(content, dict) else None
        for conversation in conversations if isinstance(conversations, list) else ():
            if not isinstance(conversation, list):
                continue
            turns = [turn for turn in conversation if isinstance(turn, str)]
            yield {"language": language, "text": " ".join(turns)}
