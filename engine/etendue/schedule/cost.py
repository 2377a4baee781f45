"""What tasks cost here: the measured 95th percentile per name and shape, kept between runs."""

from __future__ import annotations

import json
import math
from collections import deque
from pathlib import Path

from etendue.core.files import atomic_path
from etendue.schedule.task import Task

WINDOW = 64  # most recent runs that count
KEYS = 4096  # names and shapes that are remembered, the most recently used
FEW = 5  # below this many runs the largest of them and the guess count


class Costs:
    """Durations by task name and shape; with a `path`, read from it and saved to it as JSON."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.runs: dict[tuple[str, tuple[int, ...]], deque[float]] = {}
        self.known: dict[tuple[str, tuple[int, ...]], tuple[float, float]] = {}
        if path is not None:
            self._load(path)

    def record(self, task: Task, seconds: float) -> None:
        """A step of `task` took `seconds`."""
        key = (task.name, task.shape)
        runs = self.runs.get(key)
        if runs is None:
            if len(self.runs) >= KEYS:
                oldest = next(iter(self.runs))
                del self.runs[oldest]
                self.known.pop(oldest, None)
            runs = self.runs[key] = deque(maxlen=WINDOW)
        runs.append(seconds)
        self.known.pop(key, None)

    def seconds(self, task: Task) -> float:
        """How long a step of `task` takes, with 95 % certainty."""
        return self._quantiles(task)[1]

    def typical(self, task: Task) -> float:
        """How long a step of `task` takes at most in half of all cases."""
        return self._quantiles(task)[0]

    def _quantiles(self, task: Task) -> tuple[float, float]:
        key = (task.name, task.shape)
        known = self.known.get(key)
        if known is not None:
            return known
        runs = self.runs.get(key)
        if not runs or len(runs) < FEW:
            value = max(task.cost_ms / 1e3, *(runs or ()), 0.0)
            return value, value
        self.known[key] = value = (percentile(runs, 0.5), percentile(runs, 0.95))
        return value

    def save(self) -> None:
        """Write the file, whole or not at all; without a path, nothing."""
        if self.path is None:
            return
        rows = [
            {"name": name, "shape": list(shape), "seconds": [round(s, 7) for s in runs]}
            for (name, shape), runs in self.runs.items()
        ]
        with atomic_path(self.path) as temporary:
            temporary.write_text(json.dumps({"version": 1, "costs": rows}))

    def _load(self, path: Path) -> None:
        """An absent or damaged file is an empty one: costs are measured again."""
        try:
            stored = json.loads(path.read_text())
            if stored["version"] != 1:
                return
            for row in stored["costs"]:
                runs = [float(s) for s in row["seconds"] if 0 <= float(s) < math.inf]
                key = (str(row["name"]), tuple(int(n) for n in row["shape"]))
                self.runs[key] = deque(runs, maxlen=WINDOW)
        except (OSError, ValueError, KeyError, TypeError):
            self.runs.clear()


def percentile(values: deque[float] | list[float], share: float) -> float:
    """The smallest value that at least `share` of `values` do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
