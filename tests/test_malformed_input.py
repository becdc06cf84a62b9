"""For any content of a file, its reader returns entries or raises an InputError. It raises no other
exception, writes no file, loads no pickle and starts no shell. ``HYPOTHESIS_PROFILE=thorough`` tries
many more examples."""

import ast
import gzip
import io
import json
import os
import pickle
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from semantic_tokens.data.corpora import READERS as READERS_OF_CORPORA
from semantic_tokens.data.corpora import hub, packages, read_corpus
from semantic_tokens.data.corpora.conll_sentences import conll_sentences
from semantic_tokens.data.corpora.emoji_names import emoji_names
from semantic_tokens.data.corpora.squad_contexts import squad_contexts
from semantic_tokens.data.corpora.text import text
from semantic_tokens.data.corpora.xnli_sentences import xnli_sentences
from semantic_tokens.data.datasets import READERS as READERS_OF_DATASETS
from semantic_tokens.data.datasets import read_dataset
from semantic_tokens.data.languages import iso639_3
from semantic_tokens.data.lexicons import READERS as READERS_OF_LEXICONS
from semantic_tokens.data.lexicons import colexnet, package_words, panlex, published
from semantic_tokens.errors import InputError
from semantic_tokens.grouping.groups import Groups
from semantic_tokens.json_files import read_json, read_jsonl
from semantic_tokens.sources.archives import extract
from semantic_tokens.sources.e5_binary import read_e5_binary
from semantic_tokens.sources.folder import read_checksums
from semantic_tokens.study.configuration import validate_config
from semantic_tokens.study.experiments import read_experiments
from semantic_tokens.study.recipe import Recipe
from semantic_tokens.tokenization.vocabulary import load_tokenizer

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "workflow/semantic_tokens"

settings.register_profile("default", max_examples=60, deadline=None, derandomize=True,
                          suppress_health_check=list(HealthCheck))  # fmt: skip
settings.register_profile("thorough", settings.get_profile("default"), max_examples=3000,
                          derandomize=False)  # fmt: skip
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

# Arbitrary bytes, and lines that are nearly valid.
_WORDS = st.sampled_from(
    ["", " ", "red", "rot", "B-PER", "O", "I-LOC", "concept", "language", "word", "source", "1",
     "-1", "0.5", "deu", "eng:$red$", "RED///red", "entailment", "Q0", "\u2028", "\x00", "\ud7ff", "番茄",
     "$(touch x)", "`id`", "; rm -rf .", "../x", "null", "NaN", "1e999", "figure3", "yes", "true", '"', "{"]
)  # fmt: skip
_LINES = st.lists(st.lists(_WORDS, max_size=6).map("\t".join), max_size=6).map("\n".join)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _WORDS,
    lambda below: st.lists(below, max_size=3)
    | st.dictionaries(
        st.sampled_from(["data", "paragraphs", "context", "qas", "id", "question", "answers",
            "text", "answer_start", "language", "tokens", "tags", "start", "label", "first", "second",
            "query", "relevant", "title", "docid", "query_id", "positive_passages", "conversations"]),
        below, max_size=5),
    max_leaves=12,
)  # fmt: skip
_AS_JSON = _JSON.map(lambda value: json.dumps(value, ensure_ascii=True))
CONTENT = st.one_of(
    st.binary(max_size=200),
    _LINES.map(lambda text: text.encode("utf-8", "surrogatepass")),
    _AS_JSON.map(str.encode),
    st.lists(_AS_JSON, max_size=4).map(lambda rows: "\n".join(rows).encode()),
)


def consume(found: Any) -> None:
    """Iterate over everything that a reader returns, including splits and their examples."""
    values = found.values() if isinstance(found, dict) else [found]
    for value in values:
        if isinstance(value, Iterable) and not isinstance(value, str | bytes):
            for _ in value:
                pass


def only_input_errors(read: Callable[[], Any]) -> None:
    try:
        consume(read())
    except InputError as error:
        assert str(error)


