"""`bench.py radar`: a frame's signal and its processing, against dense products and plain numpy.

    python tools/bench.py radar --runs 5 --write

The signal of n scatterers is n x loops x transmitters x receivers x samples complex products and
sums when it is written as a matrix product; the dense product of that size is timed beside it.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np


def training_radar() -> Any:
    """The size that pose networks are trained at on a CPU."""
    from etendue.render.radar.presets import SMALL

    return SMALL


def scattered(count: int, seed: int) -> Any:
    """Points of a room."""
    from etendue.render.radar.signal import scatterers

    rng = np.random.default_rng(seed)
    amplitudes = rng.normal(size=count) + 1j * rng.normal(size=count)
    places = rng.uniform([0.5, -3, -1], [7, 3, 1.5], (count, 3))
    return scatterers(places, amplitudes, rng.normal(size=(count, 3)))


def products(radar: Any, count: int) -> float:
    """Complex products and sums of a frame as a matrix product."""
    wave, array = radar.waveform, radar.array
    return float(count * wave.loops * len(array.transmitters) * len(array.receivers) * wave.samples)


def dense(radar: Any, count: int) -> Any:
    """A function that does them."""
    import torch

    wave, array = radar.waveform, radar.array
    rows = wave.loops * len(array.transmitters) * len(array.receivers)
    left = torch.ones(rows, count, dtype=torch.complex64)
    right = torch.ones(count, wave.samples, dtype=torch.complex64)
    return lambda seed: left @ right


def numpy_tensor(radar: Any, frame: np.ndarray) -> np.ndarray:
    """The published processing line by line, with numpy's transforms."""
    wave = radar.waveform
    hann = [0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(n) + 0.5) / n)
            for n in (wave.samples, wave.loops)]  # fmt: skip
    centred = frame - frame.mean(-1, keepdims=True)
    ranged = np.fft.fft(centred * hann[0], axis=-1)
    turned = np.fft.fftshift(np.fft.fft(ranged * hann[1][:, None, None, None], axis=0), axes=0)
    places = radar.array.virtual()
    size = places.reshape(-1, 2).max(0) + 1
    filled = np.zeros((wave.samples, wave.loops, *size), complex)
    for k in range(places.shape[0]):
        for r in range(places.shape[1]):
            y, z = places[k, r]
            filled[:, :, y, z] = turned[:, k, r].T
    filled = filled.transpose(1, 0, 2, 3)
    wide = np.fft.fftshift(np.fft.fft(filled, 128, axis=2), axes=2)
    return np.fft.fftshift(np.fft.fft(wide, 32, axis=3), axes=3).astype(np.complex64)


def numpy_grid(radar: Any, frame: np.ndarray, grid: Any) -> np.ndarray:
    """`numpy_tensor`, and each voxel from the eight bins around it."""
    values = numpy_tensor(radar, frame)
    z, y, x = np.meshgrid(*grid.axes(), indexing="ij")
    far = np.sqrt(x**2 + y**2 + z**2)
    scale = radar.array.spacing / radar.waveform.wavelength
    at = [far / radar.waveform.range_bin, y / far * scale * 128 + 64, z / far * scale * 32 + 16]
    low = [np.clip(np.floor(a).astype(int), 0, n - 2)
           for a, n in zip(at, values.shape[1:], strict=True)]  # fmt: skip
    part = [a - b for a, b in zip(at, low, strict=True)]
    out = np.zeros((len(values), *grid.shape), np.complex64)
    for speed in range(len(values)):
        for corner in np.ndindex(2, 2, 2):
            weight = np.ones_like(far)
            for p, c in zip(part, corner, strict=True):
                weight = weight * (p if c else 1 - p)
            i, j, k = (b + c for b, c in zip(low, corner, strict=True))
            out[speed] += weight * values[speed, i, j, k]
    return out


