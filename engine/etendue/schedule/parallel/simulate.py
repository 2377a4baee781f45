"""Exact simulation of a pipeline: when each pass starts and ends, given what each one costs.

Times are any numbers that add and compare; with integers or fractions the result is exact.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from etendue.core.errors import InputError
from etendue.schedule.parallel.order import FORWARD, Op, Order


@dataclass(frozen=True)
class Costs:
    """What one micro-batch costs: passes per stage, and the way between stages s and s + 1.

    A transfer (none given: no time) delays the receiver; it occupies neither rank. Between stages
    of one rank it is free.
    """

    forward: Sequence[Any]
    backward: Sequence[Any]
    transfer: Sequence[Any] = ()

    @staticmethod
    def uniform(stages: int, forward: Any, backward: Any, transfer: Any = 0) -> Costs:
        """The same for every stage."""
        return Costs((forward,) * stages, (backward,) * stages, (transfer,) * (stages - 1))


@dataclass(frozen=True)
class Span:
    """One pass on a rank."""

    op: Op
    start: Any
    end: Any


@dataclass(frozen=True)
class Timeline:
    """The passes of each rank, in order."""

    spans: tuple[tuple[Span, ...], ...]

    @property
    def finish(self) -> Any:
        """When the last rank is done."""
        return max(rank[-1].end for rank in self.spans)

    def busy(self, rank: int) -> Any:
        """Time in which the rank works."""
        return sum(span.end - span.start for span in self.spans[rank])

    @property
    def ideal(self) -> Any:
        """The work of the busiest rank: no schedule is faster."""
        return max(self.busy(rank) for rank in range(len(self.spans)))

    @property
    def idle(self) -> Any:
        """`finish` - `ideal`; divided by `ideal` it is the bubble fraction of the schedule."""
        return self.finish - self.ideal


def requires(op: Op, last_stage: int) -> Op | None:
    """The pass that makes the input of `op`, if any."""
    if op.kind == FORWARD:
        return Op(FORWARD, op.stage - 1, op.microbatch) if op.stage else None
    if op.stage == last_stage:
        return Op(FORWARD, op.stage, op.microbatch)
    return Op(op.kind, op.stage + 1, op.microbatch)


def simulate(order: Order, costs: Costs) -> Timeline:
    """Run every rank's passes in order, each as soon as its rank and its input are there.

    Raises `InputError` when the ranks would wait for each other for ever.
    """
    ranks, last = len(order), len(costs.forward) - 1
    cost = {FORWARD: costs.forward}
    ends: dict[Op, Any] = {}
    spans: list[list[Span]] = [[] for _ in order]
    waiting: dict[Op, int] = {}  # what a rank that stands still needs
    ready = deque(range(ranks))
    while ready:
        rank = ready.popleft()
        ops, mine = order[rank], spans[rank]
        while len(mine) < len(ops):
            op = ops[len(mine)]
            needed = requires(op, last)
            start = mine[-1].end if mine else 0
            if needed is not None:
                if needed not in ends:
                    waiting[needed] = rank
                    break
                far = costs.transfer and needed.stage % ranks != rank
                way = costs.transfer[min(needed.stage, op.stage)] if far else 0
                start = max(start, ends[needed] + way)
            end = start + cost.get(op.kind, costs.backward)[op.stage]
            mine.append(Span(op, start, end))
            ends[op] = end
            if op in waiting:
                ready.append(waiting.pop(op))
    for rank, (ops, mine) in enumerate(zip(order, spans, strict=True)):
        if len(mine) < len(ops):
            stuck = ops[len(mine)]
            raise InputError(
                f"pipeline rank {rank}",
                f"pass {stuck} waits for {requires(stuck, last)}, which is never run",
                expected="an order in which every input is made before it is used",
            )
    return Timeline(tuple(tuple(rank) for rank in spans))


def stash_peak(ops: Sequence[Op], size: Sequence[Any]) -> Any:
    """Most that a rank keeps between forward and backward; `size` of a micro-batch per stage."""
    now = peak = 0
    for op in ops:
        now += size[op.stage] if op.kind == FORWARD else -size[op.stage]
        peak = max(peak, now)
    return peak
