"""Coherent and divergent kernels of neural materials by number of materials and by order of tiles.

python tools/bench.py kernels [--counts 1,2,4,...] [--size 256] [--runs 5] [--write]

A square of tiles, one for each pixel, faces the camera under a constant light; paths end after one
bounce, so every pixel is one evaluation of its material whatever the number of materials. Sorted
tiles show one material after the other, shuffled ones have them in random order, so that a packet
of lanes meets as many materials as it can.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from bench_common import ROOT, Case, alternate, machine, ratio, write_section

COUNTS = (1, 2, 4, 8, 16, 32, 64)
ORDERS = ("sorted", "shuffled")
PRINCIPLED = {"type": "principled", "roughness": 0.3, "metallic": 0.4, "clearcoat": 1.0}


@dataclass
class Figures:
    """Everything that the table shows."""

    size: int
    runs: int
    rows: list[dict[str, Any]] = field(default_factory=list)
    others: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)


def networks(seed: int, evaluator: str = "2x32") -> Any:
    """A neural material with random weights over 16 x 16 texels; the sampler is 2x16."""
    from etendue.artifact import Artifact
    from etendue.bsdf.neural_numpy import DIRECT_INPUTS, ENERGY_KNOTS, LATENTS
    from etendue.bsdf.pyramid import level_offsets

    rng = np.random.default_rng(seed)
    tensors: dict[str, Any] = {"frames": 0.1 * rng.normal(size=(12, 8))}
    layers, _, width = evaluator.partition("x")
    hidden = [int(width)] * int(layers)
    for name, sides in (
        ("evaluator", (DIRECT_INPUTS, *hidden, 3)),
        ("sampler", (LATENTS + 3, 16, 16, 9)),
    ):
        for k, (inputs, outputs) in enumerate(itertools.pairwise(sides)):
            tensors[f"{name}.w{k}"] = rng.normal(size=(outputs, inputs)) / np.sqrt(inputs)
            tensors[f"{name}.b{k}"] = 0.1 * rng.normal(size=outputs)
    tensors = {n: a.astype(np.float32) for n, a in tensors.items()}
    latents = rng.normal(size=(level_offsets(16)[-1], 8))
    tensors["latents"] = latents.astype(np.float16)
    tensors["energy"] = np.ones((ENERGY_KNOTS, 3), np.float32)
    tensors["albedo"] = np.zeros((3, 9), np.float32)
    return Artifact({"kind": "material", "lod": {"resolution": 16}}, tensors)


def materials(count: int) -> list[Any]:
    """`count` Mitsuba plugins around distinct neural materials."""
    import mitsuba as mi

    from etendue.bsdf.neural import NeuralBSDF
    from etendue.bsdf.plugin import plugin

    loaded = [NeuralBSDF(networks(seed)) for seed in range(count)]
    return [plugin("Neural", lambda _, made=made: made)(mi.Properties()) for made in loaded]


def scene(bsdfs: Sequence[Any], side: int, order: str, *, perspective: bool = False) -> Any:
    """side x side tiles in front of a camera of as many pixels."""
    import mitsuba as mi

    owners = np.arange(side * side) * len(bsdfs) // (side * side)
    if order == "shuffled":
        owners = np.random.default_rng(0).permutation(owners)
    t = mi.ScalarTransform4f
    found: dict[str, Any] = {
        "type": "scene",
        "sensor": {
            **({"type": "perspective", "fov": 90} if perspective else {"type": "orthographic"}),
            "to_world": t().look_at([0, 0, 1], [0, 0, 0], [0, 1, 0]),
            "film": {
                "type": "hdrfilm",
                "width": side,
                "height": side,
                "rfilter": {"type": "box"},
            },
        },
        "light": {"type": "constant"},
    }
    for number, bsdf in enumerate(bsdfs):
        found[f"tiles{number}"] = tiles(np.flatnonzero(owners == number), side, bsdf)
    return mi.load_dict(found)


def tiles(which: np.ndarray, side: int, bsdf: Any) -> Any:
    """One mesh of the tiles with these numbers, counted row by row."""
    import mitsuba as mi

    row, column = np.divmod(which, side)
    left, top = 2 * column / side - 1, 1 - 2 * row / side
    step = 2 / side
    corners = [(0, 0), (step, 0), (step, -step), (0, -step)]
    points = np.stack([[left + x, top + y, 0 * left] for x, y in corners])  # corner, axis, tile
    points = points.transpose(2, 0, 1).reshape(-1, 3).astype(np.float32)
    uv = np.tile(np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32), (len(which), 1))
    first = 4 * np.arange(len(which))[:, None]
    faces = np.concatenate([first + np.array(f) for f in ([0, 2, 1], [0, 3, 2])], 1).reshape(-1, 3)
    props = mi.Properties()
    props["bsdf"] = bsdf if not isinstance(bsdf, dict) else mi.load_dict(bsdf)
    mesh = mi.Mesh("tiles", len(points), len(faces), has_vertex_texcoords=True, props=props)
    parameters = mi.traverse(mesh)
    parameters["vertex_positions"] = points.ravel()
    parameters["vertex_texcoords"] = uv.ravel()
    parameters["faces"] = faces.astype(np.uint32).ravel()
    parameters.update()
    return mesh


def case(name: str, loaded: Any, kernel: str) -> Case:
    """A rendering of one bounce by étendue's path tracer; its results are seconds in kernels."""
    from etendue.render.path.dispatch import InlineTable
    from etendue.render.path.drjit import render
    from etendue.render.path.drjit_kernels import meter

    table = InlineTable.from_scene(loaded)

    def run(seed: int) -> float:
        options: dict[str, Any] = {"spp": 1, "max_depth": 2, "kernel": kernel}
        return meter(lambda: render(loaded, table, seed=seed, **options))[0]

    return Case(name, run)


