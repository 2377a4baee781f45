"""Which rank has which place along the four ways to split a network."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from etendue.core.errors import InputError

AXES = ("pipeline", "data", "sequence", "tensor")


@dataclass(frozen=True)
class Grid:
    """Ranks as a grid of pipeline x data x sequence x tensor, the last one counting fastest.

    The ranks that talk most (tensor) are neighbours, and those that talk least are far apart
    (Narayanan et al. 2021, section 3).
    """

    pipeline: int = 1
    data: int = 1
    sequence: int = 1
    tensor: int = 1

    def __post_init__(self) -> None:
        for axis in AXES:
            if getattr(self, axis) < 1:
                raise InputError(
                    "grid", f"{axis} is too small", got=getattr(self, axis), expected="1 or more"
                )

    @property
    def shape(self) -> tuple[int, ...]:
        """Extent of each axis, as in `AXES`."""
        return tuple(getattr(self, axis) for axis in AXES)

    @property
    def size(self) -> int:
        """Number of ranks."""
        return self.pipeline * self.data * self.sequence * self.tensor

    def place(self, rank: int) -> dict[str, int]:
        """Coordinates of a rank."""
        if not 0 <= rank < self.size:
            raise InputError("grid", "no such rank", got=rank, expected=f"0 to {self.size - 1}")
        result = {}
        for axis in reversed(AXES):
            rank, result[axis] = divmod(rank, getattr(self, axis))
        return result

    def rank(self, place: Mapping[str, int]) -> int:
        """The rank at coordinates; axes left out are 0."""
        result = 0
        for axis in AXES:
            result = result * getattr(self, axis) + place.get(axis, 0)
        return result

    def line(self, rank: int, *axes: str) -> tuple[int, ...]:
        """The ranks that differ from `rank` along `axes` only, in order."""
        place = self.place(rank)
        ways = [range(getattr(self, axis)) for axis in axes]
        return tuple(
            sorted(
                self.rank(place | dict(zip(axes, at, strict=True)))
                for at in itertools.product(*ways)
            )
        )

    def lines(self, *axes: str) -> tuple[tuple[int, ...], ...]:
        """All lines along `axes`; together they hold every rank once."""
        return tuple(sorted({self.line(rank, *axes) for rank in range(self.size)}))


def spread(grid: Grid, hosts: Mapping[str, Sequence[str]]) -> tuple[tuple[str, str], ...]:
    """(host, device) of each rank: tensor groups never straddle two hosts.

    `hosts` lists the devices of each host, such as `{"a": ("cuda:0", "cuda:1")}`.
    """
    width, result = grid.tensor, []
    for host, devices in hosts.items():
        usable = len(devices) // width * width
        result += [(host, device) for device in devices[:usable]]
    if len(result) < grid.size:
        raise InputError(
            "placement",
            f"too few devices for tensor groups of {width} within a host",
            got=len(result),
            expected=f"{grid.size} or more",
        )
    return tuple(result[: grid.size])
