"""The pipeline order for a renderer: tiles take the place of micro-batches, passes of stages.

A frame is a chain of steps (render passes, then perception stages). Step s runs on worker s mod w,
as a stage does on its rank, and tiles flow through the chain in the interleaved order: the first
tiles are complete long before the last ones have begun, and while a worker waits for one frame it
works on the next. `frame_tasks` makes tasks of the cells, a device for each worker.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from etendue.core.errors import InputError
from etendue.schedule.parallel.order import forward_only
from etendue.schedule.task import Priority, Task


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
    ahead: int | None = None,
) -> tuple[tuple[float, float, int, Cell], ...]:
    """(start, end, worker, cell) of everything, by start: each cell stands after what it needs.

    `cost` is the time of each step (1 for those not named). A frame begins only when the one
    `ahead` frames before it has ended. The list can be turned into tasks from front to back.
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
                inputs = [*needs(cell, steps, tiles), *_before(cell, steps, tiles, ahead)]
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


def frame_tasks(
    order: Sequence[Sequence[Cell]],
    steps: Sequence[Step],
    tiles: int,
    run: Callable[..., Any],
    devices: Sequence[str],
    *,
    ahead: int | None = None,
    priority: Priority = Priority.REFINE,
) -> dict[Cell, Task]:
    """Tasks that call `run(cell, *results of needs(cell))`; worker w is `devices[w]`.

    Every worker keeps its order, and no more than `ahead` frames are worked on at a time: as many
    as there are workers unless told otherwise, but at least two. What fails takes with it whatever
    has not begun.
    """
    ahead = max(2, len(order)) if ahead is None else ahead
    if len(devices) != len(order):
        raise InputError("devices", "one for each worker", got=len(devices), expected=len(order))
    tasks: dict[Cell, Task] = {}
    latest: list[Cell | None] = [None] * len(order)
    for *_, worker, cell in sequence(order, steps, tiles, ahead=ahead):
        inputs = needs(cell, steps, tiles)
        waits = [c for c in (latest[worker], *_before(cell, steps, tiles, ahead)) if c is not None]
        after = [*inputs, *(c for c in dict.fromkeys(waits) if c not in inputs)]

        def call(*found: Any, cell: Cell = cell, count: int = len(inputs)) -> Any:
            return run(cell, *found[:count])

        tasks[cell] = Task(
            steps[cell.step].name,
            call,
            devices[worker],
            priority,
            tuple(tasks[need] for need in after),
        )
        latest[worker] = cell
    return tasks


def _before(cell: Cell, steps: Sequence[Step], tiles: int, ahead: int | None) -> tuple[Cell, ...]:
    """What ends the frame that has to be over before this cell's may begin."""
    if ahead is None or cell.step > 0 or cell.frame < ahead:
        return ()
    last = len(steps) - 1
    over = range(tiles - 1, tiles) if steps[last].whole else range(tiles)
    return tuple(Cell(cell.frame - ahead, tile, last) for tile in over)


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
