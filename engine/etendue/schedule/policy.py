"""Which task is next: pure decisions on what waits, the time, and what fits.

Between priorities every class is owed a turn `AGE_S` after its last one ended or its wait began,
and the class whose turn is owed the longest is next. As FRAME is owed its turn at once, it is
served first unless another class has waited its whole age; such a turn resets that class's age.
Hence between two turns of a waiting class at most one turn of each other class is older than its
own: a frame is delayed by at most three foreign steps, and nothing starves.

Inside a class the earliest deadline is first (EDF). A task without one has `PATIENCE_S`, so it too
is overtaken only by what was submitted until then.

While a frame's window is open, others are admitted only if they should end inside: half of their
runs did, and 95 % of them no later than a tenth of the frame's budget after it. What never fits is
let through after its age, one at a time per class: that frame is late by one step.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from etendue.schedule.task import Priority

AGE_S = (0.0, 0.5, 2.0, 8.0)  # per priority
PATIENCE_S = 1.0
LOOKAHEAD = 16  # tasks of a class that are tried for one that fits


@dataclass(frozen=True)
class Cost:
    """Of one step: what half of its runs took at most, and 95 % of them."""

    typical_s: float
    p95_s: float

    def times(self, number: int) -> Cost:
        """Of so many steps."""
        return Cost(number * self.typical_s, number * self.p95_s)


@dataclass(frozen=True)
class Window:
    """The time of a frame; after `end_s` nothing new is admitted until the next frame is due."""

    end_s: float
    until_s: float  # when a missing next frame means that there is none
    slack_s: float = 0.0  # by which 5 % of what is admitted may be late

    def admits(self, now: float, cost: Cost) -> bool:
        """Whether something that takes so long may start now."""
        end = self.end_s
        inside = now + cost.typical_s <= end and now + cost.p95_s <= end + self.slack_s
        return now >= self.until_s or inside


@dataclass
class Memory:
    """What the tasks that have begun hold of a device's memory, never more than `cap_mb`."""

    cap_mb: int
    used_mb: int = 0
    reserved: Any = None  # the overdue task that everything else leaves the memory to

    def fits(self, job: Any) -> bool:
        """Whether `job` may begin; what has begun or needs nothing always may."""
        need = 0 if job.holds else job.variant.memory_mb
        if need == 0:
            return True
        return self.used_mb + need <= self.cap_mb and self.reserved in (None, job)

    def take(self, job: Any) -> None:
        """`job` begins."""
        if not job.holds:
            job.holds = True
            self.used_mb += job.variant.memory_mb
            if self.reserved is job:
                self.reserved = None

    def give(self, job: Any) -> None:
        """`job` has ended or was withdrawn."""
        if job.holds:
            job.holds = False
            self.used_mb -= job.variant.memory_mb
        if self.reserved is job:
            self.reserved = None


@dataclass
class Waiting:
    """What is ready to run on one device; `job`s have `due_s`, `number`, `ready_s`, `priority`."""

    memory: Memory
    cost: Callable[[Any], Cost]
    window: Window | None = None
    lists: tuple[list[tuple[float, int, Any]], ...] = field(
        default_factory=lambda: tuple([] for _ in Priority)
    )
    since: list[float] = field(default_factory=lambda: [-math.inf] * len(Priority))
    forced: list[float] = field(default_factory=lambda: [-math.inf] * len(Priority))

    def __len__(self) -> int:
        return sum(map(len, self.lists))

    def add(self, job: Any, now: float) -> None:
        """`job` waits from now on."""
        waiting = self.lists[job.priority]
        if not waiting:
            self.since[job.priority] = max(self.since[job.priority], now)
        job.ready_s = now
        insort(waiting, (job.due_s, job.number, job))

    def remove(self, job: Any) -> None:
        """`job` waits no more."""
        waiting = self.lists[job.priority]
        del waiting[bisect_left(waiting, (job.due_s, job.number))]

    def ended(self, priority: int, now: float) -> None:
        """A turn of a class is over."""
        self.since[priority] = now
        if self.forced[priority] == math.inf:
            self.forced[priority] = now

    def choose(self, now: float, only: Any = None) -> tuple[Any, float]:
        """The next job and infinity, or None and the time at which to ask again.

        With `only`, a job in the middle of its run, it is that or something more urgent.
        """
        highest = len(Priority) if only is None else only.priority + 1
        classes = [c for c in range(highest) if self.lists[c]]
        if len(classes) > 1:
            classes.sort(key=lambda c: (self.since[c] + AGE_S[c], c))
        again = math.inf
        for c in classes:
            own = only is not None and c == only.priority
            rows: Any = ((0.0, 0, only),) if own else islice(self.lists[c], LOOKAHEAD)
            for rank, (_, _, job) in enumerate(rows):
                if not self.memory.fits(job):
                    if rank == 0 and self.memory.reserved is None:
                        if now >= job.due_s:
                            self.memory.reserved = job
                        again = min(again, job.due_s) if now < job.due_s else again
                    continue
                when = self._admitted(job, now)
                if when <= now:
                    return job, math.inf
                again = min(again, when)
        return None, again

    def _admitted(self, job: Any, now: float) -> float:
        """When `job` may start as far as the frame is concerned."""
        window, c = self.window, job.priority
        if window is None or c == Priority.FRAME or window.admits(now, self.cost(job)):
            return now
        return min(max(self.forced[c], job.ready_s) + AGE_S[c], window.until_s)

    def begun(self, job: Any, now: float) -> None:
        """`job` was chosen: it waits no more."""
        window = self.window
        if window is not None and now >= window.until_s:
            self.window = window = None
        if (
            window is not None
            and job.priority != Priority.FRAME
            and not window.admits(now, self.cost(job))
        ):
            self.forced[job.priority] = math.inf  # until this turn has ended
        self.memory.take(job)
        self.remove(job)

    def companions(self, job: Any, now: float) -> list[Any]:
        """Others for the batch of `job`: as many as fit into memory and the frame."""
        batch, memory_mb, found = job.variant.batch, job.variant.memory_mb, []
        for _, _, other in self.lists[job.priority]:
            if len(found) + 1 >= batch.limit:
                break
            same = other.variant.batch is not None and other.variant.batch.key == batch.key
            if other is job or not same or other.alone:
                continue
            memory_mb += other.variant.memory_mb
            cost = self.cost(job).times(len(found) + 2)
            if self.memory.used_mb + memory_mb > self.memory.cap_mb or (
                self.window is not None and not self.window.admits(now, cost)
            ):
                break
            found.append(other)
        return found
