"""How many bytes each way of splitting puts on the wire; the counters of `wire` must agree.

All figures are what one rank sends, payload only. A message with unknown shape is preceded by
`wire.HEADER_BYTES`, and the network adds its own headers. Ring attention: `ring.ring_bytes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from etendue.schedule.parallel.order import stages_of


def all_reduce_bytes(size: int, ranks: int) -> Fraction:
    """2(k - 1)/k of the tensor: once around a ring to add, once to spread the sum."""
    return Fraction(2 * (ranks - 1) * size, ranks)


def all_gather_bytes(size: int, ranks: int) -> int:
    """k - 1 times this rank's part."""
    return (ranks - 1) * size


def pipeline_bytes(rank: int, ranks: int, chunks: int, boundary: Sequence[int]) -> int:
    """Activations forward and gradients backward; `boundary[s]` leave stage s in one step.

    That is the sum over the micro-batches, so their number does not matter.
    """
    if ranks == 1:
        return 0
    last = ranks * chunks - 1
    return sum(
        (boundary[stage] if stage < last else 0) + (boundary[stage - 1] if stage else 0)
        for stage in stages_of(rank, ranks, chunks)
    )


def block_bytes(activation: int, ranks: int) -> Fraction:
    """Tensor parallel transformer block, forward and backward: four all-reduces.

    `activation` is the size of the block's input (batch x rows x width).
    """
    return 4 * all_reduce_bytes(activation, ranks)
