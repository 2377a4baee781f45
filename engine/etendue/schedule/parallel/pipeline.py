"""Running a pipeline's order: activations go to the next stage, gradients come back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from etendue.core.errors import InputError
from etendue.schedule.parallel.order import BACKWARD, FORWARD, Op, Order
from etendue.schedule.parallel.wire import Line, Sending, wait

Finish = Callable[[int, Tensor], Tensor]  # number and output of a micro-batch -> its loss


@dataclass
class Run:
    """What one pass over all micro-batches left on this rank.

    `outputs` and `losses` by micro-batch are on the rank of the last stage only. `stash_peak` is
    the most activations, in stages, that were kept for the backward passes at one time.
    """

    outputs: dict[int, Tensor] = field(default_factory=dict)
    losses: dict[int, Tensor] = field(default_factory=dict)
    stash_peak: int = 0


def run(
    stages: Mapping[int, nn.Module],
    order: Order,
    line: Line,
    inputs: Sequence[Tensor],
    finish: Finish | None = None,
) -> Run:
    """Run this rank's operations; parameters of `stages` accumulate gradients.

    `stages` are those of this rank by number, `inputs` the micro-batches for stage 0. `finish` is
    needed on the rank of the last stage when there are backward passes. A stage takes one tensor
    and returns one; shapes may differ between stages and between micro-batches.
    """
    return _Runner(stages, order, line, inputs, finish).run()


class _Runner:
    """The state of one run: activations between forward and backward, transfers under way."""

    def __init__(
        self,
        stages: Mapping[int, nn.Module],
        order: Order,
        line: Line,
        inputs: Sequence[Tensor],
        finish: Finish | None,
    ) -> None:
        if len(order) != line.size:
            raise InputError(
                "pipeline",
                "the order is for another number of ranks",
                got=len(order),
                expected=line.size,
            )
        self.stages, self.line, self.inputs, self.finish = stages, line, inputs, finish
        self.ops = order[line.index]
        self.last = max(op.stage for ops in order for op in ops)
        self.trains = any(op.kind == BACKWARD for op in self.ops)
        needed = {op.stage for op in self.ops}
        if needed != set(stages):
            raise InputError(
                f"pipeline rank {line.index}",
                "holds other stages than the order runs",
                got=sorted(stages),
                expected=sorted(needed),
            )
        self.stash: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}
        self.handed: dict[Op, Tensor] = {}  # between stages of one rank
        self.sending: list[Sending] = []
        self.result = Run()

    def run(self) -> Run:
        with torch.set_grad_enabled(self.trains):
            for op in self.ops:
                (self._forward if op.kind == FORWARD else self._backward)(op)
                self.result.stash_peak = max(self.result.stash_peak, len(self.stash))
        wait(self.sending)
        return self.result

    def _tag(self, op: Op) -> int:
        return (op.stage * len(self.inputs) + op.microbatch) * 2 + (op.kind == BACKWARD)

    def _give(self, op: Op, to: int, x: Tensor) -> None:
        """Hand the result of `op` to stage `to`."""
        rank = to % self.line.size
        if rank == self.line.index:
            self.handed[op] = x
        elif op.kind == FORWARD:
            self.sending += self.line.send_shaped(x, rank, "pipeline", self._tag(op))
        else:
            self.sending += self.line.send(x, rank, "pipeline", 2 * self._tag(op))

    def _take(self, op: Op, like: Tensor | None = None) -> Tensor:
        """The result of `op`, which another stage handed over."""
        rank = op.stage % self.line.size
        if rank == self.line.index:
            return self.handed.pop(op)
        if like is None:
            return self.line.receive_shaped(rank, self._tag(op))
        x = torch.empty(like.shape, dtype=like.dtype)
        wait(self.line.receive(x, rank, 2 * self._tag(op)))
        return x

    def _forward(self, op: Op) -> None:
        _, stage, number = op
        if stage == 0:
            x = self.inputs[number]
        else:
            x = self._take(Op(FORWARD, stage - 1, number))
            if self.trains and x.is_floating_point():
                x = x.detach().requires_grad_()
        y = self.stages[stage](x)
        if not isinstance(y, Tensor):
            raise InputError(f"pipeline stage {stage}", "returns no tensor", got=type(y).__name__)
        if stage < self.last:
            self._give(op, stage + 1, y.detach())
        else:
            self.result.outputs[number] = y.detach()
            if self.trains:
                if self.finish is None:
                    raise InputError("pipeline", "the last stage needs a loss")
                y = self.finish(number, y)
                self.result.losses[number] = y.detach()
        if self.trains:
            self.stash[stage, number] = x, y

    def _backward(self, op: Op) -> None:
        _, stage, number = op
        x, y = self.stash.pop((stage, number))
        grad = None if stage == self.last else self._take(Op(BACKWARD, stage + 1, number), y)
        if y.requires_grad:
            torch.autograd.backward(y, grad)
        if stage > 0:
            self._give(op, stage - 1, torch.zeros_like(x) if x.grad is None else x.grad)
