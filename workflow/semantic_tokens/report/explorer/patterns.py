"""Convert the regular expressions of tokenizers to JavaScript.

The `tokenizers` library uses Oniguruma, with the syntax of Ruby.
"""

import re

_CATEGORY = re.compile(r"L[ulmto]?|M[nce]?|N[dlo]?|P[cdseifo]?|S[mcko]?|Z[slp]?|C[cfos]?")
_SCRIPTS = {
    "Arabic", "Armenian", "Bengali", "Common", "Cyrillic", "Devanagari", "Ethiopic", "Georgian",
    "Greek", "Gujarati", "Gurmukhi", "Han", "Hangul", "Hebrew", "Hiragana", "Kannada", "Katakana",
    "Khmer", "Lao", "Latin", "Malayalam", "Mongolian", "Myanmar", "Oriya", "Sinhala", "Tamil",
    "Telugu", "Thai", "Tibetan",
}  # fmt: skip
# In JavaScript, \s includes U+FEFF and excludes U+0085.
_CLASSES = {"s": "p{White_Space}", "S": "P{White_Space}", "d": "p{Nd}", "D": "P{Nd}"}
_GROUPS = ("(?:", "(?=", "(?!", "(?<=", "(?<!", "(?i:")
# Letters outside ASCII that equal a Latin letter if case is ignored.
_FOLDED = {"s": "\u017f", "k": "\u212a"}
_PROPERTY = re.compile(r"[pP]\{(\^?)(\w+)\}")
_QUANTIFIER = re.compile(r"\{(\d*)(,?)(\d*)\}")
_CODE = re.compile(r"u([0-9A-Fa-f]{4})|x\{([0-9A-Fa-f]{1,6})\}|x([0-9A-Fa-f]{2})")


class UnknownSyntax(ValueError):
    """A part of a regular expression that cannot be converted."""


def javascript_pattern(pattern: str) -> str:
    r"""Convert a regular expression of the `tokenizers` library for JavaScript's flags ``gum``.

    Raises:
        UnknownSyntax: a part of it cannot be converted.

    >>> print(javascript_pattern(r"(?i:'s|'ll)|\p{N}{1,3}| ?[^\s\p{L}]+|\s+(?!\S)"))
    (?:'[sSſ]|'[lL][lL])|\p{N}{1,3}| ?[^\p{White_Space}\p{L}]+|\p{White_Space}+(?!\P{White_Space})
    """
    answer: list[str] = []
    # Whether case is ignored, for each open group.
    ignores_case = [False]
    in_class = False
    at = 0
    while at < len(pattern):
        rest = pattern[at:]
        taken, written = 1, rest[0]
        if rest[0] == "\\":
            taken, written = _escape(rest, ignores_case[-1])
        elif in_class:
            if rest[0] == "[" or rest.startswith("&&"):
                raise UnknownSyntax(rest[:2])
            in_class = rest[0] != "]"
            if rest[0] == "-" and rest[1:2] != "]" and answer[-1][:2] in (r"\p", r"\P"):
                raise UnknownSyntax(answer[-1] + "-")
            if ignores_case[-1] and rest[0].isalpha():
                if rest[1:2] == "-":
                    raise UnknownSyntax(rest[:3])
                written = "".join(_cases(rest[0]))
        elif rest[0] == "[":
            in_class = True
            written = "[^" if rest.startswith("[^") else "["
            taken = len(written)
            if rest[taken : taken + 1] in ("]", "["):
                raise UnknownSyntax(rest[: taken + 1])
        elif rest[0] == "(":
            opening = next((group for group in _GROUPS if rest.startswith(group)), "(")
            if opening == "(" and rest.startswith("(?"):
                raise UnknownSyntax(rest[:4])
            taken, written = len(opening), opening.replace("(?i:", "(?:")
            ignores_case.append(ignores_case[-1] or opening == "(?i:")
        elif rest[0] == ")":
            if len(ignores_case) == 1:
                raise UnknownSyntax(rest[0])
            ignores_case.pop()
        elif rest[0] in "?*+{":
            taken, written = _quantifier(rest)
        elif rest[0] == ".":
            written = r"[^\n]"
        elif rest[0] in "]}":
            written = "\\" + rest[0]
        elif ignores_case[-1] and rest[0].isalpha():
            written = f"[{''.join(_cases(rest[0]))}]"
        answer.append(written)
        at += taken
    if in_class or len(ignores_case) > 1:
        raise UnknownSyntax(pattern[-1:])
    return "".join(answer)


def _escape(rest: str, ignores_case: bool) -> tuple[int, str]:
    """An escape sequence: its length, and its form in JavaScript."""
    follows = rest[1:2]
    if follows in _CLASSES:
        return 2, "\\" + _CLASSES[follows]
    if follows and follows in "rntfv":
        return 2, rest[:2]
    if found := _PROPERTY.match(rest, 1):
        caret, name = found.groups()
        negated = (follows == "P") != bool(caret)
        if name in _SCRIPTS:
            name = f"Script={name}"
        elif not _CATEGORY.fullmatch(name):
            raise UnknownSyntax(rest[: found.end()])
        return found.end(), rf"\{'P' if negated else 'p'}{{{name}}}"
    if found := _CODE.match(rest, 1):
        character = chr(int(next(filter(None, found.groups())), 16))
        if ignores_case and character.isalpha():
            raise UnknownSyntax(rest[: found.end()])
        return found.end(), rf"\u{{{ord(character):x}}}"
    if not follows or follows.isalnum():
        raise UnknownSyntax(rest[:2])
    if follows in r"^$\.*+?()[]{}|/":
        return 2, rest[:2]
    return 2, r"\u{2d}" if follows == "-" else follows


def _quantifier(rest: str) -> tuple[int, str]:
    """A quantifier: its length, and its form in JavaScript."""
    taken, written = 1, rest[0]
    if rest[0] == "{":
        found = _QUANTIFIER.match(rest)
        if not found or not (found[1] or found[3]):
            return 1, r"\{"
        taken, written = found.end(), f"{{{found[1] or 0}{found[2]}{found[3]}}}"
    if rest[taken : taken + 1] == "?" and not (rest[0] == "{" and "," not in written):
        taken, written = taken + 1, written + "?"
    # In Oniguruma, "{1,3}+" repeats the repetition, and "a++" does not backtrack.
    if rest[taken : taken + 1] and rest[taken] in "?*+":
        raise UnknownSyntax(rest[: taken + 1])
    return taken, written


def _cases(letter: str) -> list[str]:
    """An ASCII letter in both cases, and other letters that equal it if case is ignored."""
    if not letter.isascii():
        raise UnknownSyntax(letter)
    small = letter.lower()
    return [small, small.upper(), *_FOLDED.get(small, "")]
