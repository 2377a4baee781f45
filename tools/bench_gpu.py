"""Frame times of neural materials on a GPU, as papers tabulate them.

python tools/bench.py gpu [--size 1920x1080] [--counts 1,4,16,64] [--software] [--write]

Two tables: the showcase with each evaluator and with the layered reference, and tiles of 1 to 64
materials, sorted and shuffled. Each case is run by every tracer and kernel of Slang on the Vulkan
device, and by Dr.Jit on CUDA. What this machine cannot run says "not measured" and why.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from bench_common import ROOT, write_section
from bench_kernels import networks, scene

LAYERED = "layered"
EVALUATORS = ("2x16", "2x32", "3x64", LAYERED)
TILED = "2x32"
SLANG = (
    ("rq", "scalar"),
    ("rq", "divergent"),
    ("rq", "coherent"),
    ("rt", "scalar"),
    ("rt", "divergent"),
    ("bvh", "scalar"),
    ("bvh", "divergent"),
    ("bvh", "coherent"),
)
DRJIT = ("coherent", "divergent")
SHAPES: tuple[str, ...] = ("Ball", "Ring", "Swatch")
NEEDED = {"divergent": "cooperative_vector", "coherent": "cooperative_matrix"}


@dataclass(frozen=True)
class Row:
    """One line of a table; `missing` says why there are no figures."""

    case: str
    kernel: str
    paths: int = 0
    median_ms: float = 0.0  # of a whole frame, the picture copied to the host
    p95_ms: float = 0.0
    device_ms: float = 0.0  # median on the device alone
    runs: int = 0
    missing: str = ""


@dataclass(frozen=True)
class Case:
    """A scene, what its frames are called, and the files that its shapes show."""

    name: str
    paths: int
    depth: int
    load: Callable[[str], Any]  # Mitsuba variant -> scene
    baked: dict[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Bench:
    """What all rows have in common."""

    size: tuple[int, int]
    runs: int
    software: bool

    def row(self, case: Case, kernel: str, frame: Callable[[int], float]) -> Row:
        """Wall clock of whole frames after one that compiles; `frame` tells device seconds."""
        spans, inside = [], []
        for seed in range(self.runs + 1):
            start = time.perf_counter()
            device = frame(seed)
            spans.append(1e3 * (time.perf_counter() - start))
            inside.append(1e3 * device)
        print(f"  {case.name}, {kernel}: {spans[0]:.0f} ms, then {spans[1]:.1f}", file=sys.stderr)
        median, p95 = np.median(spans[1:]), np.percentile(spans[1:], 95)
        device = float(np.median(inside[1:]))
        return Row(case.name, kernel, case.paths, float(median), float(p95), device, self.runs)


def showcase(bench: Bench, evaluator: str, folder: Path) -> Case:
    """The showcase with a neural material of random weights, or with layers."""
    from etendue.artifact import write_artifact
    from etendue.render.build import build
    from etendue.scene.scene import load_scene

    file = ROOT / "assets" / "materials" / "pearl_candy.mtlx"
    if evaluator != LAYERED:
        file = folder / f"{evaluator}.eta"
        write_artifact(file, networks(0, evaluator))
    source = load_scene(ROOT / "assets" / "scenes" / "showcase" / "showcase.xml")
    materials = dict.fromkeys(SHAPES, file)

    def load(variant: str) -> Any:
        return build(source, size=bench.size, materials=materials, variant=variant).mi_scene

    baked = {} if evaluator == LAYERED else materials
    return Case(evaluator, bench.size[0] * bench.size[1], 8, load, baked)


def tiled(count: int, order: str, side: int, folder: Path) -> Case:
    """One evaluation per pixel of one of `count` materials."""
    from etendue.artifact import write_artifact

    baked = {f"tiles{n}": folder / f"tile{n}.eta" for n in range(count)}
    for number, file in enumerate(baked.values()):
        if not file.exists():
            write_artifact(file, networks(number, TILED))

    def load(variant: str) -> Any:
        from etendue.bsdf.neural import NeuralBSDF
        from etendue.bsdf.plugin import plugin
        from etendue.device.drjit import activate

        mi = activate(variant)
        loaded = [NeuralBSDF.load(file) for file in baked.values()]
        bsdfs = [plugin("Neural", lambda _, made=made: made)(mi.Properties()) for made in loaded]
        return scene(bsdfs, side, order, perspective=True)

    return Case(f"{count} {order}", side * side, 2, load, baked)


def slang_rows(bench: Bench, cases: list[Case]) -> Iterator[Row]:
    """Rows of the Slang path tracer on the Vulkan device."""
    from etendue.core.errors import DeviceError
    from etendue.device.caps import best_variant
    from etendue.device.slang import open_device
    from etendue.render.path.slang import choose_tracer
    from etendue.render.path.slang_kernels import candidates

    reason, device = "", None
    try:
        device = open_device()
        if device.software and not bench.software:
            reason = f"no GPU: the Vulkan device is {device.name}"
    except DeviceError as error:
        reason = str(error).splitlines()[0]
    if reason or device is None:
        for case in cases:
            yield Row(case.name, "Slang", missing=reason)
        return
    variant = best_variant("cpu")[0]
    for case in cases:
        uploaded = None
        for tracer, kernel in SLANG:
            name = f"Slang {tracer}, {kernel}"
            try:
                choose_tracer(device, tracer)
            except DeviceError:
                missing = "ray_query" if tracer == "rq" else "ray_tracing"
                yield Row(case.name, name, missing=f"{device.name} does not offer {missing}")
                continue
            if kernel not in candidates(device, tracer):
                yield Row(case.name, name, missing=f"no {NEEDED[kernel]}")
                continue
            if kernel != "scalar" and not case.baked:
                continue
            uploaded = uploaded or _upload(device, case, variant)
            yield bench.row(case, name, _slang_frame(uploaded, case, tracer, kernel))


def _upload(device: Any, case: Case, variant: str) -> Any:
    from etendue.render.path.slang_scene import extract
    from etendue.render.path.slang_upload import upload
    from etendue.render.path.slang_watch import Kernels

    loaded = case.load(variant)
    return loaded, Kernels(upload(device, extract(loaded, case.baked)))


def _slang_frame(uploaded: Any, case: Case, tracer: str, kernel: str) -> Callable[[int], float]:
    from etendue.render.path.slang import render

    loaded, kernels = uploaded
    options: dict[str, Any] = {"tracer": tracer, "kernel": kernel, "max_depth": case.depth}

    def frame(seed: int) -> float:
        film = render(loaded, spp=1, seed=seed, kernels=kernels, **options)
        return float(film.metadata["device_s"])

    return frame


def drjit_rows(bench: Bench, cases: list[Case]) -> Iterator[Row]:
    """Rows of the Dr.Jit path tracer on CUDA."""
    from etendue.device.caps import cuda_answer
    from etendue.device.drjit import CUDA_VARIANT

    answer = cuda_answer()
    for case in cases:
        if not answer["usable"]:
            yield Row(case.name, "Dr.Jit, CUDA", missing=str(answer["why"]))
            continue
        loaded = case.load(CUDA_VARIANT)
        for kernel in DRJIT[: 2 if case.baked else 1]:
            yield bench.row(case, f"Dr.Jit CUDA, {kernel}", _drjit_frame(loaded, case, kernel))


def _drjit_frame(loaded: Any, case: Case, kernel: str) -> Callable[[int], float]:
    from etendue.render.path.dispatch import InlineTable
    from etendue.render.path.drjit import render
    from etendue.render.path.drjit_kernels import meter

    table = InlineTable.from_scene(loaded)
    options: dict[str, Any] = {"spp": 1, "max_depth": case.depth, "kernel": kernel}
    return lambda seed: meter(lambda: render(loaded, table, seed=seed, **options))[0]


def report(bench: Bench, device: str, first: list[Row], second: list[Row]) -> str:
    """The section of docs/numbers.md."""
    head = [
        "| {} | kernel | whole frame, ms | p95, ms | on the device, ms | n | million paths "
        "per second |",
        "|---|---|---|---|---|---|---|",
    ]
    lines = [
        "## Frame times on a GPU",
        "",
        f"`tools/bench.py gpu`: the showcase at {bench.size[0]} x {bench.size[1]}, 1 sample per "
        f"pixel, paths of 8 vertices, random weights, sampler 2x16; {LAYERED} is `pearl_candy`. "
        f"Vulkan device: {device}. A whole frame is wall clock with the picture copied to the "
        "host and, in Dr.Jit, the kernel traced in Python; the last column counts time on the "
        "device.",
        "",
        head[0].format("evaluator"),
        head[1],
        *map(line, first),
        "",
        f"Tiles of one pixel ({TILED}), one evaluation each, materials side by side or shuffled:",
        "",
        head[0].format("materials"),
        head[1],
        *map(line, second),
    ]
    return "\n".join(lines)


def line(row: Row) -> str:
    """A row of the table."""
    if row.missing:
        return f"| {row.case} | {row.kernel} | not measured | | | | {row.missing} |"
    rate = row.paths / max(row.device_ms, 1e-6) / 1e3
    return (
        f"| {row.case} | {row.kernel} | {row.median_ms:.2f} | {row.p95_ms:.2f} | "
        f"{row.device_ms:.2f} | {row.runs} | {rate:.1f} |"
    )


def adapter() -> str:
    """Name of the Vulkan device."""
    from etendue.core.errors import DeviceError
    from etendue.device.slang import open_device

    try:
        return open_device().name
    except DeviceError:
        return "none"


def main(argv: list[str]) -> int:
    """Command line."""
    one = argparse.ArgumentParser(
        prog="bench.py gpu", description=(__doc__ or "").partition("\n")[0]
    )
    one.add_argument("--size", default="1920x1080")
    one.add_argument("--counts", default="1,4,16,64", help="numbers of materials")
    one.add_argument("--side", type=int, default=1024, help="tiles a side")
    one.add_argument("--runs", type=int, default=20)
    one.add_argument("--software", action="store_true", help="measure a software driver too")
    one.add_argument("--json", type=Path, default=ROOT / "out" / "bench" / "gpu.json")
    one.add_argument("--write", action="store_true", help="update docs/numbers.md")
    arguments = one.parse_args(argv)
    width, _, height = arguments.size.partition("x")
    bench = Bench((int(width), int(height)), arguments.runs, arguments.software)
    counts = [int(count) for count in arguments.counts.split(",") if count]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        first = [showcase(bench, evaluator, folder) for evaluator in EVALUATORS]
        second = [
            tiled(count, order, arguments.side, folder)
            for count in counts
            for order in ("sorted", "shuffled")
        ]
        tables: list[list[Row]] = []
        for cases in (first, second):
            tables.append([*slang_rows(bench, cases), *drjit_rows(bench, cases)])
            arguments.json.parent.mkdir(parents=True, exist_ok=True)
            found = [[asdict(row) for row in rows] for rows in tables]
            arguments.json.write_text(json.dumps(found, indent=2) + "\n")
    text = report(bench, adapter(), tables[0], tables[1])
    print(text)
    if arguments.write:
        write_section("gpu", text)
    return 0
