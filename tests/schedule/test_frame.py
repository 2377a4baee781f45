from __future__ import annotations

import pytest

from etendue.core.errors import InputError
from etendue.schedule import Frame, Priority, Scheduler, Task
from etendue.schedule.clock import ManualClock


def test_frames_are_paced_and_the_rest_runs_in_what_is_left() -> None:
    clock = ManualClock()
    scheduler = Scheduler(("null:0",), clock=clock)
    order: list[tuple[str, float]] = []

    def work(name: str, seconds: float) -> None:
        order.append((name, round(clock.now(), 6)))
        clock.advance(seconds)

    for _ in range(3):
        model = Task("model", lambda: work("model", 0.003), "null:0", cost_ms=3.0)
        scheduler.submit(model)
    frame = Task("frame", lambda: work("frame", 0.005), "null:0", Priority.FRAME)
    for _ in range(2):
        Frame(10.0, scheduler).run(frame)
    assert order == [("frame", 0.0), ("model", 0.005), ("frame", 0.01)]
    scheduler.close()
    assert [name for name, _ in order].count("model") == 3
    assert scheduler.trace.frames == [2, pytest.approx(0.01), 0]


def test_a_late_frame_is_counted() -> None:
    clock = ManualClock()
    scheduler = Scheduler(("null:0",), clock=clock)
    slow = Task("frame", lambda: clock.advance(0.02), "null:0", Priority.FRAME)
    Frame(10.0, scheduler).run(slow)
    assert scheduler.trace.frames[2] == 1


def test_devices_that_a_frame_does_not_use_are_not_restrained() -> None:
    clock = ManualClock()
    scheduler = Scheduler(("null:0", "null:1"), clock=clock)
    frame = Task("frame", lambda: clock.advance(0.001), "null:0", Priority.FRAME)
    Frame(10.0, scheduler).run(frame)
    for device, begins in (("null:1", 0.001), ("null:0", 0.02)):  # the window and its aftermath
        (job,) = scheduler.submit(Task("long", clock.now, device, cost_ms=50.0))
        assert job.result() == pytest.approx(begins)


def test_a_frame_of_its_own_opens_what_its_tasks_name() -> None:
    small = Task("small", lambda: "small", "null:1")

    def big() -> None:
        raise MemoryError

    assert Frame(10.0).run(Task("big", big, "null:0", otherwise=small)) == ["small"]


@pytest.mark.parametrize("budget", [0.0, -1.0, float("nan")])
def test_a_budget_is_positive(budget: float) -> None:
    with pytest.raises(InputError, match="budget_ms"):
        Frame(budget)
