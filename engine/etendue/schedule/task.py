"""What is scheduled: a `Task` is a function, where it may run, and what it needs first."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from etendue.core.errors import EtendueError, InputError

DEVICE = re.compile(r"(cpu|cuda|vulkan|null):\d+")


class Priority(IntEnum):
    """Classes of work; the lower number runs first, the others age."""

    FRAME, PERCEIVE, REFINE, BAKE = range(4)


class TaskError(EtendueError):
    """A task failed; `__cause__` is what its function raised."""


class TaskCancelledError(EtendueError):
    """A task was cancelled, or it needs the result of one that was."""


@dataclass(frozen=True)
class Batch:
    """How tasks of the same `key` that wait together on one device are run by one call.

    `run` gets the list of the tasks' arguments (one tuple of the results of `after` each) and
    returns as many results. When it raises, the tasks are run one by one by their own functions,
    so that only the guilty one fails.
    """

    key: str
    run: Callable[[list[tuple[Any, ...]]], Sequence[Any]]
    limit: int = 8  # most tasks of one call


@dataclass(frozen=True, eq=False, slots=True)
class Task:
    """A node of a graph that is built bottom-up, so that a cycle cannot be written.

    `run` receives the results of `after`, in order. It may be a generator function: it then gives
    the device back at every `yield`, and its `return` is the result. Any other long function calls
    `etendue.schedule.checkpoint` between its steps. Tasks are equal only to themselves.
    """

    name: str
    run: Callable[..., Any]
    device: str = "cpu:0"
    priority: Priority = Priority.PERCEIVE
    after: tuple[Task, ...] = ()
    cost_ms: float = 1.0  # a guess, of one step where it yields; replaced by the measured p95
    memory_mb: int = 0  # held from its start to its end
    deadline_ms: float | None = None  # counted from its submission; orders inside a priority
    shape: tuple[int, ...] = ()  # costs are measured per name and shape
    batch: Batch | None = None
    otherwise: Task | None = None  # run instead when memory ran out: a smaller or slower variant
    process: bool = False  # in a worker process, for what may abort; function and results pickle

    def __post_init__(self) -> None:
        if not self.name:
            raise InputError("task", "has no name")
        if not callable(self.run):
            raise InputError(self.name, "cannot be run", got=self.run, expected="a function")
        if not DEVICE.fullmatch(self.device):
            raise InputError(
                self.name, "unknown kind of device", got=self.device, expected="cpu:0, cuda:0, ..."
            )
        if not all(isinstance(task, Task) for task in self.after):
            raise InputError(self.name, "`after` holds something that is no task")
        if not (math.isfinite(self.cost_ms) and self.cost_ms >= 0 and self.memory_mb >= 0):
            got = f"{self.cost_ms} ms, {self.memory_mb} MB"
            raise InputError(self.name, "cost and memory cannot be negative", got=got)
        if self.deadline_ms is not None and not self.deadline_ms > 0:
            raise InputError(self.name, "deadline is not in the future", got=self.deadline_ms)


def topological(roots: Sequence[Task]) -> list[Task]:
    """Every task of the graph under `roots` once, after everything that it needs."""
    if len(roots) == 1 and not roots[0].after:
        return list(roots)
    order: list[Task] = []
    seen: set[int] = set()
    stack = [(root, False) for root in reversed(roots)]
    while stack:
        task, ready = stack.pop()
        if ready:
            order.append(task)
        elif id(task) not in seen:
            seen.add(id(task))
            stack.append((task, True))
            stack.extend((need, False) for need in reversed(task.after))
    return order
