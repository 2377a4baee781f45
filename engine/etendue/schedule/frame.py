"""A frame: the time in which the picture must be ready, and what else fits into it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from etendue.core.errors import InputError
from etendue.schedule.queue import Scheduler
from etendue.schedule.task import Task


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
        """Results of `tasks` in order; raises `TaskError` for the first that failed."""
        scheduler = self.scheduler or Scheduler()
        return [job.result() for job in scheduler.submit(*tasks)]
