"""A frame: the time in which the picture must be ready, and what else fits into it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from etendue.core.errors import InputError
from etendue.schedule.job import Job
from etendue.schedule.policy import Window
from etendue.schedule.queue import Scheduler
from etendue.schedule.task import Task, topological

SLACK = 0.1  # of a budget: what another task may take of the next frame's, in one of 20 cases


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
        jobs, start = begin_frame(scheduler, self.budget_ms, tasks)
        results = [job.result() for job in jobs]
        scheduler.trace.frame(start, scheduler.clock.now(), self.budget_ms)
        return results


def begin_frame(
    scheduler: Scheduler, budget_ms: float, tasks: Sequence[Task]
) -> tuple[list[Job], float]:
    """Wait until the frame before has had its time, open a window, submit `tasks` into it.

    Only devices that the frame uses are restrained. Returns the jobs and the time at which the
    frame began.
    """
    order = topological(tasks)
    for task in order:
        scheduler.check(task)
    with scheduler.lock:
        windows = [queue.waiting.window for queue in scheduler.queues.values()]
        end = max((w.end_s for w in windows if w is not None), default=scheduler.clock.now())
        while scheduler.clock.now() < end:
            scheduler.pass_time(None, end)
        now = scheduler.clock.now()
        for device in {task.device for task in order}:
            waiting = scheduler.queues[device].waiting
            budget = budget_ms / 1e3
            waiting.window = Window(now + budget, now + 2 * budget, SLACK * budget)
        return scheduler.enter(tasks, order), now
