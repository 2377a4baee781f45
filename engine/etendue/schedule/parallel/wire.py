"""Talking along one line of ranks, with every byte counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction

import torch
import torch.distributed as dist
from torch import Tensor

from etendue.core.errors import InputError

_HEADER = 8  # kind of number, dimensions, and up to six extents
_DTYPES = (
    torch.float32,
    torch.float64,
    torch.float16,
    torch.bfloat16,
    torch.int64,
    torch.int32,
    torch.uint8,
    torch.bool,
)


@dataclass(frozen=True)
class Line:
    """The ranks of one axis of a grid and this rank's place among them.

    `sent` counts the bytes that this rank puts on the wire, by purpose. A line of one rank sends
    nothing and needs no group.
    """

    ranks: tuple[int, ...] = (0,)
    index: int = 0
    group: dist.ProcessGroup | None = None
    sent: Counter[str] = field(default_factory=Counter)

    def __deepcopy__(self, memo: dict[int, object]) -> Line:
        return self  # copies of a layer talk along the same line

    @property
    def size(self) -> int:
        """Number of ranks on the line."""
        return len(self.ranks)

    def all_reduce(self, x: Tensor, purpose: str, op: str = "sum") -> Tensor:
        """`x` replaced by its sum or maximum over the line, bit for bit the same on each rank.

        In a ring each rank sends 2(k - 1)/k of the tensor: once around to add, once to spread.
        """
        if self.size > 1:
            kinds = {"sum": dist.ReduceOp.SUM, "max": dist.ReduceOp.MAX}
            dist.all_reduce(x, kinds[op], group=self.group)
            self.sent[purpose] += Fraction(2 * (self.size - 1) * x.nbytes, self.size)  # type: ignore[assignment]
        return x

    def all_gather(self, x: Tensor, purpose: str) -> list[Tensor]:
        """The tensors of all ranks, which have the same shape, in order."""
        if self.size == 1:
            return [x]
        parts = [torch.empty_like(x) for _ in self.ranks]
        dist.all_gather(parts, x.contiguous(), group=self.group)
        self.sent[purpose] += (self.size - 1) * x.nbytes
        return parts

    def send(self, x: Tensor, to: int, purpose: str, tag: int = 0) -> list[Sending]:
        """Start sending to the rank at index `to`; keep what is returned until it is awaited."""
        if not x.numel():
            return []  # nothing to say, and the other side knows the shape
        x = x.contiguous()
        work = dist.isend(x, self.ranks[to], group=self.group, tag=tag)
        self.sent[purpose] += x.nbytes
        return [Sending(x, work)]

    def receive(self, x: Tensor, source: int, tag: int = 0) -> list[Sending]:
        """Start receiving into the contiguous tensor `x` from the rank at index `source`."""
        if not x.numel():
            return []
        return [Sending(x, dist.irecv(x, self.ranks[source], group=self.group, tag=tag))]

    def send_shaped(self, x: Tensor, to: int, purpose: str, tag: int) -> list[Sending]:
        """As `send`, with shape and type in front, so that the receiver needs to know neither."""
        if x.dtype not in _DTYPES or x.ndim > _HEADER - 2:
            raise InputError(
                "pipeline stage",
                "its output cannot be sent",
                got=f"{x.ndim} dimensions of {x.dtype}",
                expected=f"at most {_HEADER - 2} dimensions of a common type",
            )
        header = torch.zeros(_HEADER, dtype=torch.int64)
        header[:2] = torch.tensor((_DTYPES.index(x.dtype), x.ndim))
        header[2 : 2 + x.ndim] = torch.tensor(x.shape)
        return [
            *self.send(header, to, "header", 2 * tag),
            *self.send(x, to, purpose, 2 * tag + 1),
        ]

    def receive_shaped(self, source: int, tag: int) -> Tensor:
        """Wait for what `send_shaped` sends."""
        header = torch.empty(_HEADER, dtype=torch.int64)
        wait(self.receive(header, source, 2 * tag))
        kind, ndim, *extents = header.tolist()
        x = torch.empty(extents[:ndim], dtype=_DTYPES[kind])
        wait(self.receive(x, source, 2 * tag + 1))
        return x


@dataclass(frozen=True)
class Sending:
    """A transfer under way and the tensor that it must not lose."""

    tensor: Tensor
    work: dist.Work | None

    def wait(self) -> None:
        """Return when the tensor may be used again; raises when the other side is gone."""
        if self.work is not None:
            self.work.wait()


def wait(transfers: list[Sending]) -> None:
    """Wait for all of them."""
    for transfer in transfers:
        transfer.wait()


HEADER_BYTES = 8 * _HEADER
