"""Cross-entropy over a large vocabulary, with only a part of the logits in memory."""

from typing import Any

import torch
from torch.nn import functional

# The size of a part of the logits, as rows × outputs. A part is small compared with the model, and
# has enough rows to make the cost of reading the weights small.
_LOGITS_AT_ONCE = 2**25


class _CrossEntropyInParts(torch.autograd.Function):
    """See :func:`cross_entropy_in_parts`. The forward pass also computes the gradients, while it
    has the logits of a part, and the backward pass scales them.

    Half precision has no numbers below 6e-8, so fp16 scales the loss. There the backward pass
    computes the logits again, and scales the errors before they become half precision.
    """

    @staticmethod
    def forward(
        ctx: Any,
        states: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        groups: torch.Tensor,
    ) -> torch.Tensor:
        wants = any(ctx.needs_input_grad)
        device = states.device.type
        ctx.is_half = (
            torch.is_autocast_enabled(device) and torch.get_autocast_dtype(device) == torch.float16
        )
        loss, gradients = _loss_and_gradients(
            states, weight, bias, groups, wants=wants and not ctx.is_half
        )
        ctx.groups, ctx.count = groups, len(states)
        inputs = [states, weight] if bias is None else [states, weight, bias]
        ctx.save_for_backward(*(inputs if ctx.is_half else gradients))
        return loss / len(states)

    @staticmethod
    def backward(ctx: Any, *outer: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        scale = outer[0] / ctx.count
        if ctx.is_half:
            states, weight, bias = (*ctx.saved_tensors, None)[:3]
            with torch.autocast(states.device.type, dtype=torch.float16):
                _, scaled = _loss_and_gradients(
                    states, weight, bias, ctx.groups, wants=True, scale=scale
                )
        else:
            scaled = [gradient.mul_(scale) for gradient in ctx.saved_tensors]
        return *scaled, *[None] * (4 - len(scaled))


def _loss_and_gradients(
    states: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    groups: torch.Tensor,
    *,
    wants: bool,
    scale: torch.Tensor | None = None,
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The summed cross-entropy, and its gradients if one ``wants`` them, times ``scale``."""
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
            error = logits.sub_(normaliser).exp_()  # predicted minus target probabilities
            error.scatter_add_(1, target, torch.full_like(normaliser, -1.0))
            if scale is not None:
                error.mul_(scale)
            gradients[0][start : start + size] = error @ weight
            if part.dtype == weight.dtype and not torch.is_autocast_enabled(part.device.type):
                gradients[1].addmm_(error.T, part)  # without a second matrix of this size
            else:
                gradients[1] += error.T @ part
            if bias is not None:
                gradients[2] += error.sum(dim=0)
    return loss, gradients


def cross_entropy_in_parts(
    states: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, groups: torch.Tensor
) -> torch.Tensor:
    """Mean cross-entropy of ``states @ weight.T + bias``, in nats, computed for some rows at a
    time.

    With a full vocabulary, logits need much memory even if they are limited to masked positions,
    because there are four copies: logits, their logarithms, and the gradients of both. Here there
    is one copy, for some rows at a time.

    Args:
        states: [n, d] floating; with n = 0 the result is nan.
        weight: [V', d].
        bias: [V'] or None.
        groups: [n] int64, the target row of each state.

    Returns:
        a scalar, float32, which can be differentiated once.
    """
    if not torch.is_grad_enabled():  # autograd would ask for the gradients of parameters even here
        states, weight = states.detach(), weight.detach()
        bias = None if bias is None else bias.detach()
    return _CrossEntropyInParts.apply(states, weight, bias, groups)
