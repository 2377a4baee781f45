"""Which kernel runs the networks: chosen by what the device has and by measured cost.

* scalar: float32 loops, on every device; the oracle of the others.
* divergent: every lane its own weights; cooperative vectors where the device has them, else the
  scalar loops.
* coherent: lanes of a workgroup sorted by material, cooperative matrices; compute shaders only.
* wavefront: all lanes sorted by material between tracing rays and running networks in a compute
  pass, with cooperative matrices where the device has them (`slang_wave`).
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from etendue.core.errors import DeviceError, InputError
from etendue.device.slang import SlangDevice

WAVEFRONT = "wavefront"
KERNELS = ("auto", "coherent", "divergent", "scalar", WAVEFRONT)
ROUNDS = 3  # timed runs of each candidate


@dataclass(frozen=True)
class Choice:
    """A kernel, the module `neural/linear_*` that it links, and why."""

    kernel: str
    linear: str
    reason: str


def candidates(device: SlangDevice, tracer: str) -> dict[str, str]:
    """Kernels that this device can run, each with its module; a device without a feature never
    sees the module that needs it."""
    found = {"scalar": "scalar"}
    if "cooperative_vector" in device.features:
        found["divergent"] = "coopvec"
    if "cooperative_matrix" in device.features:
        if tracer != "rt":
            found["coherent"] = "coopmat"
        if tracer == "rt" or not device.software:
            found[WAVEFRONT] = "coopmat"
    return found


def choose(
    device: SlangDevice,
    wanted: str,
    tracer: str,
    networks: int,
    cost: Callable[[str], float] | None = None,
    coherence: Callable[[], float] | None = None,
) -> Choice:
    """The kernel for a dispatch over `networks` neural materials.

    `cost(kernel)` measures seconds of a small dispatch; `coherence()` observes the mean number of
    neural materials per workgroup, which is told with the choice. A wanted kernel that the device
    cannot run is a `DeviceError`, never another kernel in silence.
    """
    if wanted not in KERNELS:
        raise InputError("kernel", "is unknown", got=wanted, expected=", ".join(KERNELS))
    found = candidates(device, tracer)
    if wanted == "coherent" and wanted not in found:
        if tracer == "rt":
            raise DeviceError(
                "kernel coherent", "runs in compute shaders only", fix="Use --kernel divergent"
            )
        raise DeviceError(
            "kernel coherent",
            f"needs cooperative_matrix, which {device.name} does not offer",
            fix="See `etendue doctor`; the kernels scalar and divergent work without",
        )
    if wanted == "divergent" and wanted not in found:
        return Choice("divergent", "scalar", "no cooperative_vector: scalar loops per lane")
    if wanted == WAVEFRONT and wanted not in found:
        linear = "coopmat" if "cooperative_matrix" in device.features else "scalar"
        return Choice(wanted, linear, "asked for")
    if wanted != "auto":
        return Choice(wanted, found[wanted], "asked for")
    if device.software:
        return Choice(WAVEFRONT, "scalar", "a software driver compiles its stages sooner")
    if networks == 0:
        return Choice("scalar", "scalar", "the scene has no neural material")
    if len(found) == 1 or cost is None:
        return Choice("scalar", "scalar", f"{device.name} offers nothing else")
    times = {kernel: cost(kernel) for kernel in found}
    best = min(times, key=lambda kernel: times[kernel])
    told = ", ".join(f"{kernel} {1e3 * s:.1f} ms" for kernel, s in times.items())
    mean = f"; {coherence():.1f} neural materials per workgroup" if coherence else ""
    return Choice(best, found[best], f"measured: {told}{mean}")


def timed(run: Callable[[], float]) -> float:
    """Median of the seconds that `run` tells, after one run that compiles."""
    run()
    return statistics.median(run() for _ in range(ROUNDS))


def materials_per_group(numbers: np.ndarray, neural: Mapping[int, bool], lanes: int = 32) -> float:
    """Mean number of distinct neural materials in runs of `lanes` first hits (-1 = none)."""
    flat = np.asarray(numbers).astype(int).ravel()
    counts = [
        len({n for n in flat[i : i + lanes].tolist() if neural.get(n, False)})
        for i in range(0, len(flat), lanes)
    ]
    return float(np.mean(counts)) if counts else 0.0


def constants(device: SlangDevice, linear: str) -> dict[str, int]:
    """Extern constants of a module `neural/linear_*`.

    Tiles are 16 x 16 except on the software driver, which has 8 x 8 (its subgroups have 8 lanes).
    """
    if linear != "coopmat":
        return {}
    return {"EDGE": 8 if device.software else 16}
