"""Frame after frame in the order of a pipeline: one is finished while the next is sampled."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

from etendue.core.errors import EtendueError
from etendue.render.frames import Shot
from etendue.schedule import Scheduler
from etendue.schedule.parallel.frames import Cell, Step, frame_order, frame_tasks

STEPS = (Step("sample frame"), Step("finish frame", whole=True))
SAMPLING, SAVING = DEVICES = ("cpu:0", "cpu:1")
BATCH = 256  # frames whose tasks exist at a time
Sampled = TypeVar("Sampled")
Saved = TypeVar("Saved")


class FrameInterruptedError(EtendueError):
    """Ctrl-C fell into a frame."""

    def __init__(self, frame: int) -> None:
        super().__init__(f"frame {frame}", "was interrupted")
        self.frame = frame


def sequence(
    scheduler: Scheduler,
    shots: Iterable[Shot],
    sample: Callable[[Shot], Sampled],
    save: Callable[[Shot, Sampled], Saved],
) -> Iterator[tuple[Shot, Saved | None]]:
    """The shots with what `save` returned, in order; None for those that were done already.

    `sample` runs on `SAMPLING`, which should be the calling thread so that Ctrl-C arrives there,
    `save` on `SAVING`. What `sample` raises ends the sequence after the frames before it are saved.
    """
    rest = iter(shots)
    while group := list(islice(rest, BATCH)):

        def run(cell: Cell, *found: Sampled, group: list[Shot] = group) -> Sampled | Saved | None:
            shot = group[cell.frame]
            if shot.done:
                return None
            return save(shot, *found) if cell.step else sample(shot)

        order = frame_order(STEPS, 1, len(DEVICES), len(group))
        tasks = frame_tasks(order, STEPS, 1, run, DEVICES)
        cells = [Cell(frame, 0, step) for frame in range(len(group)) for step in (0, 1)]
        jobs = deque(scheduler.submit(*(tasks[cell] for cell in cells)))
        for shot in group:
            jobs.popleft().result()
            yield shot, jobs.popleft().result()
