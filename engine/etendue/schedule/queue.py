"""A queue per device and the graph of tasks that runs over them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from etendue.schedule.task import Task, TaskError, topological


@dataclass
class Job:
    """One submitted task."""

    task: Task
    value: Any = None
    error: BaseException | None = None

    def result(self) -> Any:
        """The task's result; raises `TaskError` when it failed."""
        if self.error is not None:
            raise self.error
        return self.value


class Scheduler:
    """Runs graphs of tasks."""

    def submit(self, *tasks: Task) -> list[Job]:
        """Run the graph under `tasks`; one job for each of them."""
        jobs: dict[int, Job] = {}
        for task in topological(tasks):
            job = jobs[id(task)] = Job(task)
            try:
                job.value = task.run(*(jobs[id(need)].result() for need in task.after))
            except Exception as error:
                job.error = TaskError(task.name, "failed")
                job.error.__cause__ = error
        return [jobs[id(task)] for task in tasks]
