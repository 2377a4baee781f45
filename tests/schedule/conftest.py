from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import pytest

from etendue.schedule import Job, Scheduler, Task, worker
from etendue.schedule.clock import ManualClock


class Simulation:
    """Null devices that work side by side in simulated time; a step of `task` takes `steps_s`."""

    def __init__(self, devices: Sequence[str] = ("null:0",), **options: Any) -> None:
        self.clock = ManualClock()
        self.failures: list[Job] = []
        self.scheduler = Scheduler(
            devices, clock=self.clock, on_failure=self.failures.append, **options
        )
        self.durations: dict[str, float] = {}  # by name
        self.turns: list[tuple[float, float, Job]] = []  # begin, end of every step
        self.watch: Callable[[Job], None] = lambda job: None  # called when a step was chosen
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()

    def at(self, time_s: float, action: Callable[[], Any]) -> None:
        heapq.heappush(self._events, (time_s, next(self._numbers), action))

    def submit_at(self, time_s: float, *tasks: Task) -> list[Job]:
        """The list is filled when the time has come."""
        jobs: list[Job] = []
        self.at(time_s, lambda: jobs.extend(self.scheduler.submit(*tasks)))
        return jobs

    def run(self, until_s: float = math.inf) -> None:
        busy: set[str] = set()
        while True:
            ask = math.inf
            for name, queue in self.scheduler.queues.items():
                if name in busy:
                    continue
                jobs, again = self.scheduler.take(queue)
                if jobs:
                    busy.add(name)
                    self._start(name, queue, jobs, busy)
                else:
                    ask = min(ask, again)
            next_s = min(ask, self._events[0][0] if self._events else math.inf)
            if next_s == math.inf or next_s > until_s:
                return
            self.clock.time_s = max(self.clock.time_s, next_s)
            while self._events and self._events[0][0] <= self.clock.time_s:
                heapq.heappop(self._events)[2]()

    def _start(self, name: str, queue: Any, jobs: list[Job], busy: set[str]) -> None:
        for job in jobs:
            self.watch(job)
        begin = self.clock.now()
        end = begin + max(self.durations.get(job.variant.name, 0.0) for job in jobs)

        def finish() -> None:
            self.turns.extend((begin, end, job) for job in jobs)
            busy.discard(name)
            worker.perform(self.scheduler, queue, jobs)

        self.at(end, finish)

    def nothing_left(self) -> bool:
        s = self.scheduler
        return (
            not any(s.unfinished)
            and not any(len(q.waiting) or q.running for q in s.queues.values())
            and all(m.used_mb == 0 and m.reserved is None for m in s.memories.values())
        )


@pytest.fixture
def simulation() -> type[Simulation]:
    return Simulation