def in_folder(names: list[str], read: Callable[[Path], Any], contents: list[bytes]) -> None:
    """Read a folder with these files and contents. Reading must not change it."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "input"
        for name, content in zip(names, contents, strict=True):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        before = {path for path in Path(temporary).rglob("*")}
        only_input_errors(lambda: read(folder))
        assert {path for path in Path(temporary).rglob("*")} == before
        for name, content in zip(names, contents, strict=True):
            assert (folder / name).read_bytes() == content


def dataset(reader: str, kind: str, **options: Any) -> Callable[[Path], Any]:
    return lambda folder: read_dataset(reader, options, folder, kind=kind)


_SPLITS = ["train.jsonl", "dev.jsonl", "test.jsonl"]
_MIRACL = ["topics.miracl-v1.0-de-train.tsv", "qrels.miracl-v1.0-de-train.tsv",
           "topics.miracl-v1.0-de-dev.tsv", "qrels.miracl-v1.0-de-dev.tsv",
           "miracl-corpus-v1.0-de/docs-0.jsonl.gz"]  # fmt: skip
#: The names of the files in a folder, and the reader of the folder.
READERS: dict[str, tuple[list[str], Callable[[Path], Any]]] = {
    "muse": (["en-de.txt"], published.muse),
    "panlex_swadesh": (["deu-000.txt"], published.panlex_swadesh),
    "concepticon": (["map-de.tsv"], published.concepticon),
    "table": (["mine.tsv"], lambda folder: published.table(folder / "mine.tsv")),
    "panlex by language": (["deu.tsv"], panlex.panlex),
    "panlex": (["langvar.csv", "expr.csv", "denotation.csv"], panlex.panlex),
    "colexnet table": (["edges.tsv"], colexnet.colexnet),
    "colexnet": (["graph.pickle"], colexnet.colexnet),
    "emoji": (["any.whl"], lambda folder: package_words.emoji(folder / "any.whl", ["deu"])),
    "squad_contexts": (["xquad.de.json"], squad_contexts),
    "conll_sentences": (["deu/train.txt"], conll_sentences),
    "xnli_sentences": (["de.dev.tsv"], xnli_sentences),
    "text": (["deu.txt"], text),
    "wikipedia": (["20231101.de/0.parquet"], lambda folder: hub.wikipedia(folder, "mine")),
    "django": (["any.whl"], lambda folder: packages.django(folder / "any.whl", ["deu"])),
    "chatterbot": (["any.whl"], lambda folder: packages.chatterbot(folder / "any.whl", ["deu"])),
    "masakhaner": (["deu/train.txt", "deu/test.txt"], dataset("masakhaner", "token_classification")),
    "conll": (["deu/train.txt", "deu/test.txt"], dataset("conll", "token_classification", languages=["deu"])),
    "squad_json": (["german.train.json", "german.dev.json"], dataset("squad_json", "question_answering")),
    "xquad_ranking": (["xquad.de.json"], dataset("xquad_ranking", "ranking")),
    "tydiqa_hub": (
        ["secondary_task/train-0.parquet", "secondary_task/validation-0.parquet"],
        dataset("tydiqa_hub", "question_answering"),
    ),
    "xnli_hub": (
        [f"de/{split}-0.parquet" for split in ("train", "validation", "test")],
        dataset("xnli_hub", "pair_classification", languages=["deu"]),
    ),
    "emoji_names": (["any.whl"], lambda folder: emoji_names(folder / "any.whl", ["deu"])),
    "miniature": (["any.whl"], lambda folder: READERS_OF_CORPORA["miniature"](folder / "any.whl", languages=["deu"], sentences=2, seed=1)),
    "hf": (["train.jsonl", "validation.jsonl", "test.jsonl"], dataset("hf", "token_classification", language="deu")),
    "hf of questions": (["train.json", "test.json"], dataset("hf", "question_answering", language="deu", splits={"train": "train", "test": "test"}, dev_fraction=0.5)),
    "hf of ranking": (["q.csv", "p.csv", "r.csv"], dataset("hf", "ranking", language="deu", queries={"files": "q.csv"}, corpus={"files": "p.csv"}, qrels={"files": "r.csv"})),
    "hf corpus": (["t.csv"], lambda folder: READERS_OF_CORPORA["hf"](folder, "mine", language="deu", files="t.csv")),
    "xnli": (["de.dev.tsv"], dataset("xnli", "pair_classification")),
    "xnli of all languages": (["xnli.dev.tsv", "xnli.test.jsonl", "multinli.train.de.tsv"], dataset("xnli", "pair_classification")),
    "squad_json of all languages": (["tydiqa-goldp-v1.1-train.json", "tydiqa-goldp-v1.1-dev.json"], dataset("squad_json", "question_answering", languages=["deu"], unanswerable="keep")),
    "miracl": (_MIRACL, dataset("miracl", "ranking")),
    "msmarco": ([*_MIRACL, "train.jsonl.gz"], dataset("msmarco", "ranking", languages=["deu"])),
    "jsonl of names": (_SPLITS, dataset("jsonl", "token_classification")),
    "jsonl of questions": (_SPLITS, dataset("jsonl", "question_answering")),
    "jsonl of pairs": (_SPLITS, dataset("jsonl", "pair_classification")),
    "jsonl of ranking": ([*_SPLITS, "passages.jsonl"], dataset("jsonl", "ranking")),
    "a stage's lines": (["a.jsonl"], lambda folder: read_jsonl(folder / "a.jsonl")),
    "a stage's JSON": (["a.json"], lambda folder: read_json(folder / "a.json")),
    "checksums": (["a.sha256"], lambda folder: read_checksums(folder / "a.sha256")),
    "groups": (["a.safetensors"], lambda folder: [Groups.load(folder / "a.safetensors")]),
    "a tokenizer": (["tokenizer.json"], lambda folder: [load_tokenizer(folder / "tokenizer.json")]),
}  # fmt: skip


#: Readers of words in installed packages. They read no file.
_WITHOUT_FILES = {"territories", "languages", "calendar", "numbers"}


def test_every_reader_is_tested() -> None:
    known = {*READERS_OF_LEXICONS, *READERS_OF_CORPORA, *READERS_OF_DATASETS} - _WITHOUT_FILES
    assert known - {name.split()[0] for name in READERS} == set()


@pytest.mark.parametrize("reader", READERS)
@given(data=st.data())
def test_reader_handles_any_file_content(reader: str, data: st.DataObject) -> None:
    names, read = READERS[reader]
    contents = [data.draw(CONTENT) for _ in names]
    if data.draw(st.booleans()):
        contents = [gzip.compress(c, mtime=0) if n.endswith(".gz") else c for n, c in zip(names, contents, strict=True)]  # fmt: skip
    in_folder(names, read, contents)


@pytest.mark.parametrize("reader", ["emoji", "django", "chatterbot"])
@given(content=CONTENT)
def test_reader_handles_any_archive_member(reader: str, content: bytes) -> None:
    member = {
        "emoji": "emoji/unicode_codes/emoji_de.json",
        "django": "django/conf/locale/de/LC_MESSAGES/django.po",
        "chatterbot": "chatterbot_corpus/data/german/any.yml",
    }[reader]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr(member, content)
    names, read = READERS[reader]
    in_folder(names, read, [archive.getvalue()])


# Types of Parquet columns, and missing values.
_ANSWERS = st.fixed_dictionaries(
    {},
    optional={
        "text": st.lists(st.none() | _WORDS, max_size=2),
        "answer_start": st.lists(st.none() | st.integers(-1, 9), max_size=2),
    },
)
_COLUMN = st.one_of(
    st.lists(value, min_size=2, max_size=2)
    for value in (
        st.none(),
        st.none() | _WORDS.filter(lambda word: word.isprintable()),
        st.sampled_from(["german-1", "english-2", "klingon-3", "Die Tomate"]),
        st.integers(-1, 3),
        st.floats(),
        st.booleans(),
        st.binary(max_size=4),
        _ANSWERS,
    )
)
PARQUET: dict[str, tuple[list[str], list[str], Callable[[Path], Any]]] = {
    "wikipedia": (
        ["20231101.de/0.parquet"],
        ["text"],
        lambda folder: read_corpus("wikipedia", "wikipedia", {}, folder),
    ),
    "xnli_hub": (
        [f"de/{split}-0.parquet" for split in ("train", "validation", "test")],
        ["premise", "hypothesis", "label"],
        dataset("xnli_hub", "pair_classification", languages=["deu"]),
    ),
    "tydiqa_hub": (
        [f"secondary_task/{split}-0.parquet" for split in ("train", "validation")],
        ["id", "title", "context", "question", "answers"],
        dataset("tydiqa_hub", "question_answering"),
    ),
}


@pytest.mark.parametrize("reader", PARQUET)
@given(data=st.data())
def test_reader_handles_any_column_value(reader: str, data: st.DataObject) -> None:
    names, columns, read = PARQUET[reader]
    contents = []
    for _ in names:
        file = io.BytesIO()
        try:
            table = pa.table({column: data.draw(_COLUMN) for column in columns})
            pq.write_table(table, file)
        except (pa.ArrowException, UnicodeEncodeError):  # not possible in a file
            return
        contents.append(file.getvalue())
    in_folder(names, read, contents)


@given(content=st.binary(max_size=300), has_magic=st.booleans())
def test_e5_reader_handles_any_bytes(content: bytes, has_magic: bool) -> None:
    only_input_errors(lambda: [read_e5_binary((b"E5S1\x01\0\0\0" if has_magic else b"") + content, "x")])  # fmt: skip


@given(code=st.text(max_size=12) | _WORDS)
def test_language_code_reader_handles_any_text(code: str) -> None:
    only_input_errors(lambda: iso639_3(code))


SHELL = set(" $`;&|<>()\\\"'\n*?[]{}~!#\x00")


@given(parts=st.lists(st.text(max_size=12) | _WORDS, min_size=5, max_size=5))
def test_recipe_accepts_only_names_that_are_safe_in_paths(parts: list[str]) -> None:
    try:
        path = Recipe(*parts).path
    except InputError:
        return
    # Names become parts of paths and commands, so they may contain no characters of a shell.
    assert path.count("/") == 4 and not set(path) & SHELL
    assert ".." not in path.split("/")


# Configuration and table of experiments

CONFIG = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    below = value.items() if isinstance(value, dict) else ()
    return [path, *(place for key, part in below for place in places(part, (*path, key)))]


@settings(max_examples=settings.default.max_examples * 2)  # type: ignore[union-attr]
@given(place=st.sampled_from(places(CONFIG)[1:]), value=_JSON, key=st.none() | st.text(max_size=6))
def test_config_validation_handles_any_value(
    place: tuple[Any, ...], value: Any, key: str | None
) -> None:
    config = json.loads(json.dumps(CONFIG))
    inner = config
    for part in place[:-1]:
        inner = inner[part]
    inner[place[-1] if key is None else key] = value
    only_input_errors(lambda: validate_config(config, ROOT / "config/schemas/config.schema.json"))


_SECTIONS = ("wheels", "downloads", "backbones", "lexicons", "corpora", "datasets", "tasks")


@pytest.mark.parametrize("section", _SECTIONS)
@given(
    name=st.text(max_size=12)
    | _WORDS
    | st.sampled_from(["a\n", "-a", "a/b", "a b"])
    | st.text("aB0_-.$`;/~ \n", max_size=6)
)
def test_name_with_shell_characters_is_refused(section: str, name: str) -> None:
    """Names become paths, and on a cluster parts of a command."""
    config = json.loads(json.dumps(CONFIG))
    entries = config.setdefault(section, {})
    hub = {"hub": "owner/name", "files": ["*.csv"]}
    entries[name] = next(iter(entries.values()), hub if section == "downloads" else {})
    try:
        validate_config(config, ROOT / "config/schemas/config.schema.json")
    except InputError:
        return
    assert name and not set(name) & (SHELL | {"/"}) and not name.startswith(("-", "."))


@pytest.mark.parametrize("key", ["package", "version"])
@pytest.mark.parametrize("value", ["--index-url=https://example.org", "a; touch x", "", "../a"])
def test_package_name_or_version_like_an_option_is_refused(key: str, value: str) -> None:
    config = json.loads(json.dumps(CONFIG))
    config["wheels"]["emoji"][key] = value
    with pytest.raises(InputError, match=rf"wheels\.emoji\.{key}"):
        validate_config(config, ROOT / "config/schemas/config.schema.json")


@given(rows=CONTENT, has_header=st.booleans())
def test_experiment_table_reader_handles_any_content(rows: bytes, has_header: bool) -> None:
    header = (ROOT / "config/experiments.tsv").read_bytes().splitlines(keepends=True)[0]
    content = (header if has_header else b"") + rows
    schema = ROOT / "config/schemas/experiments.schema.json"
    in_folder(
        ["e.tsv"], lambda folder: read_experiments(folder / "e.tsv", CONFIG, schema), [content]
    )


# Archives


def tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as opened:
        for info, content in members:
            info.size = len(content)
            opened.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def link(name: str, target: str, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    "name", ["../out.txt", "/out.txt", "a/../../out.txt", "C:/out.txt", "a\\out.txt", "."]
)
@pytest.mark.parametrize("form", ["zip", "tar"])
def test_archive_member_outside_the_folder_is_refused(tmp_path: Path, name: str, form: str) -> None:
    archive = tmp_path / "archive"
    if form == "tar":
        archive.write_bytes(tar((tarfile.TarInfo(name), b"x")))
    else:
        with zipfile.ZipFile(archive, "w") as opened:
            opened.writestr(name, "x")
    with pytest.raises(InputError, match="would land outside"):
        extract(archive, tmp_path / "folder", None)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["archive", "folder"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_links_in_an_archive_are_refused_and_not_followed(tmp_path: Path, kind: bytes) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    archive = tmp_path / "archive"
    inner = tarfile.TarInfo("way/file.txt")
    archive.write_bytes(
        tar((link("way", str(tmp_path), kind), b""), (link("copy", "../secret.txt", kind), b""), (inner, b"x"))
    )  # fmt: skip
    with pytest.raises(InputError, match="'way' is a link or a device"):
        extract(archive, tmp_path / "folder", None)
    extracted = extract(archive, tmp_path / "folder", ["way/*"])
    assert extracted == [tmp_path / "folder/way/file.txt"]
    assert not any(path.is_symlink() for path in tmp_path.rglob("*"))
    assert not (tmp_path / "file.txt").exists()


@given(content=CONTENT)
def test_archive_reader_handles_any_bytes(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        archive = Path(temporary) / "archive"
        archive.write_bytes(content)
        only_input_errors(lambda: extract(archive, Path(temporary) / "folder", None))
        assert {path.name for path in Path(temporary).iterdir()} <= {"archive", "folder"}


# Pickles and shells


def test_a_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    class Bad:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "ran"),)

    (tmp_path / "graph.pickle").write_bytes(pickle.dumps(Bad()))
    with pytest.raises(InputError, match="more than a graph"):
        list(colexnet.colexnet(tmp_path))
    assert not (tmp_path / "ran").exists()


def calls() -> list[tuple[str, str, ast.Call]]:
    """All calls in the package and its scripts: file, dotted name, node."""
    found = []
    for path in sorted([*PACKAGE.rglob("*.py"), *(ROOT / "workflow/scripts").glob("*.py")]):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                found.append((path.name, ast.unparse(node.func), node))
    return found


def test_no_pickle_is_loaded_and_no_shell_is_started() -> None:
    shells = (
        "os.system",
        "os.popen",
        "subprocess.getoutput",
        "subprocess.getstatusoutput",
        "shell",
    )
    loaders = (
        "pickle.load",
        "pickle.loads",
        "joblib.load",
        "yaml.load",
        "eval",
        "exec",
        "pd.read_pickle",
    )
    torch_loads = 0
    for file, name, node in calls():
        assert name not in shells + loaders, (file, name)
        arguments = {k.arg: ast.unparse(k.value) for k in node.keywords}
        assert arguments.get("shell") != "True", (file, name)
        assert (
            arguments.get("allow_pickle") != "True" and arguments.get("trust_remote_code") != "True"
        ), file
        if name == "torch.load":
            torch_loads += 1
            assert arguments["weights_only"] == "True", file
    assert torch_loads  # the test finds such calls
    for rules in [ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk")]:
        assert "shell:" not in rules.read_text(encoding="utf-8"), rules
