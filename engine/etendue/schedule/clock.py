"""Time, injected: the system's clock, or one that a test moves."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """What the scheduler knows of time."""

    def now(self) -> float:
        """Seconds since some fixed moment; never runs backwards."""
        ...

    def wait(self, changed: threading.Condition, timeout_s: float | None) -> None:
        """Return once `changed` is notified (its lock is held) or after `timeout_s`."""
        ...


class SystemClock:
    """`time.perf_counter`."""

    now = staticmethod(time.perf_counter)

    @staticmethod
    def wait(changed: threading.Condition, timeout_s: float | None) -> None:
        """Sleep until notified or until the time is over."""
        changed.wait(timeout_s)


class ManualClock:
    """Time that passes only when told to; waiting for something is a jump to it."""

    def __init__(self) -> None:
        self.time_s = 0.0

    def now(self) -> float:
        """The time that was set."""
        return self.time_s

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.time_s += seconds

    def wait(self, changed: threading.Condition, timeout_s: float | None) -> None:
        """Jump; waiting without an end is an error, as nothing else can happen."""
        if timeout_s is None:
            raise RuntimeError("everything waits and nothing will ever happen")
        self.time_s += timeout_s
