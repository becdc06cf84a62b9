"""The reference of the configuration: tables of all keys, generated from the schemas.

    python -m semantic_tokens.study.config_reference config/README.md

updates the tables of the page. Each table is between two comments. The first comment names a
schema, relative to the page, and the keys of the table. Keys below these are included. Without
names, the table has all keys:

    <!-- keys of schemas/config.schema.json: wheels, backbones -->
    <!-- end of keys -->

If a key in the comment ends with a dot, the table shows only the keys below it, without their
prefix. For a schema that describes the rows of a table, write ``columns`` instead of ``keys``.
The default of a key is its value in ``config.yaml`` beside the page, which is always read, or else
the schema's default.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from semantic_tokens.errors import InputError
from semantic_tokens.files import atomic_file

Schema = Mapping[str, Any]

_TABLE = re.compile(
    r"(?P<begin><!-- (?P<what>key|column)s of (?P<schema>\S+?)(?:: (?P<keys>[^>]+?))? -->\n)"
    r".*?(?P<end><!-- end of (?P=what)s -->)",
    re.DOTALL,
)
_KINDS = {
    "string": "text",
    "integer": "integer",
    "number": "number",
    "boolean": "true or false",
    "array": "list",
    "null": "null",
}


@dataclass(frozen=True)
class Key:
    """A key of a configuration.

    Attributes:
        path: dotted; ``*`` stands for a name that the user chooses.
        schema: the part of the schema for this key, with references resolved.
        only: the kind of task or dataset that has this key; empty for all kinds.
        is_required: whether the key is required.
    """

    path: str
    schema: Schema = field(hash=False)
    only: str = ""
    is_required: bool = False


def resolved(schema: Schema, root: Schema) -> dict[str, Any]:
    """A part of a schema, merged with the part of ``$defs`` that it refers to.

    The part's own values have priority. ``properties`` of both are kept.

    Args:
        root: the complete schema, with ``$defs``.
    """
    if "$ref" not in schema:
        return dict(schema)
    referred = root["$defs"][schema["$ref"].rpartition("/")[2]]
    properties = {**referred.get("properties", {})}
    for name, part in schema.get("properties", {}).items():
        properties[name] = {**properties.get(name, {}), **part}
    return {**referred, **schema, **({"properties": properties} if properties else {})}


def keys_of(schema: Schema) -> list[Key]:
    """All keys of a schema, including sections, in the order of the schema."""
    return list(_below(schema, schema, "", ""))


def _below(schema: Schema, root: Schema, path: str, only: str) -> Iterator[Key]:
    properties = schema.get("properties", {})
    chosen: dict[str, list[tuple[str, Schema]]] = {}
    for choice in schema.get("allOf", ()):
        kind = choice["if"]["properties"]["kind"]["const"]
        for name, part in choice["then"]["properties"].items():
            chosen.setdefault(name, []).append((kind, resolved(part, root)))
    for name, part in properties.items():
        key = f"{path}.{name}" if path else name
        found = resolved(part, root)
        yield Key(key, found, only, name in schema.get("required", ()))
        yield from _below(found, root, key, only)
        for kind, other in chosen.get(name, ()):
            yield from _below(other, root, key, kind)
    if isinstance(named := schema.get("additionalProperties"), Mapping):
        found = resolved(named, root)
        yield Key(f"{path}.*", found, only)
        yield from _below(found, root, f"{path}.*", only)


def values_of(schema: Schema) -> str:
    """The allowed values of a part of a schema, in words; empty for a section.

    >>> values_of({"type": ["integer", "null"], "minimum": 1})
    'integer, 1 or more; or null'
    >>> values_of({"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 1})
    'list of `a`, `b`; not empty'
    """
    if "enum" in schema:
        return ", ".join(f"`{_spelt(value)}`" for value in schema["enum"] if value is not False)
    listed = schema.get("type", "")
    types = [listed] if isinstance(listed, str) else list(listed)
    kinds = [_KINDS[kind] for kind in types if kind in _KINDS and kind != "null"]
    words = [" or ".join(kinds) + _range(schema)]
    items = schema.get("items", {})
    if "array" in types and (of := values_of(items)) and of != "text":
        words[0] += f" of {of}".replace("number", "numbers").replace("integer", "integers")
    length = (schema.get("minItems", 0), schema.get("maxItems"))
    if length[1] is not None and length[0] == length[1]:
        words[0] = words[0].replace("list of", f"list of {length[0]}:", 1)
    elif length[0] == 1:
        words.append("not empty")
    if "null" in types:
        words.append("or null")
    return "; ".join(words) if kinds else ""


def _range(schema: Schema) -> str:
    """The bounds of a number, in words."""
    low, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    high, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    if low is not None and high is None and below is None:
        return f", {_spelt(low)} or more"
    words = []
    if low is not None:
        words = [f"from {_spelt(low)} to", f"{_spelt(high)}" if below is None else ""]
    elif above is not None:
        words = [f"above {_spelt(above)}"]
        words += [f"and at most {_spelt(high)}"] if high is not None else []
        words += ["and"] if below is not None else []
    words += [f"below {_spelt(below)}"] if below is not None else []
    return "".join(f" {word}" for word in words if word)


def _spelt(value: Any) -> str:
    """A value as YAML writes it."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _default(key: Key, configured: Mapping[str, Any]) -> str:
    value: Any = configured
    for name in key.path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    if value is not None and not isinstance(value, Mapping):
        return f"`{_spelt(value)}`"
    if key.is_required:
        return "required"
    if "default" not in key.schema or key.schema["default"] == {}:
        return ""
    return f"`{_spelt(key.schema['default'])}`"


def table(
    keys: Iterable[Key],
    hidden: str = "",
    what: str = "key",
    configured: Mapping[str, Any] = MappingProxyType({}),
) -> str:
    """Keys as a table in Markdown.

    Args:
        hidden: a prefix of all paths, which the table leaves out.
        what: the name of the keys, ``key`` or ``column``.
        configured: the configuration that is always read. Its values are the defaults of keys
            without a name that the user chooses.
    """
    lines: dict[tuple[str, ...], list[str]] = {}
    for key in keys:
        name = key.path.removeprefix(hidden).replace("*", "<name>")
        cells: tuple[str, ...] = (
            f"`{name}`",
            values_of(key.schema),
            key.schema.get("description", ""),
            _default(key, configured),
        )
        lines.setdefault(cells, []).append(key.only)
    header = [what, "values", "description", "default"]
    has_kinds = any(kinds != [""] for kinds in lines.values())
    if has_kinds:
        header.insert(1, "kind")
    rows = [header, ["---"] * len(header)]
    for cells, kinds in lines.items():
        row = [cell.replace("|", r"\|") for cell in cells]
        if has_kinds:
            row.insert(1, ", ".join(kinds))
        rows.append(row)
    if what == "column":  # columns have no defaults
        rows = [row[:-1] for row in rows]
    return "".join(f"|{'|'.join(f' {cell} ' if cell else ' ' for cell in row)}|\n" for row in rows)


def shown(names: str | None, schema: Schema) -> tuple[list[Key], str]:
    """The keys that a comment names, and the prefix that the table leaves out.

    Raises:
        InputError: the schema does not have one of the keys.
    """
    keys = keys_of(schema)
    if names is None:
        return keys, ""
    found: list[Key] = []
    listed = [name.strip() for name in names.split(",")]
    for name in listed:
        below = [key for key in keys if f"{key.path}.".startswith(f"{name.rstrip('.')}.")]
        if name.endswith("."):
            below = [key for key in below if key.path != name.rstrip(".")]
        if not below:
            raise InputError(f"the schema has no key {name}; correct the comment above the table")
        found += below
    hidden = listed[0] if len(listed) == 1 and listed[0].endswith(".") else ""
    return found, hidden


def updated(page: str, folder: Path) -> str:
    """A page with updated tables.

    Args:
        folder: the folder to which the names of schemas are relative. Its ``config.yaml``, if there
            is one, has defaults.

    Raises:
        InputError: a comment names a schema or a key that does not exist.
    """

    always_read = folder / "config.yaml"
    configured = (
        yaml.safe_load(always_read.read_text(encoding="utf-8")) if always_read.is_file() else {}
    )

    def with_table(match: re.Match[str]) -> str:
        path = folder / match["schema"]
        if not path.is_file():
            raise InputError(f"there is no schema {path}; correct the comment that names it")
        keys, hidden = shown(match["keys"], json.loads(path.read_text(encoding="utf-8")))
        return f"{match['begin']}\n{table(keys, hidden, match['what'], configured)}\n{match['end']}"

    return _TABLE.sub(with_table, page)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m semantic_tokens.study.config_reference",
        description="Update the tables of keys in a page from the schemas.",
    )
    parser.add_argument("page", type=Path, help="a page in Markdown, such as config/README.md")
    page = parser.parse_args().page
    try:
        text = updated(page.read_text(encoding="utf-8"), page.parent)
    except (InputError, OSError) as error:
        print(f"{page}: {error}", file=sys.stderr)
        return 1
    with atomic_file(page) as partial:
        partial.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
