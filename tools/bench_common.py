"""What the benchmarks share: alternating timings, the machine, sections of docs/numbers.md.

All cases of a table run in one process, one after the other, again and again; the first round
(which compiles) does not count. Times are wall clock; a ratio is the median over the rounds of the
ratios within a round, so that other work on the machine cancels as far as it can.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
NUMBERS = ROOT / "docs" / "numbers.md"


@dataclass
class Case:
    """One thing to time, and what it returned."""

    name: str
    run: Callable[[int], Any]  # takes a seed
    seconds: list[float] = field(default_factory=list)
    results: list[Any] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Median of the times."""
        return float(np.median(self.seconds))

    @property
    def p95(self) -> float:
        """95th percentile of the times."""
        return float(np.percentile(self.seconds, 95))


def ratio(case: Case, base: Case) -> float:
    """Median over the rounds of time / time of `base` in the same round."""
    return float(np.median(np.array(case.seconds) / np.array(base.seconds)))


def alternate(cases: list[Case], runs: int) -> None:
    """Time all cases in turn, `runs` times after a round that does not count."""
    for turn in range(runs + 1):
        for case in cases:
            start = time.perf_counter()
            result = case.run(turn)
            elapsed = time.perf_counter() - start
            if turn:
                case.seconds.append(elapsed)
                case.results.append(result)
            print(f"  {turn}/{runs} {case.name}: {elapsed * 1e3:.0f} ms", file=sys.stderr)


def machine() -> dict[str, Any]:
    """Where the figures were measured."""
    import drjit
    import mitsuba

    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = [x for x in info.read_text().splitlines() if x.startswith("model name")]
        model = lines[0].partition(":")[2].strip() if lines else model
    return {
        "cpu": model,
        "threads": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 2),
        "mitsuba": mitsuba.__version__,
        "drjit": drjit.__version__,
        "variant": mitsuba.variant(),
    }


def write_section(name: str, text: str, path: Path = NUMBERS) -> None:
    """Put `text` between the markers of a section, at the end when there is none yet."""
    from etendue.core.files import atomic_path

    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    page = path.read_text(encoding="utf-8")
    if begin not in page:
        page = f"{page.rstrip()}\n\n{begin}\n{end}\n"
    head, _, rest = page.partition(begin)
    tail = rest.partition(end)[2]
    with atomic_path(path) as temporary:
        temporary.write_text(f"{head}{begin}\n{text}\n{end}{tail}", encoding="utf-8")
