"""How many paths still fit into the time, from how long the last ones took."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

SHORTEST_S, LONGEST_S = 0.1, 0.5  # of a pass while the clock runs
PASSES = 50  # of them at least, in the whole time
LEAST = 1 << 13  # paths of a pass


class Pace:
    """A deadline and a running mean of paths per second over about the last sweep."""

    def __init__(
        self,
        seconds: float | None,
        pixels: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.clock = clock
        self.end = None if seconds is None else clock() + seconds
        self.slice = min(LONGEST_S, max(SHORTEST_S, (seconds or 0.0) / PASSES))
        self.memory = 16.0 * pixels  # paths after which an older time counts 1 / e
        self.paths = self.seconds = 0.0

    def add(self, paths: int, seconds: float) -> None:
        """A pass has taken `seconds`."""
        fade = math.exp(-paths / self.memory)
        self.paths = self.paths * fade + paths
        self.seconds = self.seconds * fade + seconds

    @property
    def rate(self) -> float:
        """Paths per second; infinite before the first pass."""
        return self.paths / self.seconds if self.seconds > 0.0 else math.inf

    def afford(self) -> float:
        """Paths that fit into what is left of the time."""
        if self.end is None:
            return math.inf
        left = max(self.end - self.clock(), 0.0)
        return left * self.rate if left else 0.0

    def limit(self, most: int) -> int:
        """Paths of the next pass: `most`, or a short time's worth while the clock runs."""
        if self.end is None or self.rate == math.inf:
            return most
        return int(min(most, max(LEAST, self.rate * self.slice)))
