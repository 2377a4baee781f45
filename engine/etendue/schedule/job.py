"""A submitted task: its state, its result, and its place in the graph."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any

from etendue.core.errors import EtendueError
from etendue.schedule.policy import PATIENCE_S
from etendue.schedule.task import Task, TaskCancelledError, TaskError

if TYPE_CHECKING:
    from etendue.schedule.queue import Scheduler


class State(Enum):
    """The last three are final."""

    WAITING, READY, RUNNING, DONE, FAILED, CANCELLED = range(6)


FINAL = (State.DONE, State.FAILED, State.CANCELLED)


class Job:
    """One submitted `Task`; read it, wait for it or cancel it, the rest is the scheduler's."""

    __slots__ = (
        "alone",
        "args",
        "asked",
        "child",
        "due_s",
        "error",
        "holds",
        "missing",
        "needed_by",
        "needs",
        "number",
        "priority",
        "ready_s",
        "scheduler",
        "started_s",
        "state",
        "steps",
        "submitted_s",
        "task",
        "value",
        "variant",
        "waiter",
        "waits",
        "wanted",
    )

    def __init__(
        self, task: Task, scheduler: Scheduler, number: int, now: float, due_s: float
    ) -> None:
        self.task = self.variant = task  # variant: which of `task`, `task.otherwise`, ... runs
        self.scheduler = scheduler
        self.number = number
        self.priority = int(task.priority)  # raised to that of what needs it
        self.submitted_s = self.ready_s = self.started_s = now
        self.due_s = due_s
        self.waits = task.deadline_ms is None  # due_s only says how patiently it waits
        self.state = State.WAITING
        self.needs: list[Job] = []
        self.needed_by: list[Job] = []
        self.missing = 0  # of `needs`
        self.wanted = 0  # by how many others, or by whoever submitted it
        self.args: tuple[Any, ...] = ()
        self.steps: Generator[Any, None, Any] | None = None  # what is left of a yielding task
        self.child: Any = None  # worker process
        self.holds = False  # its memory
        self.alone = False  # not in a batch any more
        self.asked = False  # to be cancelled
        self.value: Any = None
        self.error: BaseException | None = None
        self.waiter: threading.Condition | None = None

    @property
    def done(self) -> bool:
        """Whether it has ended, one way or another."""
        return self.state in FINAL

    def result(self, timeout_s: float | None = None) -> Any:
        """Wait for the end; the task's result.

        Raises `TaskError` when the task or one that it needs failed (an `EtendueError` of its own
        rises unchanged), `TaskCancelledError`, or `TimeoutError` after `timeout_s`.
        """
        self.scheduler.wait_for(self, timeout_s)
        if self.error is None:
            return self.value
        if isinstance(self.error, EtendueError) or not isinstance(self.error, Exception):
            raise self.error
        what = f"{type(self.error).__name__}: {' '.join(str(self.error).split())}"
        raise TaskError(self.task.name, f"failed ({what})") from self.error

    def cancel(self) -> None:
        """Take it back, with what needs it and what only it needs.

        A running task ends at its next `yield` or `checkpoint`, a worker process at once; any other
        function runs to its end and its result is dropped.
        """
        self.scheduler.cancel(self)

    def dependant_error(self) -> BaseException:
        """The error of what needs the result of this."""
        if self.state is State.CANCELLED:
            return TaskCancelledError(self.task.name, "was cancelled")
        error = TaskError(self.task.name, f"failed, so what needs it was not run ({self.error})")
        error.__cause__ = self.error
        return error


def graph(
    scheduler: Scheduler,
    tasks: Sequence[Task],
    order: Sequence[Task],
    numbers: Iterator[int],
    now: float,
) -> dict[int, Job]:
    """Jobs, by the id of their task, of the graph under `tasks`, which `order` sorts.

    What a task needs inherits its priority and its deadline where they are more urgent.
    """
    jobs: dict[int, Job] = {}
    for task in order:
        patience = PATIENCE_S if task.deadline_ms is None else task.deadline_ms / 1e3
        job = jobs[id(task)] = Job(task, scheduler, next(numbers), now, now + patience)
        job.needs = [jobs[id(need)] for need in task.after]
        job.missing = len(job.needs)
    for root in {id(task) for task in tasks}:
        jobs[root].wanted += 1
    for task in reversed(order):
        job = jobs[id(task)]
        for need in job.needs:
            need.needed_by.append(job)
            need.wanted += 1
            need.priority = min(need.priority, job.priority)
            need.due_s = min(need.due_s, job.due_s)
    return jobs
