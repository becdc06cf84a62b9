"""Compare fine-tuning on real data with the example scripts of transformers.

    python benchmarks/fine_tuning.py --task ner
    python benchmarks/fine_tuning.py --task nli

The data are those of config/laptop.yaml. The model is the wheel's full encoder with
250,002 subwords. The other contender is ``run_ner`` or ``run_glue``: ``AutoModelFor…`` and
``Trainer`` with its defaults (batches of 8, dense AdamW over all subwords). It pads names to the
longest in a batch, and pairs to the maximum length. Both use the same learning rate, schedule,
batch size and number of steps, and another seed in every round. Scores are on the same test
sentences. The mean of ours must not be lower by more than ``--tolerance`` plus two standard errors
of the difference, because seeds have a large effect after such a short training.
"""

import sys
import tempfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from floor import Recorder, floor_of
from side_by_side import (
    Measurement,
    demand,
    in_turn,
    machine,
    measured,
    median_seconds,
    parser,
    peak_bytes,
    ratio,
    report,
    step_clock,
)
from study import made

BACKBONE, RATE, BATCH = "me5-12x250k", 1e-4, 8
DATASETS = {"ner": "masakhaner", "nli": "xnli"}
KINDS = {"ner": "token_classification", "nli": "pair_classification"}
MAX_LENGTH = {"ner": 128, "nli": 96}


def paths(task: str) -> dict[str, Path]:
    tables = f"results/tokenized/{BACKBONE}/original/{DATASETS[task]}"
    names = {
        "tokenizer": f"results/backbones/{BACKBONE}/tokenizer.json",
        "backbone": f"results/backbones/{BACKBONE}/model.safetensors",
        **{split: f"{tables}/{split}.parquet" for split in ("train", "dev", "test")},
    }
    return dict(zip(names, made(*names.values()), strict=True))


def task_of(task: str, files: dict[str, Path]) -> Any:
    from semantic_tokens.tasks.run import make_task

    return make_task(
        KINDS[task],
        tokenized=files["train"].parent,
        tokenizer=files["tokenizer"],
        dataset=Path(f"results/datasets/{DATASETS[task]}"),
        candidates=None,
        languages=None,
        evaluation_split="test",
        options={},
    )


def run_ours(
    task: str,
    files: dict[str, Path],
    steps: int,
    seed: int,
    recorder: AbstractContextManager[Any] | None = None,
) -> Measurement:
    """Args:
    recorder: records the training's operations.
    """
    from semantic_tokens.modeling.loading import ModelFiles
    from semantic_tokens.tasks import run as module
    from semantic_tokens.tokenization.special_tokens import SpecialTokens
    from semantic_tokens.tokenization.tables import token_ids_in
    from semantic_tokens.tokenization.vocabulary import load_tokenizer
    from semantic_tokens.training import TrainingOptions

    seconds: list[float] = []
    train = module.train

    def timed(*arguments: Any, **named: Any) -> Any:
        with recorder or nullcontext():
            return train(*arguments, **named, step_seconds=seconds)

    module.train = timed  # type: ignore[assignment]
    frame = SpecialTokens.of(load_tokenizer(files["tokenizer"]))
    tables = [files[split] for split in ("train", "dev", "test")]
    with measured() as found:
        scores, _ = module.fine_tune(
            task_of(task, files),
            ModelFiles(files["backbone"].parent),
            token_ids=token_ids_in(tables, frame),
            options=TrainingOptions(
                learning_rate=RATE,
                batch_size=BATCH,
                epochs=100,
                max_steps=steps,
                adam_betas=(0.9, 0.999),
                dropout=0.1,
            ),
            seed=seed,
        )
    found.quality = {
        "score": scores["value"],
        "examples_per_second": BATCH / float(np.mean(seconds[2:])),
    }
    return found


