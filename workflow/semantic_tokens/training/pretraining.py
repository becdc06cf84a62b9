"""Continual pretraining by masked language modelling on semantic tokens (paper, 2.4; Ap. A)."""

import bisect
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open

from semantic_tokens.errors import InputError
from semantic_tokens.files import reading, sha256_of
from semantic_tokens.jobs.processes import is_first_process
from semantic_tokens.json_files import write_json
from semantic_tokens.modeling.loading import ModelFiles, load_model, save_model
from semantic_tokens.modeling.masked_language_modelling import Logits, MaskedLanguageModel
from semantic_tokens.tokenization.vocabulary import (
    ids_without_subword,
    load_tokenizer,
    special_ids,
    vocabulary_size,
)
from semantic_tokens.training import (
    Batch,
    Tracking,
    TrainingOptions,
    autocast_here,
    checkpoint_activations,
    remove_checkpoint,
    train,
)

log = logging.getLogger(__name__)


class _Sequences:
    """The sequences of one language in several files; each is read from disk when it is used."""

    def __init__(self) -> None:
        self._parts: list[Any] = []
        self._ends: list[int] = []

    def append(self, part: Any) -> None:
        self._parts.append(part)
        self._ends.append(len(self) + part.get_shape()[0])

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, index: int) -> np.ndarray:
        """[L] int32."""
        number = bisect.bisect_right(self._ends, index)
        row = index - (self._ends[number - 1] if number else 0)
        return self._parts[number][row : row + 1][0]

    def blocks(self, count: int, size: int = 4096) -> Iterator[np.ndarray]:
        """Yield the first ``count`` sequences, at most ``size`` at a time, [n, L] int32 each."""
        for part, end in zip(self._parts, self._ends, strict=True):
            length = part.get_shape()[0]
            used = min(length, max(0, count - (end - length)))
            for start in range(0, used, size):
                yield part[start : min(start + size, used)]


