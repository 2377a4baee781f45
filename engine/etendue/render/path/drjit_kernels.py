"""Which kernel runs the neural materials of a scene in Dr.Jit: chosen by measured cost.

* coherent: weights are uniform; a packet of lanes costs one evaluation for each material in it.
* divergent: each lane reads its own weights; the cost does not depend on what the lanes show.

Both give the same bits, so the choice never shows in a picture.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from etendue.core.errors import InputError
from etendue.render.path.dispatch import InlineTable

KERNELS = ("coherent", "divergent")
ROUNDS = 3  # timed runs of each kernel at each place


@dataclass(frozen=True)
class Choice:
    """A kernel and why."""

    kernel: str
    reason: str


def choose(table: InlineTable, wanted: str, probes: Sequence[Callable[[], None]]) -> Choice:
    """Set the table to the wanted kernel, or to the one that ran `probes` in less time.

    Nothing is measured where there is nothing to choose: without several neural materials of one
    architecture, or when a choice was made for this table before.
    """
    if wanted not in ("auto", *KERNELS):
        expected = ", ".join(("auto", *KERNELS))
        raise InputError("kernel", "is not one of Dr.Jit's", got=wanted, expected=expected)
    if wanted != "auto":
        table.prepare(wanted)
        return Choice(wanted, "asked for")
    if not table.alike():
        return Choice("coherent", "no two neural materials of one architecture")
    if table.chosen is None:
        spans = measure(table, probes)
        told = ", ".join(f"{kernel} {1e3 * s:.1f} ms" for kernel, s in spans.items())
        best = min(spans, key=lambda kernel: spans[kernel])
        table.chosen = best, f"measured: {told}"
    kernel, reason = table.chosen
    table.prepare(kernel)
    return Choice(kernel, reason)


def measure(
    table: InlineTable,
    probes: Sequence[Callable[[], None]],
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Seconds that all probes take with each kernel: sums of the best of `ROUNDS` runs.

    Kernels take turns, so that other work on the machine meets both; what compiles is run first.
    """
    spans: dict[str, list[list[float]]] = {k: [[] for _ in probes] for k in KERNELS}
    for turn in range(ROUNDS + 1):
        for kernel in KERNELS:
            table.prepare(kernel)
            for place, probe in enumerate(probes):
                start = clock()
                probe()
                if turn:
                    spans[kernel][place].append(clock() - start)
    return {kernel: sum(map(min, found)) for kernel, found in spans.items()}