def choice(loaded: Any) -> tuple[str, float]:
    """What `auto` takes, after its kernels are compiled, and how many seconds that took."""
    import time

    from etendue.render.path.drjit import render

    for _ in range(2):
        start = time.perf_counter()
        film = render(loaded, spp=1, max_depth=2)
    return str(film.metadata["kernel"]), time.perf_counter() - start


def mitsuba(name: str, loaded: Any) -> Case:
    """The same by Mitsuba's `path`."""
    import mitsuba as mi

    path = mi.load_dict({"type": "path", "max_depth": 2})
    return Case(name, lambda seed: np.array(mi.render(loaded, integrator=path, spp=1, seed=seed)))


def sweep(figures: Figures, counts: Sequence[int]) -> None:
    """Both kernels, and which one the automatic choice takes."""
    measured: list[tuple[int, str, list[Case], tuple[str, float]]] = []
    for count in counts:
        bsdfs = materials(count)
        for order in ORDERS:
            loaded = scene(bsdfs, figures.size, order)
            cases = [case(f"{count} {order} {k}", loaded, k) for k in ("coherent", "divergent")]
            for one in cases:
                one.run(0)  # compiles
            measured.append((count, order, cases, choice(loaded)))
    alternate([one for _, _, cases, _ in measured for one in cases], figures.runs)
    base = measured[0][2][0]
    for count, order, (coherent, divergent), (kernel, seconds) in measured:
        chosen = coherent if kernel == "coherent" else divergent
        better = min((coherent, divergent), key=lambda c: c.median)
        figures.rows.append(
            {
                "materials": count,
                "tiles": order,
                "coherent_ms": 1e3 * coherent.median,
                "divergent_ms": 1e3 * divergent.median,
                "chosen": kernel,
                "choice_ms": 1e3 * seconds,
                "p95_ms": 1e3 * chosen.p95,
                "kernels_ms": 1e3 * min(chosen.results),
                "over_better": ratio(chosen, better),
                "over_one": ratio(chosen, base),
                "kernels_over_one": min(chosen.results) / min(base.results),
            }
        )


