"""The paper's configuration, downloaded and read from a mirror in the layout of the publishers:
every entry of ``downloads``, with its patterns, pins and readers.
"""

import gzip
import io
import json
import pickle
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import networkx
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
import torch
import yaml
from tiny import character_tokenizer
from transformers import BertConfig, BertForMaskedLM, XLMRobertaConfig, XLMRobertaForMaskedLM

from semantic_tokens.data.languages import iso639_1
from semantic_tokens.json_files import read_jsonl
from semantic_tokens.tokenization.vocabulary import unigram_tokenizer

ROOT = Path(__file__).resolve().parents[2]
PAPER = yaml.safe_load((ROOT / "config/paper.yaml").read_text(encoding="utf-8"))
XNLI = [iso639_1(code) for code in PAPER["datasets"]["xnli"]["options"]["languages"]]
MIRACL = [iso639_1(code) for code in PAPER["datasets"]["miracl"]["options"]["languages"]]
WIKIPEDIA = ("de", "yo", "zh")
# The gold passage task has no Japanese and no Thai.
TYDIQA = "arabic bengali english finnish indonesian korean russian swahili telugu"


def write(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def table(path: Path, **columns: list[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.table(columns), path)


def card(folder: Path, features: str, splits: dict[str, int], configurations: list[str]) -> None:
    """Write the README.md of a dataset on the hub, with the features and files of its
    configurations."""
    infos, files = "", ""
    for name in configurations:
        infos += f"- config_name: {name}\n  features:\n{features}  splits:\n"
        files += f"- config_name: {name}\n  data_files:\n"
        for split, count in splits.items():
            infos += f"  - name: {split}\n    num_bytes: 1\n    num_examples: {count}\n"
            files += f"  - split: {split}\n    path: {name}/{split}-*\n"
        infos += "  download_size: 1\n  dataset_size: 1\n"
    write(folder / "README.md", f"---\ndataset_info:\n{infos}configs:\n{files}---\n# Card\n")


def xnli(folder: Path) -> None:
    splits = {"train": 3, "validation": 1, "test": 2}
    for code in XNLI:
        for split, count in splits.items():
            table(
                folder / code / f"{split}-00000-of-00001.parquet",
                premise=[f"{code} {i}" for i in range(count)],
                hypothesis=["wet"] * count,
                label=list(range(count)),
            )
    features = """  - name: premise
    dtype: string
  - name: hypothesis
    dtype: string
  - name: label
    dtype:
      class_label:
        names:
          '0': entailment
          '1': neutral
          '2': contradiction
"""
    card(folder, features, splits, ["all_languages", *XNLI])  # the first of which is not downloaded


def tydiqa(folder: Path) -> None:
    splits = {"train": 90, "validation": 9}
    for split, count in splits.items():
        languages = (TYDIQA.split() * 10)[:count]
        table(
            folder / f"secondary_task/{split}-00000-of-00001.parquet",
            id=[f"{name}-{split}-{i}" for i, name in enumerate(languages)],
            title=[f"{split} title {i}" for i in range(count)],
            context=[f"{split} passage {i} of it" for i in range(count)],
            question=["Which?"] * count,
            answers=[
                {"text": ["of it"], "answer_start": [len(f"{split} passage {i} ")]}
                for i in range(count)
            ],
        )
    features = """  - name: id
    dtype: string
  - name: title
    dtype: string
  - name: context
    dtype: string
  - name: question
    dtype: string
  - name: answers
    sequence:
    - name: text
      dtype: string
    - name: answer_start
      dtype: int32
"""
    card(folder, features, splits, ["primary_task", "secondary_task"])


def miracl(topics: Path, passages: Path) -> None:
    for code in MIRACL:
        for split in ("dev",) if code in ("de", "yo") else ("train", "dev"):
            for kind, line in (("topics", "{}\tWhere?\n"), ("qrels", "{}\tQ0\t1#0\t1\n")):
                name = f"miracl-v1.0-{code}/{kind}/{kind}.miracl-v1.0-{code}-{split}.tsv"
                write(topics / name, "".join(line.format(f"{split}{i}") for i in range(20)))
        lines = (
            json.dumps({"docid": f"1#{i}", "title": "Here", "text": f"{code} {i}"})
            for i in range(3)
        )
        write(
            passages / f"miracl-corpus-v1.0-{code}/docs-0.jsonl.gz",
            gzip.compress("".join(f"{line}\n" for line in lines).encode()),
        )
    write(topics / "miracl.py", "raise SystemExit")


def msmarco(folder: Path) -> None:
    passages = [{"docid": str(i), "title": "-", "text": f"passage {i}"} for i in range(3)]
    record = {
        "query_id": "7",
        "query": "which",
        "positive_passages": passages[:1],
        "negative_passages": passages[1:],
    }
    write(folder / "train.jsonl.gz", gzip.compress(json.dumps(record).encode() + b"\n"))


def checkpoints(hub: Path) -> None:
    size = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    size |= {"intermediate_size": 8, "max_position_embeddings": 16}
    special = [(piece, 0.0) for piece in ("<s>", "<pad>", "</s>", "<unk>")]
    unigram = unigram_tokenizer([*special, ("▁tomato", -1.0), ("▁tomate", -2.0), ("<mask>", 0.0)])
    for name, backbone in PAPER["downloads"].items():
        if backbone.get("hub_type") != "model":
            continue
        torch.manual_seed(0)
        if name == "mbert":
            tokenizer = character_tokenizer()
            model: Any = BertForMaskedLM(BertConfig(vocab_size=len(tokenizer), **size))
        else:
            tokenizer = unigram
            model = XLMRobertaForMaskedLM(XLMRobertaConfig(vocab_size=7, **size))
        model.save_pretrained(hub / backbone["hub"])
        tokenizer.save_pretrained(hub / backbone["hub"])


def lexicons(mirror: Path) -> None:
    for name in PAPER["downloads"]["muse"]["files"]:
        write(mirror / "muse" / name, "tomato tomate\nred rojo\n")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in {
            "langvar": "id,lang_code,var_code\n1,eng,0\n2,deu,0\n",
            "expr": "id,langvar,txt,txt_degr\n10,1,tomato,tomato\n11,2,Tomate,tomate\n",
            "denotation": "id,meaning,expr\n1,5,10\n2,5,11\n",
        }.items():
            archive.writestr(f"panlex-20190901-csv/{name}.csv", content)
        archive.writestr("panlex-20190901-csv/source.csv", "not asked for")
    write(mirror / "panlex/panlex-20190901-csv.zip", packed.getvalue())
    for code, word in (("en", "tomato"), ("de", "Tomate")):
        write(
            mirror / f"concepticon/map-{code}.tsv",
            f"ID\tGLOSS\tPRIORITY\n1\tTOMATO///{word}\t1\n",
        )
    graph = networkx.Graph()
    graph.add_edge("$tomato$", "deu:$tomate$", weight="3/4")
    write(mirror / "zenodo/records/7920596/files/net.pickle", pickle.dumps(graph))


def masakhaner(folder: Path) -> list[str]:
    names = [f"{code}/{split}.txt" for code in ("amh", "yor") for split in ("train", "dev", "test")]
    for name in names:
        write(folder / name, "Ada B-PER\nni O\n\nAbuja B-LOC\n\n")
    return names


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    """A small version of the publishers' files."""
    hub = tmp_path / "mirror/hub"
    lexicons(tmp_path / "mirror")
    checkpoints(hub)
    for code in WIKIPEDIA:
        file = hub / f"wikimedia/wikipedia/20231101.{code}/train-00000-of-00001.parquet"
        text = [f"{code} " * 100]
        table(file, id=["1"], url=["https://a.org"], title=["tomato"], text=text)
    xnli(hub / "facebook/xnli")
    tydiqa(hub / "google-research-datasets/tydiqa")
    miracl(hub / "miracl/miracl", hub / "miracl/miracl-corpus")
    msmarco(hub / "Tevatron/msmarco-passage")
    return tmp_path / "mirror"


def test_every_source_is_read_from_a_mirror(mirror: Path, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    shutil.copytree(ROOT / "config", folder / "config")
    github = "https://raw.githubusercontent.com/"
    downloads = PAPER["downloads"]
    change = {
        # The files of this test have other checksums than the publishers' files.
        "downloads": {
            "panlex": {"sha256": None},
            "concepticon": {"checksums": None, "files": ["map-en.tsv", "map-de.tsv"]},
            "masakhaner": {"checksums": None, "files": masakhaner(mirror / "masakhaner")},
        },
        "mirrors": {
            "hub": str(mirror / "hub"),
            downloads["muse"]["url"]: str(mirror / "muse"),
            downloads["panlex"]["url"].removesuffix("panlex-20190901-csv.zip"): str(
                mirror / "panlex"
            ),
            downloads["concepticon"]["url"]: str(mirror / "concepticon"),
            downloads["masakhaner"]["url"]: str(mirror / "masakhaner"),
            "https://zenodo.org/": str(mirror / "zenodo"),
        },
    }
    assert downloads["concepticon"]["url"].startswith(github)
    write(folder / "change.yaml", yaml.safe_dump(change))
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile"]
    command += ["--directory", folder, "--cores", "2"]
    names = ["muse", "panlex", "concepticon", "colexnet"]
    targets = [f"results/lexicons/{name}.tsv" for name in names]
    targets += [f"results/corpora/wikipedia_{code}.jsonl" for code in ("deu", "yor", "zho")]
    targets += [f"results/datasets/{name}/test.jsonl" for name in PAPER["datasets"]]
    targets += [f"results/backbones/{name}/model.safetensors" for name in PAPER["backbones"]]
    result = subprocess.run(
        [*command, *targets, "--configfile", folder / "config/paper.yaml", folder / "change.yaml"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    assert result.returncode == 0, result.stdout
    fetched = {path.name for path in (folder / "resources/downloads").iterdir()}
    assert fetched == downloads.keys()
    for name in names:
        found = (folder / f"results/lexicons/{name}.tsv").read_text(encoding="utf-8")
        assert "\teng\ttomato\t" in found and "\tdeu\t" in found, name

    def languages(dataset: str, split: str) -> dict[str, int]:
        path = folder / f"results/datasets/{dataset}/{split}.jsonl"
        return Counter(row["language"] for row in read_jsonl(path))

    assert languages("masakhaner", "test") == {"amh": 2, "yor": 2}
    assert set(languages("tydiqa", "test").values()) == {1}
    assert len(languages("tydiqa", "test")) == 9
    assert languages("xnli", "train") == dict.fromkeys(
        PAPER["datasets"]["xnli"]["options"]["languages"], 3
    )
    miracl_languages = PAPER["datasets"]["miracl"]["options"]["languages"]
    assert languages("miracl", "test") == dict.fromkeys(miracl_languages, 20)
    assert languages("miracl", "passages") == dict.fromkeys(miracl_languages, 3)
    assert languages("miracl", "train").keys() == {*miracl_languages} - {"deu", "yor"}
    assert languages("msmarco_zho", "train") == {"eng": 1}
    assert languages("msmarco_zho", "passages") == {"eng": 3, "zho": 3}