def measured(arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds and ratios."""
    from bench_common import Case, alternate, machine, ratio

    from etendue.device.drjit import activate
    from etendue.render.radar.grid import REGION, beamformer, form
    from etendue.render.radar.gridded import beat
    from etendue.render.radar.process import tensor
    from etendue.render.radar.sensor import Radar

    activate()
    full, small, count = Radar(), training_radar(), arguments.scatterers
    points = scattered(count, 0)
    frame, beams = beat(full, points), beamformer(full, REGION)
    cases = {
        "full": Case("full frame", lambda seed: beat(full, points)),
        "small": Case("training frame", lambda seed: beat(small, points)),
        "dense": Case("dense product of a full frame", dense(full, count)),
        "tensor": Case("tensor", lambda seed: tensor(full, frame)),
        "numpy tensor": Case("tensor, numpy", lambda seed: numpy_tensor(full, frame)),
        "grid": Case("grid", lambda seed: form(beams, frame)),
        "numpy grid": Case("grid, numpy", lambda seed: numpy_grid(full, frame, REGION)),
    }
    for case in cases.values():  # nothing is kept
        run = case.run
        case.run = lambda seed, run=run: run(seed) is None
    alternate(list(cases.values()), arguments.runs)
    rates = {k: 8e-9 * products(full, count) / cases[k].median for k in ("full", "dense")}
    rates["small"] = 8e-9 * products(small, count) / cases["small"].median
    return {
        "machine": machine(), "runs": arguments.runs, "scatterers": count,
        "seconds": {k: round(c.median, 4) for k, c in cases.items()},
        "gflops": {k: round(v, 1) for k, v in rates.items()},
        "over_dense": ratio(cases["dense"], cases["full"]),
        "tensor_over_numpy": ratio(cases["numpy tensor"], cases["tensor"]),
        "grid_over_numpy": ratio(cases["numpy grid"], cases["grid"]),
    }  # fmt: skip


def report(found: dict[str, Any]) -> str:
    """The section of docs/numbers.md."""
    m, s, g = found["machine"], found["seconds"], found["gflops"]
    return "\n".join([
        "## Radar", "",
        f"`tools/bench.py radar`, {m['cpu']}, {m['threads']} threads, medians of {found['runs']}, "
        f"in turn. {found['scatterers']} scatterers; GFLOP/s count 8 for each complex product and "
        "sum of the dense form, whatever is done instead.", "",
        "| what | s | GFLOP/s |", "|---|---|---|",
        f"| full frame (64 x 12 x 16 x 256 samples) | {s['full']:.2f} | {g['full']:.0f} |",
        f"| training frame (32 x 6 x 16 x 128) | {s['small']:.3f} | {g['small']:.0f} |",
        f"| dense product of a full frame, alone | {s['dense']:.2f} | {g['dense']:.0f} |",
        f"| tensor (64 x 256 x 128 x 32) | {s['tensor']:.2f} | |",
        f"| the same in plain numpy | {s['numpy tensor']:.2f} | |",
        f"| grid (64 x 16 x 64 x 160) | {s['grid']:.2f} | |",
        f"| the same in plain numpy | {s['numpy grid']:.2f} | |", "",
        f"* A full frame takes 1/{found['over_dense']:.1f} of the time of torch's dense product "
        "(without making its factors), which is what the machine's peak is taken for.",
        f"* Processing over plain numpy: tensor {found['tensor_over_numpy']:.1f} times, grid "
        f"{found['grid_over_numpy']:.1f} times as fast.",
    ])  # fmt: skip


def parser() -> argparse.ArgumentParser:
    """Options."""
    p = argparse.ArgumentParser(prog="bench.py radar", description=(__doc__ or "").split("\n")[0])
    p.add_argument("--scatterers", type=int, default=2000)
    p.add_argument("--runs", type=int, default=5)
    p.add_argument("--write", action="store_true", help="update docs/numbers.md")
    return p


def main(argv: list[str]) -> int:
    """Command line."""
    from bench_common import write_section

    arguments = parser().parse_args(argv)
    found = measured(arguments)
    print(json.dumps(found, indent=1))
    if arguments.write:
        write_section("radar", report(found))
    return 0