def versus(figures: Figures) -> None:
    """The same decoder inside a Python BSDF, and Mitsuba's C++ `principled`."""
    one, shader = materials(1), [PRINCIPLED]
    loaded, plain = scene(one, figures.size, "sorted"), scene(shader, figures.size, "sorted")
    cases = [
        case("étendue, neural 2x32", loaded, "coherent"),
        mitsuba("Mitsuba `path`, the same decoder in a Python BSDF", loaded),
        mitsuba("Mitsuba `path`, C++ `principled`", plain),
        case("étendue, C++ `principled`", plain, "coherent"),
    ]
    alternate(cases, figures.runs)
    figures.others = {
        "rows": [
            {"case": c.name, "median_ms": 1e3 * c.median, "p95_ms": 1e3 * c.p95} for c in cases
        ],
        "python_over_inline": ratio(cases[1], cases[0]),
        "neural_over_principled": ratio(cases[0], cases[2]),
        "neural_over_own_principled": ratio(cases[0], cases[3]),
    }


def report(f: Figures) -> str:
    """The section of docs/numbers.md."""
    m = f.machine
    lines = [
        "## Coherent and divergent kernels",
        "",
        f"`tools/bench.py kernels`: {f.size} x {f.size} tiles of one pixel, one evaluation each, 1 "
        f"sample per pixel, evaluator 2x32, sampler 2x16, {f.runs} runs. {m['cpu']}, "
        f"{m['threads']} threads, load average {m['load_average']}; Mitsuba {m['mitsuba']}, Dr.Jit "
        f"{m['drjit']}, `{m['variant']}`. Times are medians; ratios are medians of the ratios "
        "within a round. A pass is a kernel and what Python needs to trace it, which grows with "
        "the number of materials and not with the samples of a pass; the last columns are the "
        "least time in kernels alone. `auto` runs the chosen kernel after measuring both once.",
        "",
        "| materials | tiles | coherent, ms | divergent, ms | `auto` takes (p95, ms) | / better | "
        "/ one material | in kernels, ms | in kernels / one |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for r in f.rows:
        lines.append(
            f"| {r['materials']} | {r['tiles']} | {r['coherent_ms']:.0f} | "
            f"{r['divergent_ms']:.0f} | {r['chosen']} ({r['p95_ms']:.0f}) | "
            f"{r['over_better']:.2f} | {r['over_one']:.2f} | {r['kernels_ms']:.0f} | "
            f"{r['kernels_over_one']:.2f} |"
        )
    if f.others:
        lines += ["", "| case | median, ms | p95, ms |", "|---|---|---|"]
        for r in f.others["rows"]:
            lines.append(f"| {r['case']} | {r['median_ms']:.1f} | {r['p95_ms']:.1f} |")
        lines += [
            "",
            f"The decoder inside a Python BSDF takes {f.others['python_over_inline']:.1f} times as "
            f"long as inline; neural 2x32 takes {f.others['neural_over_principled']:.2f} times as "
            "long as C++ `principled` in Mitsuba's tracer and "
            f"{f.others['neural_over_own_principled']:.2f} times as long as in this one.",
        ]
    return "\n".join(lines)


def main(argv: list[str]) -> int:
    """Command line."""
    one = argparse.ArgumentParser(
        prog="bench.py kernels", description=(__doc__ or "").partition("\n")[0]
    )
    one.add_argument("--counts", default=",".join(map(str, COUNTS)))
    one.add_argument("--size", type=int, default=512, help="tiles and pixels a side")
    one.add_argument("--runs", type=int, default=5)
    one.add_argument("--json", type=Path, default=ROOT / "out" / "bench" / "kernels.json")
    one.add_argument("--write", action="store_true", help="update docs/numbers.md")
    arguments = one.parse_args(argv)

    from etendue.device.drjit import activate

    activate()
    figures = Figures(arguments.size, arguments.runs, machine=machine())
    sweep(figures, [int(x) for x in arguments.counts.split(",")])
    versus(figures)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(vars(figures), indent=2, ensure_ascii=False) + "\n")
    text = report(figures)
    print(text)
    if arguments.write:
        write_section("kernels", text)
    return 0
