"""A frame: the time in which the picture must be ready, and what else fits into it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from etendue.core.errors import InputError
from etendue.schedule.queue import Scheduler
from etendue.schedule.task import Task, topological


@dataclass(frozen=True)
class Frame:
    """`budget_ms` during which FRAME tasks run first and others are admitted while they fit.

    Without a `scheduler` the frame has one of its own, for the devices that its tasks name.
    """

    budget_ms: float
    scheduler: Scheduler | None = None

    def __post_init__(self) -> None:
        if not self.budget_ms > 0:
            raise InputError("budget_ms", "is not usable", got=self.budget_ms, expected="> 0")

    def run(self, *tasks: Task) -> list[Any]:
        """Results of `tasks` in order, once all of them are there; see `Job.result` for errors.

        Begins when the frame before it has had its budget. What other tasks wait in the scheduler
        run after these, as far as they fit into what is left.
        """
        if self.scheduler is not None:
            return self._run(self.scheduler, tasks)
        devices: dict[str, None] = {}
        for task in topological(tasks):
            variant: Task | None = task
            while variant is not None:
                devices[variant.device] = None
                variant = variant.otherwise
        with Scheduler(tuple(devices)) as scheduler:
            return self._run(scheduler, tasks)

    def _run(self, scheduler: Scheduler, tasks: tuple[Task, ...]) -> list[Any]:
        jobs, start = scheduler.begin_frame(self.budget_ms, tasks)
        results = [job.result() for job in jobs]
        scheduler.trace.frame(start, scheduler.clock.now(), self.budget_ms)
        return results