class PackedCorpora:
    """Full sequences by language, sampled with a temperature.

    A language with a fraction p of all sequences is drawn with a probability proportional to
    p ** ``exponent``: 1 follows the data, 0 draws all languages equally.

    Args:
        paths: files of :func:`~semantic_tokens.tokenization.examples.pack_corpus`.
        held_out: the maximum number of sequences to hold out per language, the last ones. At most a
            tenth of a language is held out.
    """

    def __init__(self, paths: list[str | Path], exponent: float, held_out: int = 0) -> None:
        found: dict[str, _Sequences] = {}
        for path in paths:
            with reading(path):
                file = safe_open(path, framework="np")  # memory-mapped
            for language in file.keys():  # noqa: SIM118 (not a dictionary)
                found.setdefault(language, _Sequences()).append(file.get_slice(language))
        if not found:
            raise InputError(f"{', '.join(map(str, paths))} contain no sequence; add a corpus")
        self.sequences = {name: found[name] for name in sorted(found)}
        self.held_out = {
            name: min(held_out, len(rows) // 10) for name, rows in self.sequences.items()
        }
        counts = np.array([self.trained(name) for name in self.sequences], dtype=np.float64)
        weights = (counts / counts.sum()) ** exponent
        self.probabilities = weights / weights.sum()

    def trained(self, language: str) -> int:
        """The number of training sequences of a language, which are the first ones."""
        return len(self.sequences[language]) - self.held_out[language]

    def trained_blocks(self) -> Iterator[np.ndarray]:
        """Yield the training sequences of all languages, [n, L] int32 at a time."""
        for name, rows in self.sequences.items():
            yield from rows.blocks(self.trained(name))

    def held_out_sequences(self, language: str) -> Iterator[np.ndarray]:
        """Yield the held-out sequences of a language, [L] int32 each."""
        for index in range(self.trained(language), len(self.sequences[language])):
            yield self.sequences[language][index]

    @property
    def sequence_length(self) -> int:
        """L, the number of tokens per sequence."""
        return len(next(iter(self.sequences.values()))[0])

    def batches(self, batch_size: int, steps: int, seed: int) -> Iterator[np.ndarray]:
        """Yield one [batch_size, L] int32 per step. The sequences of a language are in a shuffled
        order, and all are used before one is repeated."""
        generator = np.random.default_rng(seed)
        names = list(self.sequences)
        orders = {name: np.empty(0, dtype=np.int64) for name in names}
        for _ in range(steps):
            drawn = generator.choice(len(names), size=batch_size, p=self.probabilities)
            rows = []
            for index in drawn:
                name = names[index]
                if not len(orders[name]):
                    orders[name] = generator.permutation(self.trained(name))
                rows.append(self.sequences[name][int(orders[name][0])])
                orders[name] = orders[name][1:]
            yield np.stack(rows)


def mask_tokens(
    input_ids: torch.Tensor,
    special_ids: torch.Tensor,
    *,
    mask_id: int,
    random_from: torch.Tensor,
    probability: float,
    generator: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """BERT's masking: of the chosen tokens, 80% become [MASK], 10% a random token, and 10% stay.

    Args:
        input_ids: [B, L] int64.
        special_ids: ids that are never chosen.
        random_from: [n] int64, the ids from which random tokens are drawn.

    Returns:
        the input ids and the ids to predict (-100 elsewhere), both [B, L].
    """
    eligible = ~torch.isin(input_ids, special_ids)
    chosen = (torch.rand(input_ids.shape, generator=generator) < probability) & eligible
    targets = torch.where(chosen, input_ids, -100)
    action = torch.rand(input_ids.shape, generator=generator)
    drawn = torch.randint(len(random_from), input_ids.shape, generator=generator)
    fed = torch.where(chosen & (action < 0.8), mask_id, input_ids)
    fed = torch.where(chosen & (action >= 0.9), random_from[drawn], fed)
    return fed, targets


@torch.inference_mode()
def held_out_losses(
    model: MaskedLanguageModel,
    data: PackedCorpora,
    mask: Callable[[torch.Tensor, torch.Generator], tuple[torch.Tensor, torch.Tensor]],
    never_predicted: torch.Tensor,
    seed: int,
) -> dict[str, Any]:
    """The loss of masked tokens in held-out sequences.

    All models of a backbone predict the same tokens. With fewer groups there are fewer possible
    answers, so the result includes the loss of a guess from the frequencies of the groups that are
    predicted.

    Args:
        mask: :func:`mask_tokens` with its options.
        never_predicted: ids that ``mask`` never chooses, all members of their groups.
        seed: the seed of the masks.

    Returns:
        ``by_language``: for each language with held-out sequences, ``loss`` in nats per masked
        token, ``tokens``, ``loss_by_frequency`` of the guess, and ``sequences``: for each, the sum
        of its losses, the sum of the guess's, and their number.
    """
    model.eval()
    device = next(model.parameters()).device
    groups_of = model.embedding.token_to_group.cpu()
    counts = torch.ones(len(model.embedding.weight), dtype=torch.float64)
    for rows in data.trained_blocks():
        groups = groups_of[torch.from_numpy(rows.astype(np.int64)).flatten()]
        counts += torch.bincount(groups, minlength=len(counts))
    counts[groups_of[never_predicted]] = 0
    nats = -(counts / counts.sum()).log()
    by_language = {}
    for name in data.sequences:
        generator = torch.Generator().manual_seed(seed)
        sums = []
        for row in data.held_out_sequences(name):
            fed, targets = mask(torch.from_numpy(row.astype(np.int64))[None], generator)
            masked = targets[targets != -100]
            if len(masked):
                loss = float(model(fed.to(device), targets.to(device)))
                guessed = float(nats[groups_of[masked]].sum())
                sums.append([loss * len(masked), guessed, len(masked)])
        if sums:
            lost, guessed, tokens = (sum(column) for column in zip(*sums, strict=True))
            by_language[name] = {
                "loss": lost / tokens,
                "tokens": tokens,
                "loss_by_frequency": guessed / tokens,
                "sequences": sums,
            }
    model.train()
    return {"by_language": by_language}


@dataclass(frozen=True)
class Objective:
    """The objective of pretraining (section 2.4; Appendix A).

    Attributes:
        mask_probability: the fraction of tokens to predict.
        language_sampling_exponent: see :class:`PackedCorpora`.
        held_out_sequences: the number of held-out sequences per language; see
            :class:`PackedCorpora`.
        logits: see :class:`MaskedLanguageModel`.
        seed: the seed of the order of sequences, of the masks, and of a new head.
    """

    mask_probability: float
    language_sampling_exponent: float
    held_out_sequences: int = 0
    logits: Logits = "masked"
    seed: int = 1


class Pretraining:
    """A semantic-token model with its masked training sequences.

    Args:
        files: the files of the model.
        corpora: packed sequences (:func:`~semantic_tokens.tokenization.examples.pack_corpus`).
        tokenizer: the backbone's ``tokenizer.json``.

    Raises:
        InputError: the tokenizer has no mask token, or the number of steps is missing.
    """

    def __init__(
        self,
        files: ModelFiles,
        corpora: Sequence[str | Path],
        tokenizer: str | Path,
        options: TrainingOptions,
        objective: Objective,
    ) -> None:
        opened = load_tokenizer(tokenizer)
        if opened.mask_token_id is None:
            raise InputError(
                f"{tokenizer} has no mask token, which masked language modelling needs"
            )
        if options.max_steps is None:
            raise InputError(
                "pretraining needs a number of steps: set `pretraining.training.max_steps`"
            )
        self.steps = options.max_steps
        self.options, self.objective = options, objective
        self.data = PackedCorpora(
            list(corpora), objective.language_sampling_exponent, objective.held_out_sequences
        )
        self.plain = load_model(
            "masked_language_modelling",
            files,
            seed=objective.seed,
            dropout=options.dropout,
            attn_implementation=options.attn_implementation,
        )
        if options.gradient_checkpointing:
            checkpoint_activations(self.plain)
        self.model = MaskedLanguageModel(self.plain, objective.logits)
        self._mask_id = opened.mask_token_id
        # Special tokens are never chosen; an unknown token, for example, cannot be predicted. Subwords
        # that First-k removes are in its group, and so are no random tokens either.
        special, groups = torch.tensor(special_ids(opened)), self.model.embedding.token_to_group
        is_special = torch.isin(groups, groups[special]).cpu()
        self.never_predicted = is_special.nonzero().flatten()
        is_special[special] = False
        is_special[vocabulary_size(opened) :] = True  # rows without a subword
        is_special[ids_without_subword(opened)] = True
        self._random_from = (~is_special).nonzero().flatten()

    def mask(
        self, input_ids: torch.Tensor, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """:func:`mask_tokens` with this model's tokenizer."""
        return mask_tokens(
            input_ids,
            self.never_predicted,
            mask_id=self._mask_id,
            random_from=self._random_from,
            probability=self.objective.mask_probability,
            generator=generator,
        )

    def batches(self) -> Iterator[list[Batch]]:
        """Yield the micro-batches of each step."""
        generator = torch.Generator().manual_seed(self.objective.seed)
        size = self.options.batch_size
        for rows in self.data.batches(size, self.steps, self.objective.seed):
            fed, targets = self.mask(torch.from_numpy(rows.astype(np.int64)), generator)
            part = self.options.micro_batch_size(len(rows))
            yield [
                {"input_ids": fed[i : i + part], "masked_tokens": targets[i : i + part]}
                for i in range(0, len(fed), part)
            ]

    def train(self, **training: Any) -> list[float]:
        """Train the model; ``training`` are arguments of :func:`~semantic_tokens.training.train`.

        Returns:
            the loss of every step, in nats per masked token.
        """
        return train(
            self.model,
            self.batches,
            lambda wrapped, batch: wrapped(**batch),
            steps=self.steps,
            options=self.options,
            seed=self.objective.seed,
            terms=lambda batch: int((batch["masked_tokens"] != -100).sum()),
            **training,
        )


def pretrain(
    files: ModelFiles,
    corpora: Sequence[str | Path],
    tokenizer: str | Path,
    target: str | Path,
    *,
    options: TrainingOptions,
    objective: Objective,
    held_out: str | Path | None = None,
    checkpoint: str | Path | None = None,
    code: str = "",
    tracking: Tracking | None = None,
    description: str = "pretraining",
    **training: Any,
) -> list[float]:
    """Continue a semantic-token model's pretraining and write it to ``target``.

    Args:
        files, corpora, tokenizer: see :class:`Pretraining`.
        held_out: a JSON file for the loss on held-out sequences (:func:`held_out_losses`).
        code: a digest of the code. An interrupted run does not continue with other code.
        tracking: where to record the steps.
        description: the recipe of the model, without its pretraining.
        training: further arguments of :func:`~semantic_tokens.training.train`.

    Returns:
        the loss of every step, in nats per masked token.
    """
    pretraining = Pretraining(files, corpora, tokenizer, options, objective)
    losses = pretraining.train(
        checkpoint=checkpoint,
        # Keep the checkpoint until the model is written, so a killed job does not train again.
        keep_checkpoint=checkpoint is not None and options.checkpoint_every > 0,
        identity=[asdict(objective), [sha256_of(corpus) for corpus in corpora], code],
        tracking=tracking,
        description=description,
        **training,
    )
    if is_first_process():
        if held_out is not None:
            with autocast_here(options.precision):
                found = held_out_losses(
                    pretraining.model,
                    pretraining.data,
                    pretraining.mask,
                    pretraining.never_predicted,
                    objective.seed,
                )
            write_json(found, held_out)
        folder = Path(tokenizer).parent
        save_model(pretraining.plain, files, folder, target, recipe=f"{description}/mlm")
        if checkpoint is not None:
            remove_checkpoint(checkpoint)
    return losses