def run_stock(task: str, files: dict[str, Path], steps: int, seed: int) -> Measurement:
    import transformers
    from transformers import (
        AutoModelForSequenceClassification,
        AutoModelForTokenClassification,
        DataCollatorForTokenClassification,
        Trainer,
        TrainingArguments,
        default_data_collator,
    )

    from semantic_tokens.tasks.scored_items import scores_by_language
    from semantic_tokens.tokenization.vocabulary import load_tokenizer

    transformers.logging.set_verbosity_error()
    ours = task_of(task, files)
    tokenizer = load_tokenizer(files["tokenizer"])
    examples, seconds = [], []
    for index, row in enumerate(ours.rows):
        one = {name: tensor[0].tolist() for name, tensor in ours.collate(np.array([index])).items()}
        if task == "nli":  # pad_to_max_length
            missing = MAX_LENGTH[task] - len(row["input_ids"])
            one["input_ids"] += [tokenizer.pad_token_id] * missing
            one["attention_mask"] += [0] * missing
            one["token_type_ids"] += [0] * missing
        examples.append(one)

    folder = files["backbone"].parent
    with tempfile.TemporaryDirectory() as place:
        with measured() as found:
            transformers.set_seed(seed)  # for the head; Trainer sets it again
            if task == "ner":
                model = AutoModelForTokenClassification.from_pretrained(
                    folder, num_labels=len(ours.tags)
                )
                collator: Any = DataCollatorForTokenClassification(tokenizer)
            else:
                model = AutoModelForSequenceClassification.from_pretrained(
                    folder, num_labels=len(ours.names)
                )
                collator = default_data_collator
            Trainer(
                model,
                TrainingArguments(
                    place,
                    max_steps=steps,
                    learning_rate=RATE,
                    report_to=[],
                    save_strategy="no",
                    use_cpu=True,
                    seed=seed,
                ),
                data_collator=collator,
                train_dataset=examples,
                callbacks=[step_clock(seconds)],
            ).train()
        scores = scores_by_language(sorted(ours.evaluate(model, 64)))
    found.quality = {
        "score": float(np.mean([score for score, _ in scores.values()])),
        "examples_per_second": BATCH / float(np.mean(seconds[2:])),
    }
    return found


def main() -> None:
    options = parser(__doc__, rounds=3)
    options.add_argument("--task", choices=sorted(DATASETS), default="ner")
    options.add_argument("--steps", type=int, default=300)
    options.add_argument("--tolerance", type=float, default=0.02)
    arguments = options.parse_args()
    torch.set_num_threads(arguments.threads)
    files = paths(arguments.task)
    if arguments.run:
        run = run_ours if arguments.run == "ours" else run_stock
        report(run(arguments.task, files, arguments.steps, arguments.round))
        return
    print(machine(arguments.threads))
    print(f"{arguments.task}: {arguments.steps} steps of {BATCH}")
    found = in_turn(
        dict.fromkeys(("ours", "stock"), sys.argv[1:]),
        rounds=arguments.rounds,
        threads=arguments.threads,
    )
    ours, stock = found["ours"], found["stock"]
    mine, others = ([run.quality["score"] for run in runs] for runs in (ours, stock))
    print(f"mean scores: ours {np.mean(mine):.3f}, stock {np.mean(others):.3f}")
    demand(min(others) > 0, "stock has learnt nothing; give it more --steps")
    lower = float(np.mean(others) - np.mean(mine))
    # One round has no standard error, so only the tolerance counts.
    allowed = arguments.tolerance
    if len(mine) > 1:
        variance = np.var(mine, ddof=1) + np.var(others, ddof=1)
        allowed = max(allowed, 2 * float(np.sqrt(variance / len(mine))))
    demand(lower < allowed, f"our score is lower by {lower:.3f}, more than {allowed:.3f}")
    an_example = [
        [Measurement(1 / run.quality["examples_per_second"]) for run in runs]
        for runs in (stock, ours)
    ]
    print(
        f"examples a second: {ratio(*an_example)} times stock's; memory "
        f"{peak_bytes(ours) / peak_bytes(stock):.0%} of stock's"
    )
    steps = 40
    recorder = Recorder()
    run_ours(arguments.task, files, steps, 1, recorder)
    floor = floor_of(recorder.operations.items(), share=1 / steps / BATCH)
    print(f"ours: {floor.of(median_seconds(an_example[1]))}")


if __name__ == "__main__":
    main()
