"""Tiles and passes in the pipeline's order."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etendue.core.errors import InputError
from etendue.schedule import Scheduler
from etendue.schedule.parallel.frames import (
    Cell,
    Step,
    frame_order,
    frame_tasks,
    needs,
    sequence,
)

PASSES = (Step("primary"), Step("shade"), Step("filter"), Step("upscale"))


@given(
    st.integers(1, 5), st.integers(0, 2), st.integers(1, 9), st.integers(1, 4), st.integers(1, 3)
)
def test_everything_once_and_after_what_it_needs(
    tilewise: int, whole: int, tiles: int, workers: int, frames: int
) -> None:
    steps = [Step(f"t{k}") for k in range(tilewise)] + [Step(f"w{k}", True) for k in range(whole)]
    order = frame_order(steps, tiles, workers, frames)
    cells = [cell for worker in order for cell in worker]
    expected = {
        Cell(frame, tile, k)
        for frame in range(frames)
        for k, step in enumerate(steps)
        for tile in ([tiles - 1] if step.whole else range(tiles))
    }
    assert sorted(cells) == sorted(expected)
    done: dict[Cell, float] = {}
    last = [0.0] * workers
    for start, end, worker, cell in sequence(order, steps, tiles, {0: 2.0, tilewise: 0.5}):
        assert cell.step % workers == worker
        assert all(done[need] <= start for need in needs(cell, steps, tiles))
        assert last[worker] <= start
        done[cell] = last[worker] = end
    assert len(done) == len(cells)


@pytest.mark.parametrize("workers", [2, 4])
def test_first_tile_is_complete_before_the_last_begins(workers: int) -> None:
    """Pass by pass the first tile would wait for all others."""
    tiles = 8
    timed = sequence(frame_order(PASSES, tiles, workers), PASSES, tiles)
    first = min(end for _, end, _, cell in timed if cell.step == len(PASSES) - 1)
    begins = max(start for start, _, _, cell in timed if cell.step == 0)
    assert first <= begins
    # as long as the work of one worker plus the fill, (w - 1) cells
    assert max(end for _, end, _, _ in timed) == tiles * len(PASSES) / workers + workers - 1


def test_frames_overlap() -> None:
    """While the last step of one frame runs, the other worker is in the next frame."""
    steps = (Step("trace"), Step("detect", whole=True))
    timed = sequence(frame_order(steps, 4, 2, frames=3), steps, 4, {1: 3.0})
    assert max(end for _, end, _, _ in timed) == 3 * 4 + 3
    assert [cell for _, _, worker, cell in timed if worker == 1] == [
        Cell(f, 3, 1) for f in range(3)
    ]


def test_whole_frame_step_needs_every_tile() -> None:
    steps = (Step("trace"), Step("denoise", whole=True), Step("detect", whole=True))
    assert needs(Cell(1, 2, 1), steps, 3) == (Cell(1, 0, 0), Cell(1, 1, 0), Cell(1, 2, 0))
    assert needs(Cell(1, 2, 2), steps, 3) == (Cell(1, 2, 1),)
    assert needs(Cell(1, 2, 0), steps, 3) == ()


def test_tiles_after_a_whole_frame_step_are_refused() -> None:
    steps = (Step("denoise", whole=True), Step("shade"))
    with pytest.raises(InputError, match="step shade: works on tiles after the whole-frame step"):
        frame_order(steps, 2, 1)


@pytest.mark.parametrize("bad", [((), 1, 1), (PASSES, 0, 1), (PASSES, 1, 0)])
def test_bad_counts(bad: tuple[tuple[Step, ...], int, int]) -> None:
    with pytest.raises(InputError, match="too few"):
        frame_order(*bad)


def test_workers_that_wait_for_each_other_are_named() -> None:
    order = frame_order(PASSES, 2, 2)
    with pytest.raises(InputError, match="wait for each other"):
        sequence((order[0][::-1], order[1]), PASSES, 2)


@given(st.integers(1, 4), st.integers(0, 2), st.integers(1, 4), st.integers(1, 3))
@settings(deadline=None)
def test_tasks_compute_what_a_plain_loop_does(
    tilewise: int, whole: int, tiles: int, workers: int
) -> None:
    steps = [Step(f"t{k}") for k in range(tilewise)] + [Step(f"w{k}", True) for k in range(whole)]
    frames, devices = 5, tuple(f"null:{w}" for w in range(workers))
    ran: list[Cell] = []

    def run(cell: Cell, *found: tuple[int, ...]) -> tuple[int, ...]:
        ran.append(cell)
        before = found or ((cell.frame, cell.tile),)
        return (cell.step, *(x for values in before for x in values))

    order = frame_order(steps, tiles, workers, frames)
    tasks = frame_tasks(order, steps, tiles, run, devices)
    with Scheduler(devices) as scheduler:
        jobs = scheduler.submit(*tasks.values())
        values = {cell: job.result() for cell, job in zip(tasks, jobs, strict=True)}
    again: dict[Cell, tuple[int, ...]] = {}
    for cell in sorted(values, key=lambda c: (c.frame, c.step, c.tile)):
        again[cell] = run(cell, *(again[need] for need in needs(cell, steps, tiles)))
    assert values == again
    for worker, cells in enumerate(order):  # each worker kept its order
        mine = [cell for cell in ran[: len(values)] if cell.step % workers == worker]
        assert mine == list(cells)
    begun = {f: ran.index(min(c for c in ran if c.frame == f)) for f in range(frames)}
    ended = {f: max(k for k, c in enumerate(ran[: len(values)]) if c.frame == f) for f in begun}
    for f in range(frames - max(2, workers)):  # that many frames at a time
        assert ended[f] < begun[f + max(2, workers)]


def test_one_device_for_each_worker() -> None:
    order = frame_order(PASSES, 2, 2)
    with pytest.raises(InputError, match="one for each worker; got 1, expected 2"):
        frame_tasks(order, PASSES, 2, lambda cell: cell, ("null:0",))
