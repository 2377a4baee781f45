"""Attention over a sequence that is spread over ranks: keys and values travel around a ring.

Ring self-attention (Li et al. 2021) with one difference: its ranks hold L/P x L scores at a time
and send the keys around first, then the values; here they go together, and blocks of L/P x L/P
scores are merged by their log-sum-exp (Liu et al. 2023), which is equally exact.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from etendue.core.errors import InputError
from etendue.schedule.parallel.wire import Line, Sending, wait


def lengths_of(rows: int, line: Line) -> tuple[int, ...]:
    """How many rows each rank of the line holds; all ranks call this together."""
    mine = torch.tensor([rows])
    return tuple(int(n) for n in line.all_gather(mine, "header"))


def ring_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    line: Line,
    *,
    causal: bool = False,
    lengths: Sequence[int] | None = None,
) -> Tensor:
    """softmax(q kᵀ / √d) v over the whole sequence, of which this rank holds consecutive rows.

    q, k and v are (..., rows, d), v may have another d; the result is (..., rows, d of v). Ranks
    may hold different numbers of rows, or none; `lengths` spares asking for them.
    """
    rows = q.shape[-2]
    if k.shape[:-1] != q.shape[:-1] or v.shape[:-1] != q.shape[:-1] or k.shape != q.shape:
        raise InputError(
            "ring attention",
            "queries, keys and values do not match",
            got=f"{tuple(q.shape)}, {tuple(k.shape)}, {tuple(v.shape)}",
            expected="(..., rows, d) each",
        )
    lengths = lengths_of(rows, line) if lengths is None else tuple(lengths)
    if len(lengths) != line.size or lengths[line.index] != rows:
        raise InputError(
            "ring attention",
            f"rank {line.index} of {line.size} holds {rows} rows",
            got=f"lengths {lengths}",
            expected="the number of rows of each rank",
        )
    return _Ring.apply(q, k, v, line, causal, lengths)  # type: ignore[return-value]


def ring_bytes(lengths: Sequence[int], index: int, row_bytes: int, grad: bool = False) -> int:
    """What a rank sends for one forward (or backward) pass; `row_bytes` of a key and its value.

    Forward each block of keys and values makes P - 1 hops. Backward it does so again, and its
    gradient, which starts with its owner's share, makes P hops and is home.
    """
    size = len(lengths)
    if size == 1:
        return 0
    passed = sum(lengths[(index - hop) % size] for hop in range(size - 1))
    home = lengths[(index + 1) % size]
    return row_bytes * (2 * passed + home if grad else passed)


def _mask(scores: Tensor, lengths: Sequence[int], mine: int, owner: int) -> Tensor:
    """Scores with the future at -inf. Only the block on the diagonal has a future in part."""
    if mine != owner:
        return scores
    rows = lengths[mine]
    future = torch.ones(rows, rows, dtype=torch.bool, device=scores.device).triu(1)
    return scores.masked_fill(future, -math.inf)


def _useful(lengths: Sequence[int], mine: int, owner: int, causal: bool) -> bool:
    """Whether any score of this block counts."""
    return lengths[mine] > 0 and lengths[owner] > 0 and not (causal and owner > mine)


def _pass_on(
    tensors: Sequence[Tensor], rows: int, line: Line, purpose: str, tag: int
) -> tuple[list[Tensor], list[Sending]]:
    """Start sending `tensors` to the next rank and receiving those of the previous one."""
    following, previous = (line.index + 1) % line.size, (line.index - 1) % line.size
    incoming, transfers = [], []
    for number, x in enumerate(tensors):
        buffer = x.new_empty((*x.shape[:-2], rows, x.shape[-1]))
        transfers += line.send(x, following, purpose, 8 * tag + number)
        transfers += line.receive(buffer, previous, 8 * tag + number)
        incoming.append(buffer)
    return incoming, transfers


class _Ring(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, line: Line, causal: bool, lengths: tuple
    ) -> Tensor:
        mine, scale = line.index, 1 / math.sqrt(q.shape[-1])
        keys, values = k, v
        out = v.new_zeros((*q.shape[:-1], v.shape[-1]))
        total = q.new_full(q.shape[:-1], -math.inf)  # log-sum-exp of the scores so far
        for hop in range(line.size):
            owner = (mine - hop) % line.size
            incoming, transfers = [keys, values], []
            if hop < line.size - 1:
                coming = lengths[(owner - 1) % line.size]
                incoming, transfers = _pass_on([keys, values], coming, line, "sequence", hop)
            if _useful(lengths, mine, owner, causal):
                scores = q @ keys.mT * scale
                scores = _mask(scores, lengths, mine, owner) if causal else scores
                block = scores.logsumexp(-1)
                merged = torch.logaddexp(total, block)
                out = out * (total - merged).exp().unsqueeze(-1)
                out += (scores - merged.unsqueeze(-1)).exp() @ values
                total = merged
            wait(transfers)
            keys, values = incoming
        ctx.save_for_backward(q, k, v, out, total)
        ctx.line, ctx.causal, ctx.lengths = line, causal, lengths
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, out, total = ctx.saved_tensors
        line, lengths = ctx.line, ctx.lengths
        mine, size, scale = line.index, line.size, 1 / math.sqrt(q.shape[-1])
        delta = (grad * out).sum(-1, keepdim=True)
        keys, values = k, v
        dq, dk, dv = (torch.zeros_like(x) for x in (q, k, v))
        for hop in range(size):
            owner = (mine - hop) % size
            coming = lengths[(owner - 1) % size]
            incoming, transfers = [keys, values], []
            if hop < size - 1:
                incoming, transfers = _pass_on([keys, values], coming, line, "sequence", 2 * hop)
            if _useful(lengths, mine, owner, ctx.causal):
                scores = q @ keys.mT * scale
                scores = _mask(scores, lengths, mine, owner) if ctx.causal else scores
                p = (scores - total.unsqueeze(-1)).exp()
                dv = dv + p.mT @ grad
                ds = p * (grad @ values.mT - delta) * scale
                dq += ds @ keys
                dk = dk + ds.mT @ q
            wait(transfers)
            if size > 1:  # the gradients of a block follow it, and after the last hop are home
                (dk, dv), transfers = _pass_on([dk, dv], coming, line, "sequence", 2 * hop + 1)
                wait(transfers)
            keys, values = incoming
        return dq, dk, dv, None, None, None
