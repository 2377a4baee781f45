"""Which kernel runs the neural materials of a scene in Dr.Jit: chosen by measured cost.

* coherent: weights are uniform; a packet of lanes costs one evaluation for each material in it.
* divergent: each lane reads its own weights; the cost does not depend on what the lanes show.

Both give the same bits, so the choice never shows in a picture. On CUDA the coherent kernel may be
in half precision (`device.networks`); then nothing is measured, and the other one is only run when
it is asked for, since equal calls are to give equal pictures.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import drjit as dr

from etendue.core.errors import InputError
from etendue.render.path.dispatch import InlineTable

KERNELS = ("coherent", "divergent")
ROUNDS = 3  # timed runs of each kernel at each place
Meter = Callable[[Callable[[], object]], tuple[float, float]]


@dataclass(frozen=True)
class Choice:
    """A kernel and why."""

    kernel: str
    reason: str


@dataclass(frozen=True)
class Job:
    """What is to be rendered, and small parts of it to try kernels on."""

    samples: int
    passes: int
    probes: Sequence[Callable[[], object]]
    probe_samples: int  # of all probes together


def choose(table: InlineTable, wanted: str, job: Job) -> Choice:
    """Set the table to the wanted kernel, or to the one that takes less time for `job`.

    Nothing is measured where there is nothing to choose: without several neural materials of one
    architecture and different decoders, or when a choice was made for this table before.
    """
    if wanted not in ("auto", *KERNELS):
        expected = ", ".join(("auto", *KERNELS))
        raise InputError("kernel", "is not one of Dr.Jit's", got=wanted, expected=expected)
    if wanted != "auto":
        table.prepare(wanted)
        return Choice(wanted, "asked for")
    if not table.rivals():
        return Choice("coherent", "no two neural materials of one architecture and two decoders")
    if any(getattr(material, "half", False) for material in table.materials):
        return Choice("coherent", "half precision: the kernels' pictures differ by rounding")
    if table.chosen is None:
        spans = measure(table, job)
        told = ", ".join(f"{kernel} {1e3 * s:.1f} ms" for kernel, s in spans.items())
        best = min(spans, key=lambda kernel: spans[kernel])
        table.chosen = best, f"measured: {told}"
    kernel, reason = table.chosen
    table.prepare(kernel)
    return Choice(kernel, reason)


def meter(run: Callable[[], object]) -> tuple[float, float]:
    """Seconds that kernels took in `run`, and seconds of everything."""
    with dr.scoped_set_flag(dr.JitFlag.KernelHistory, True):
        dr.kernel_history_clear()
        start = time.perf_counter()
        run()
        whole = time.perf_counter() - start
        kernels = 1e-3 * sum(entry["execution_time"] for entry in dr.kernel_history())
    return kernels, whole


def measure(table: InlineTable, job: Job, meter: Meter = meter) -> dict[str, float]:
    """Seconds that the whole job would take with each kernel.

    A pass costs some time whatever its size (the loop is traced in Python), which grows with the
    number of materials, and time in kernels in proportion to its samples. The best of `ROUNDS` runs
    count; kernels take turns, so that other work on the machine meets both, and what compiles is
    run first.
    """
    inside: dict[str, list[float]] = {kernel: [] for kernel in KERNELS}
    beside: dict[str, list[float]] = {kernel: [] for kernel in KERNELS}
    for turn in range(ROUNDS + 1):
        for kernel in KERNELS:
            table.prepare(kernel)
            spans = [meter(probe) for probe in job.probes]
            if turn:
                inside[kernel].append(sum(kernels for kernels, _ in spans))
                beside[kernel].append(min(whole - kernels for kernels, whole in spans))
    scale = job.samples / job.probe_samples
    return {k: scale * min(inside[k]) + job.passes * min(beside[k]) for k in KERNELS}
