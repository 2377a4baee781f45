"""Frame times of neural materials on a GPU, as papers tabulate them.

python tools/bench.py gpu [--size 1920x1080] [--software] [--write]

One row for each evaluator and kernel: Slang with scalar loops, cooperative vectors and cooperative
matrices, and Dr.Jit on CUDA. What this machine cannot run says "not measured" and why.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from bench_common import ROOT, write_section
from bench_kernels import networks

EVALUATORS = ("2x16", "2x32", "3x64")
KERNELS = ("scalar", "divergent", "coherent")
SHAPES: tuple[str, ...] = ("Ball", "Ring", "Swatch")


@dataclass(frozen=True)
class Row:
    """One line of the table; `missing` says why there are no figures."""

    evaluator: str
    kernel: str
    median_ms: float = 0.0
    p95_ms: float = 0.0
    runs: int = 0
    missing: str = ""


@dataclass(frozen=True)
class Bench:
    """What all rows have in common."""

    size: tuple[int, int]
    spp: int
    runs: int
    software: bool

    def built(self, evaluator: str, folder: Path, variant: str) -> Any:
        """The showcase with a neural material of random weights."""
        from etendue.artifact import write_artifact
        from etendue.render.build import build
        from etendue.scene.scene import load_scene

        file = folder / f"{evaluator}.eta"
        write_artifact(file, networks(0, evaluator))
        source = load_scene(ROOT / "assets" / "scenes" / "showcase" / "showcase.xml")
        materials = dict.fromkeys(SHAPES, file)
        return build(source, size=self.size, materials=materials, variant=variant)

    def timed(self, evaluator: str, kernel: str, frame: Callable[[int], object]) -> Row:
        """Wall clock of whole frames after one that compiles."""
        spans = []
        for seed in range(self.runs + 1):
            start = time.perf_counter()
            frame(seed)
            spans.append(1e3 * (time.perf_counter() - start))
        kept = spans[1:]
        return Row(
            evaluator,
            kernel,
            float(np.median(kept)),
            float(np.percentile(kept, 95)),
            len(kept),
        )


def slang_rows(bench: Bench, folder: Path) -> Iterator[Row]:
    """Rows of the Slang path tracer on the Vulkan device."""
    from etendue.core.errors import DeviceError
    from etendue.device.caps import best_variant
    from etendue.device.slang import open_device
    from etendue.render.path.slang import choose_tracer, render
    from etendue.render.path.slang_kernels import candidates
    from etendue.render.path.slang_scene import extract
    from etendue.render.path.slang_upload import upload
    from etendue.render.path.slang_watch import Kernels

    def none(reason: str) -> Iterator[Row]:
        for evaluator in EVALUATORS:
            for kernel in KERNELS:
                yield Row(evaluator, f"Slang, {kernel}", missing=reason)

    try:
        device = open_device()
    except DeviceError as error:
        yield from none(str(error).splitlines()[0])
        return
    if "llvmpipe" in device.name and not bench.software:
        yield from none(f"no GPU: the Vulkan device is {device.name}")
        return
    found = candidates(device, choose_tracer(device, "auto"))
    for evaluator in EVALUATORS:
        built = bench.built(evaluator, folder, best_variant()[0])
        kernels = Kernels(upload(device, extract(built.mi_scene, built.baked)))
        for kernel in KERNELS:
            name = f"Slang, {kernel}"
            if kernel not in found:
                needed = {"divergent": "cooperative_vector", "coherent": "cooperative_matrix"}
                missing = f"{device.name} does not offer {needed[kernel]}"
                yield Row(evaluator, name, missing=missing)
                continue
            options: dict[str, Any] = {"spp": bench.spp, "kernel": kernel, "kernels": kernels}
            frame = partial(_picture, render, built.mi_scene, options)
            yield bench.timed(evaluator, name, frame)


def drjit_rows(bench: Bench, folder: Path) -> Iterator[Row]:
    """Rows of the Dr.Jit path tracer on CUDA."""
    from etendue.device.probe import ask

    variant, name = "cuda_ad_rgb", "Dr.Jit, CUDA"
    answer = ask("render", variant)  # in a child process
    if not answer["usable"]:
        for evaluator in EVALUATORS:
            yield Row(evaluator, name, missing=str(answer["why"]))
        return
    from etendue.device.drjit import activate

    activate(variant)
    from etendue.render.path.dispatch import InlineTable
    from etendue.render.path.drjit import render

    for evaluator in EVALUATORS:
        built = bench.built(evaluator, folder, variant)
        table = InlineTable.from_scene(built.mi_scene)
        options: dict[str, Any] = {"spp": bench.spp, "inline": table}
        yield bench.timed(evaluator, name, partial(_picture, render, built.mi_scene, options))


def _picture(render: Any, scene: Any, options: dict[str, Any], seed: int) -> Any:
    return render(scene, seed=seed, **options).rgb


def report(bench: Bench, device: str, rows: list[Row]) -> str:
    """The section of docs/numbers.md."""
    paths = bench.size[0] * bench.size[1] * bench.spp
    lines = [
        "## Frame times on a GPU",
        "",
        f"`tools/bench.py gpu`: the showcase at {bench.size[0]} x {bench.size[1]}, {bench.spp} "
        f"sample per pixel, paths of 8 vertices, random weights, sampler 2x16. Vulkan device: "
        f"{device}. Wall clock of whole frames with the picture copied to the host.",
        "",
        "| evaluator | kernel | median, ms | p95, ms | n | million paths per second |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        head = f"| {row.evaluator} | {row.kernel} | "
        if row.missing:
            lines.append(f"{head}not measured | | | {row.missing} |")
        else:
            rate = paths / row.median_ms / 1e3
            lines.append(
                f"{head}{row.median_ms:.2f} | {row.p95_ms:.2f} | {row.runs} | {rate:.2f} |"
            )
    return "\n".join(lines)


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
    one.add_argument("--spp", type=int, default=1)
    one.add_argument("--runs", type=int, default=20)
    one.add_argument("--software", action="store_true", help="measure a software driver too")
    one.add_argument("--json", type=Path, default=ROOT / "out" / "bench" / "gpu.json")
    one.add_argument("--write", action="store_true", help="update docs/numbers.md")
    arguments = one.parse_args(argv)
    width, _, height = arguments.size.partition("x")
    bench = Bench((int(width), int(height)), arguments.spp, arguments.runs, arguments.software)
    with tempfile.TemporaryDirectory() as folder:
        rows = [*slang_rows(bench, Path(folder)), *drjit_rows(bench, Path(folder))]
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    text = report(bench, adapter(), rows)
    print(text)
    if arguments.write:
        write_section("gpu", text)
    return 0
