"""In which order the ranks of a pipeline run their stages: 1F1B and interleaved.

After Narayanan et al. 2021, section 2.2. A pipeline of p ranks and v chunks has p·v stages; stage s
lies on rank s mod p. Each rank first runs a few forward passes (the warm-up), then one forward
and one backward in turn, and in the end the backward passes that are left.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from etendue.core.errors import InputError

FORWARD, BACKWARD = "F", "B"


class Op(NamedTuple):
    """Forward or backward pass of one micro-batch through one stage."""

    kind: str
    stage: int
    microbatch: int

    def __str__(self) -> str:
        return f"{self.stage}{self.kind}{self.microbatch}"


Order = tuple[tuple[Op, ...], ...]  # the operations of each rank


def one_f_one_b(ranks: int, microbatches: int) -> Order:
    """1F1B: one stage per rank, rank r warms up with p - 1 - r forward passes."""
    return tuple(
        _rank_ops(rank, ranks, microbatches, 1, min(ranks - 1 - rank, microbatches))
        for rank in range(_check(ranks, microbatches, 1))
    )


def interleaved(ranks: int, microbatches: int, chunks: int) -> Order:
    """Interleaved 1F1B: v stages per rank; warm-up 2(p - 1 - r) + (v - 1)p.

    Micro-batches go through a chunk in rounds of p, so their number is a multiple of p.
    """
    return tuple(
        _rank_ops(
            rank,
            ranks,
            microbatches,
            chunks,
            min(2 * (ranks - 1 - rank) + (chunks - 1) * ranks, microbatches * chunks),
        )
        for rank in range(_check(ranks, microbatches, chunks, rounds=True))
    )


def order(ranks: int, microbatches: int, chunks: int = 1) -> Order:
    """1F1B for one chunk per rank, interleaved for more."""
    if chunks == 1:
        return one_f_one_b(ranks, microbatches)
    return interleaved(ranks, microbatches, chunks)


def forward_only(ranks: int, microbatches: int, chunks: int = 1) -> Order:
    """The forward passes of the interleaved order: inference, or the passes of a frame."""
    return tuple(
        tuple(op for op in ops if op.kind == FORWARD)
        for ops in interleaved(ranks, microbatches, chunks)
    )


def stages_of(rank: int, ranks: int, chunks: int) -> tuple[int, ...]:
    """The stages on a rank, from the first chunk to the last."""
    return tuple(chunk * ranks + rank for chunk in range(chunks))


def bubble(ranks: int, microbatches: int, chunks: int = 1) -> tuple[int, int]:
    """Idle over working time of a rank as (numerator, denominator): (p - 1) / (v m)."""
    return ranks - 1, chunks * microbatches


def peak_stash(ranks: int, microbatches: int, chunks: int = 1) -> int:
    """Most activations that rank 0 keeps, in stages: p, or p·v + p - 1 interleaved."""
    warm_up = ranks - 1 if chunks == 1 else 2 * (ranks - 1) + (chunks - 1) * ranks
    return min(warm_up + 1, microbatches * chunks)


def _check(ranks: int, microbatches: int, chunks: int, rounds: bool = False) -> int:
    for what, value in (("ranks", ranks), ("micro-batches", microbatches), ("chunks", chunks)):
        if value < 1:
            raise InputError("pipeline", f"too few {what}", got=value, expected="1 or more")
    if rounds and microbatches % ranks:
        raise InputError(
            "pipeline",
            "the micro-batches of an interleaved schedule run in rounds of one per rank",
            got=f"{microbatches} micro-batches on {ranks} ranks",
            expected=f"a multiple of {ranks}",
            fix="Change the number of micro-batches, or use one chunk per rank",
        )
    return ranks


def _passes(
    kind: str, rank: int, ranks: int, microbatches: int, chunks: int, width: int
) -> Iterator[Op]:
    """All passes of one kind on a rank: a round of `width` micro-batches, chunk by chunk."""
    walk = range(chunks) if kind == FORWARD else range(chunks - 1, -1, -1)
    for first in range(0, microbatches, width):
        for chunk in walk:
            for microbatch in range(first, min(first + width, microbatches)):
                yield Op(kind, chunk * ranks + rank, microbatch)


def _rank_ops(
    rank: int, ranks: int, microbatches: int, chunks: int, warm_up: int
) -> tuple[Op, ...]:
    width = ranks if chunks > 1 else microbatches
    forward = _passes(FORWARD, rank, ranks, microbatches, chunks, width)
    backward = _passes(BACKWARD, rank, ranks, microbatches, chunks, width)
    ops = [next(forward) for _ in range(warm_up)]
    for op in forward:
        ops += [op, next(backward)]
    return (*ops, *backward)
