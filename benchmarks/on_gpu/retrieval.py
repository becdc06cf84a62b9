"""Retrieval: gradient caching, and the rates of encoding and exact search compared with their
floors."""

import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from on_gpu.machine import floor_of
from on_gpu.models import write_groups
from on_gpu.pretraining import floor_name
from on_gpu.run import PeakMemory, Run, wait
from semantic_tokens.modeling.loading import load_model
from semantic_tokens.tasks.bi_encoder import (
    BestPassages,
    contrastive_loss,
    embed,
    embed_in_parts,
    encode_texts,
)
from semantic_tokens.training import autocast_here

#: The maximum relative difference of the gradient of a batch in parts from that of the batch.
GRADIENT_BOUND = 1e-4


def gradient_caching(run: Run, values: dict[str, Any]) -> None:
    """Compare the gradient of a batch that is encoded in parts with that of the entire batch, in
    float32, and the memory of both."""
    sizes = run.sizes
    generator = torch.Generator().manual_seed(1)
    queries, passages = (
        torch.randint(5, sizes.rows, (count, length), generator=generator).to(run.device)
        for count, length in (
            (sizes.compared_batch, max(4, sizes.text_length // 4)),
            (2 * sizes.compared_batch, sizes.text_length),
        )
    )
    target = torch.arange(len(queries), device=run.device)
    forbidden = torch.zeros(len(queries), len(passages), dtype=torch.bool, device=run.device)
    gradients, losses = [], []
    part = max(1, sizes.compared_batch // 8)
    embed_part = partial(embed, pooling="cls", similarity="cosine")
    with tempfile.TemporaryDirectory() as temporary:
        files = write_groups(run, Path(temporary), 0.05, sizes.columns)
        for size in (None, part):
            model = load_model("none", files, seed=1, dropout=0.0).to(run.device).train()
            with PeakMemory(run.device) as memory:
                vectors = [
                    embed_in_parts(embed_part, model, ids, torch.ones_like(ids), size)
                    for ids in (queries, passages)
                ]
                loss = contrastive_loss(*vectors, target, forbidden, 0.05)
                loss.backward()
            values["whole_peak_bytes" if size is None else "parts_peak_bytes"] = memory.bytes
            losses.append(float(loss.detach()))
            found = (p.grad.flatten().cpu() for p in model.parameters() if p.grad is not None)
            gradients.append(torch.cat(list(found)).double())
            del model, vectors, loss
    whole, parts = gradients
    away = float((whole - parts).norm() / whole.norm())
    values |= {
        "texts": len(queries) + len(passages),
        "part": part,
        "loss_difference": abs(losses[1] - losses[0]) / abs(losses[0]),
        "gradient_difference": away,
        "bound": GRADIENT_BOUND,
        "holds": away <= GRADIENT_BOUND,
    }


def encode_and_search(run: Run, values: dict[str, Any]) -> None:
    """Measure encoded texts per second, compared passages per second, and their fractions of the
    floor of products."""
    sizes = run.sizes
    random = np.random.default_rng(1)
    texts = random.integers(5, sizes.rows, (sizes.texts, sizes.text_length)).tolist()
    with tempfile.TemporaryDirectory() as temporary:
        files = write_groups(run, Path(temporary), 0.05, sizes.columns)
        model = load_model("none", files, seed=1).to(run.device)

    def encode(some: list[list[int]]) -> float:
        wait(run.device)
        began = time.perf_counter()
        with autocast_here("auto"):
            encode_texts(model, some, 0, pooling="cls", similarity="cosine", batch_size=256)
        return time.perf_counter() - began

    encode(texts[:256])  # libraries are loaded
    seconds = encode(texts)
    width = sizes.columns
    layer = 8 * width**2 + 4 * width * sizes.feed_forward + 4 * sizes.text_length * width
    operations = sizes.texts * sizes.text_length * sizes.layers * layer
    values["encoding"] = {
        "texts": sizes.texts,
        "tokens_per_text": sizes.text_length,
        "texts_per_second": sizes.texts / seconds,
        "floor": floor_name(),
        "floor_share": operations / floor_of(run, floor_name()) / seconds,
    }
    run.save()
    queries = random.standard_normal((sizes.queries, width), dtype=np.float32)
    passages = random.standard_normal((sizes.passages, width), dtype=np.float32)
    names = [str(i) for i in range(sizes.passages)]
    for count in (min(64, sizes.passages), sizes.passages):  # the first loads libraries
        best = BestPassages(queries, ["eng"] * sizes.queries, 100)
        wait(run.device)
        began = time.perf_counter()
        best.add("eng", names[:count], passages[:count])
        seconds = time.perf_counter() - began
    found = best.runs()[0]
    expected = np.argsort(-(passages @ queries[0]))[:10]
    values["search"] = {
        "queries": sizes.queries,
        "passages": sizes.passages,
        "seconds": seconds,
        "floor_share": 2 * queries.size * sizes.passages / floor_of(run, "float32") / seconds,
        "first_ten_are_numpys": list(found)[:10] == [names[i] for i in expected],
    }
