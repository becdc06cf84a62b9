"""Cross-entropy over a large vocabulary, without all of its logits in memory."""

from typing import Any

import torch
from torch.nn import functional

# Rows × outputs of logits in memory at a time. A part is small beside the model, and has enough
# rows that reading the weights once for all of them costs little.
_LOGITS_AT_ONCE = 2**25


class _CrossEntropyInParts(torch.autograd.Function):
    """See :func:`cross_entropy_in_parts`. The gradients are found together with the loss, while
    the logits of a part are there. They are scaled when they are asked for, after fp16 has scaled
    the loss."""

    @staticmethod
    def forward(
        ctx: Any,
        states: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        groups: torch.Tensor,
    ) -> torch.Tensor:
        wants = any(ctx.needs_input_grad)
        loss = states.new_zeros((), dtype=torch.float32)
        parameters = [states, weight] if bias is None else [states, weight, bias]
        gradients = [torch.zeros_like(tensor) for tensor in parameters] if wants else []
        size = max(1, _LOGITS_AT_ONCE // len(weight))
        for start in range(0, len(states), size):
            part, target = states[start : start + size], groups[start : start + size, None]
            logits = functional.linear(part, weight, bias).float()
            normaliser = logits.logsumexp(dim=1, keepdim=True)
            loss += (normaliser - logits.gather(1, target)).sum()
            if wants:
                error = logits.sub_(normaliser).exp_()  # predicted less wanted probabilities
                error.scatter_add_(1, target, torch.full_like(normaliser, -1.0))
                gradients[0][start : start + size] = error @ weight
                if part.dtype == weight.dtype and not torch.is_autocast_enabled(part.device.type):
                    gradients[1].addmm_(error.T, part)  # without a second matrix of this size
                else:
                    gradients[1] += error.T @ part
                if bias is not None:
                    gradients[2] += error.sum(dim=0)
        ctx.save_for_backward(*gradients)
        ctx.count = len(states)
        return loss / len(states)

    @staticmethod
    def backward(ctx: Any, *outer: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        scale = outer[0] / ctx.count
        scaled = [gradient.mul_(scale) for gradient in ctx.saved_tensors]
        return *scaled, *[None] * (4 - len(scaled))


def cross_entropy_in_parts(
    states: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, groups: torch.Tensor
) -> torch.Tensor:
    """Mean cross-entropy of ``states @ weight.T + bias``, in nats, for some rows at a time.

    At a full vocabulary the logits fill the memory, even those of masked positions alone, in four
    copies: themselves, their logarithms, and the gradients of both. Here there is one copy, of
    some rows.

    Args:
        states: [n, d] floating; n of 0 gives nan, as the mean of nothing does.
        weight: [V', d], the rows that are scored.
        bias: [V'] or None.
        groups: [n] int64, the row that each state should predict.

    Returns:
        a scalar, float32, to be differentiated once.
    """
    return _CrossEntropyInParts.apply(states, weight, bias, groups)
