from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from etendue.schedule import Priority, Task
from etendue.schedule.job import State


@pytest.mark.parametrize("shard", range(2))
def test_random_graphs_with_failures_and_cancellations_leave_nothing(
    simulation: Any, shard: int
) -> None:
    @seed(60 + shard)
    @settings(
        max_examples=1000,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(st.binary(min_size=4, max_size=40), st.integers(1, 3), st.integers(0, 30))
    def check(data: bytes, devices: int, when: int) -> None:
        sim = simulation([f"null:{k}" for k in range(devices)], memory_mb={"host": 4})
        tasks: list[Task] = []
        executed: list[str] = []
        fails: set[str] = set()
        for k, (a, b) in enumerate(zip(data[::2], data[1::2], strict=False)):
            name = f"t{k}"
            needs = tuple({id(t): t for t in (tasks[a % k], tasks[b % k])}.values()) if k else ()
            needs = needs[: b >> 6]
            if a % 5 == 0:
                fails.add(name)

            def run(*args: Any, name: str = name, steps: int = b % 3) -> Iterator[None]:
                for _ in range(steps):
                    yield
                executed.append(name)
                if name in fails:
                    raise ValueError(name)

            sim.durations[name] = 0.1 * (1 + a % 3)
            options: dict[str, Any] = {"after": needs, "memory_mb": a % 5}
            where = f"null:{b % devices}"
            tasks.append(Task(name, run, where, Priority(a % 4), **options))
        jobs = sim.submit_at(0.0, *tasks)
        picked = [data[k % len(data)] % len(tasks) for k in range(when % 3)]
        sim.at(when / 10, lambda: [jobs[k].cancel() for k in picked])
        sim.run()
        assert sim.nothing_left()
        assert all(job.done for job in jobs)
        state = {job.task: job.state for job in jobs}
        for job in jobs:
            below = [state[need] for need in job.task.after]
            if job.state is State.DONE:
                assert below == [State.DONE] * len(below)
                assert job.task.name in executed
            elif job.state is State.FAILED:
                assert job.task.name in fails or State.FAILED in below
            else:  # cancelled only because it, or something that it needs, was
                assert tasks.index(job.task) in picked or State.CANCELLED in below
        assert len(executed) == len(set(executed))  # nothing ran twice
        told = [job.task.name for job in sim.failures]
        own = {j.task.name for j in jobs if j.state is State.FAILED and j.task.name in executed}
        assert len(told) == len(set(told))
        assert set(told) == own  # every failure once, dependants never

    check()
