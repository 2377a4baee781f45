from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from etendue.core.errors import InputError
from etendue.schedule import Frame, Priority, Task
from etendue.schedule.task import topological


def nothing() -> None: ...


def test_a_task_is_frozen_and_equal_only_to_itself() -> None:
    a, b = Task("a", nothing), Task("a", nothing)
    assert a != b
    assert len({a, b}) == 2
    with pytest.raises(FrozenInstanceError):
        a.name = "b"  # type: ignore[misc]


def test_priorities_are_ordered() -> None:
    assert sorted(Priority)[0] is Priority.FRAME
    assert Priority.FRAME < Priority.PERCEIVE < Priority.REFINE < Priority.BAKE


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"name": ""}, "has no name"),
        ({"run": 3}, "cannot be run"),
        ({"device": "gpu"}, "unknown kind of device"),
        ({"device": "cpu:x"}, "unknown kind of device"),
        ({"after": ("a",)}, "no task"),
        ({"cost_ms": -1.0}, "negative"),
        ({"cost_ms": float("nan")}, "negative"),
        ({"memory_mb": -1}, "negative"),
        ({"deadline_ms": 0.0}, "deadline"),
        ({"deadline_ms": float("nan")}, "deadline"),
    ],
)
def test_wrong_tasks(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        Task(**({"name": "task", "run": nothing} | options))


def test_needs_come_first_and_once() -> None:
    a = Task("a", nothing)
    b = Task("b", nothing, after=(a,))
    c = Task("c", nothing, after=(a, b))
    d = Task("d", nothing, after=(c, b, a))
    assert [task.name for task in topological((d, b))] == ["a", "b", "c", "d"]


def test_a_frame_returns_results_in_order() -> None:
    a = Task("a", lambda: 2)
    b = Task("b", lambda x: x + 1, after=(a,), priority=Priority.FRAME)
    assert Frame(budget_ms=10.0).run(b, a) == [3, 2]
    with pytest.raises(InputError, match="budget_ms"):
        Frame(budget_ms=0.0)
