"""Fonts for words in any script, from package archives and from the system.

matplotlib shapes the words (for example Arabic or Telugu). This module only finds a font with the
characters.
"""

import functools
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

from semantic_tokens.errors import InputError

SUFFIXES = (".ttf", ".otf", ".ttc")


def extract_fonts(wheels: Iterable[str | Path], folder: str | Path) -> list[Path]:
    """Write the upright fonts of package archives to a folder. Return their paths in the order of
    the archives, with the regular weight of each first.

    Raises:
        InputError: an archive has no font.
    """
    paths = []
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            names = [n for n in archive.namelist() if n.lower().endswith(SUFFIXES)]
            names = [n for n in names if "italic" not in n.lower()] or names
            names.sort(key=lambda name: ("regular" not in name.lower(), name))
            if not names:
                raise InputError(
                    f"{wheel} has no font in it; take it out of the config key `inspection.fonts`"
                )
            for name in names:
                target = Path(folder) / Path(name).name
                target.write_bytes(archive.read(name))
                paths.append(target)
    return paths


class Fonts:
    """Finds a font with the characters of a word: first among the given fonts, then among upright,
    regular fonts of matplotlib and the system."""

    def __init__(self, paths: Sequence[str | Path]) -> None:
        self._paths = [str(path) for path in paths]

    @functools.cached_property
    def _installed(self) -> list[str]:
        own = [font_manager.findfont("DejaVu Sans")]
        others = [
            font
            for font in font_manager.fontManager.ttflist
            if font.style == "normal"
            and font.weight in (400, "normal", "regular", "book")
            and "LastResort" not in font.fname  # it has a box for every character
        ]
        others.sort(key=lambda font: ("Noto Sans" not in font.name, font.name, font.fname))
        return list(dict.fromkeys([*own, *(font.fname for font in others)]))

    def covering(self, text: str) -> str | None:
        """The path of the first font that has all characters of a text, or None."""
        needed = {ord(character) for character in text if not character.isspace()}
        for paths in (lambda: self._paths, lambda: self._installed):
            for path in paths():
                if needed <= _characters(path):
                    return path
        return None


@functools.cache
def _characters(path: str) -> frozenset[int]:
    return frozenset(FT2Font(path).get_charmap())
