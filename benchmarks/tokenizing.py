"""How often a corpus is cut into tokens for all the variants of its backbones.

    python benchmarks/tokenizing.py

counts, in the table of experiments of a profile, the variants of every backbone and the different
ways in which their text is cut, and times both on the profile's corpora: cutting once for each way,
as the workflow does, and once for each variant. A grouped model looks its groups up by the original
ids, so what a variant needs beside that is one gather, which is timed too.
"""

import time

import torch
from side_by_side import MIB, bandwidth, machine, parser
from study import made

from semantic_tokens.files import read_jsonl
from semantic_tokens.study.experiments import read_experiments
from semantic_tokens.tokenization.vocabulary import load_tokenizer


def main() -> None:
    options = parser(__doc__, rounds=3)
    options.add_argument("--backbone", default="me5-2x12k")
    arguments = options.parse_args()
    import yaml

    with open("config/config.yaml", encoding="utf-8") as file:
        config = yaml.safe_load(file)
    rows = read_experiments(config["experiments"], config, "config/schemas/experiments.schema.json")
    recipes = {row.recipe for row in rows if row.recipe.backbone == arguments.backbone}
    cuts = {
        recipe.grouping if recipe.grouping.startswith("firstk-") else "original"
        for recipe in recipes
    }
    names = config["pretraining"]["corpora"]
    tokenizer_path, *corpora = made(
        f"results/backbones/{arguments.backbone}/tokenizer.json",
        *(f"results/corpora/{name}.jsonl" for name in names),
    )
    tokenizer = load_tokenizer(tokenizer_path)
    texts = [row["text"] for corpus in corpora for row in read_jsonl(corpus)]
    print(machine(arguments.threads))
    torch.set_num_threads(arguments.threads)
    for _ in range(arguments.rounds):
        began = time.perf_counter()
        ids = [encoding.ids for encoding in tokenizer.backend_tokenizer.encode_batch_fast(texts)]
        once = time.perf_counter() - began
        flat = torch.tensor([token for row in ids for token in row])
        token_to_group = torch.randint(600, (tokenizer.get_vocab_size(),))
        began = time.perf_counter()
        token_to_group[flat]
        gather = time.perf_counter() - began
        per_variant, per_cut = len(recipes) * once, len(cuts) * once
        ours = per_cut + len(recipes) * gather
        least = 2 * flat.nbytes / bandwidth(flat.nbytes / MIB, 0.5)
        print(
            f"{len(texts):,} texts, {len(flat):,} tokens: cut in {once:.2f} s, gathered in "
            f"{gather * 1000:.1f} ms (floor {least / gather:.0%}); {len(recipes)} variants, {len(cuts)} ways to cut: "
            f"{ours:.1f} s against {per_variant:.1f} s, {per_variant / ours:.1f} times as fast"
        )


if __name__ == "__main__":
    main()
