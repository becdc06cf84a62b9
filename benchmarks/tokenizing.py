"""Count how often a corpus is tokenised for all variants of its backbones.

    python benchmarks/tokenizing.py

In the table of experiments of a profile, this counts the variants of every backbone and their
different tokenizers. It measures both on the profile's corpora: tokenising once per tokenizer, as
in the workflow, and once per variant. A grouped model looks up groups by the original ids, so a
variant only needs one additional gather, which is also measured.
"""

import time

import torch
from side_by_side import MIB, bandwidth, machine, parser
from study import made

from semantic_tokens.json_files import read_jsonl
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
