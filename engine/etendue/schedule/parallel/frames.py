"""The pipeline order for a renderer: tiles take the place of micro-batches, passes of stages.

A frame is a chain of steps (render passes, then perception stages). Step s runs on worker s mod w,
as a stage does on its rank, and tiles flow through the chain in the interleaved order: the first
tiles are complete long before the last ones have begun, and while a worker waits for one frame it
works on the next. Nothing is run here: the cells become tasks of whoever runs them.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from etendue.core.errors import InputError
from etendue.schedule.parallel.order import forward_only


@dataclass(frozen=True)
class Step:
    """One pass or perception stage; `whole`: it needs the complete frame instead of a tile."""

    name: str
    whole: bool = False


class Cell(NamedTuple):
    """One step on one tile of one frame; a whole-frame step has the number of the last tile."""

    frame: int
    tile: int
    step: int


def frame_order(
    steps: Sequence[Step], tiles: int, workers: int, frames: int = 1
) -> tuple[tuple[Cell, ...], ...]:
    """The cells of each worker in the order in which it should run them.

    Raises `InputError` for a tile-wise step after a whole-frame one: tiles could not overlap there.
    """
    _check(steps, tiles, workers, frames)
    chunks = -(-len(steps) // workers)
    total = tiles * frames
    padded = -(-total // workers) * workers  # what is too much is left out again below
    result = []
    for ops in forward_only(workers, padded, chunks):
        cells = []
        for op in ops:
            if op.stage >= len(steps) or op.microbatch >= total:
                continue
            frame, tile = divmod(op.microbatch, tiles)
            if not steps[op.stage].whole or tile == tiles - 1:
                cells.append(Cell(frame, tile, op.stage))
        result.append(tuple(cells))
    return tuple(result)


def needs(cell: Cell, steps: Sequence[Step], tiles: int) -> tuple[Cell, ...]:
    """The cells whose results a cell uses."""
    before = cell.step - 1
    if before < 0:
        return ()
    if steps[cell.step].whole and not steps[before].whole:
        return tuple(Cell(cell.frame, tile, before) for tile in range(tiles))
    return (Cell(cell.frame, cell.tile, before),)


def sequence(
    order: Sequence[Sequence[Cell]],
    steps: Sequence[Step],
    tiles: int,
    cost: Mapping[int, float] | None = None,
) -> tuple[tuple[float, float, int, Cell], ...]:
    """(start, end, worker, cell) of everything, by start: each cell stands after what it needs.

    `cost` is the time of each step (1 for those not named). The list can be turned into tasks
    from front to back.
    """
    ends: dict[Cell, float] = {}
    free = [0.0] * len(order)
    place = [0] * len(order)
    done: list[tuple[float, float, int, Cell]] = []
    total = sum(len(cells) for cells in order)
    while len(done) < total:
        before = len(done)
        for worker, cells in enumerate(order):
            while place[worker] < len(cells):
                cell = cells[place[worker]]
                inputs = needs(cell, steps, tiles)
                if any(need not in ends for need in inputs):
                    break
                start = max([free[worker], *(ends[need] for need in inputs)])
                ends[cell] = free[worker] = start + (cost or {}).get(cell.step, 1.0)
                done.append((start, ends[cell], worker, cell))
                place[worker] += 1
        if len(done) == before:
            raise InputError("frame order", "the workers would wait for each other for ever")
    # a cell of no cost starts when its input does; the step then decides
    return tuple(sorted(done, key=lambda item: (item[0], item[1], item[3].step, item[3])))


def _check(steps: Sequence[Step], tiles: int, workers: int, frames: int) -> None:
    counts = {"steps": len(steps), "tiles": tiles, "workers": workers, "frames": frames}
    for what, value in counts.items():
        if value < 1:
            raise InputError("frame order", f"too few {what}", got=value, expected="1 or more")
    for before, after in itertools.pairwise(steps):
        if before.whole and not after.whole:
            raise InputError(
                f"step {after.name}",
                f"works on tiles after the whole-frame step {before.name}",
                fix="Put whole-frame steps last",
            )
