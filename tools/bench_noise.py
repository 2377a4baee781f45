"""Adaptive sampling against equal samples, for docs/numbers.md.

python tools/bench.py noise [--noise 0.006] [--write]

How many samples per pixel do equal samples need until the worst tile, or all but one in a hundred,
has the noise asked for? From a long picture with equal samples, whose noise falls with the root of
their number. The pictures are compared by the z-test.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np
from bench_common import ROOT, machine, write_section

SCENES = {"sphere": "sphere.xml", "showcase": "showcase/showcase.xml"}


def measure(name: str, size: tuple[int, int], error: float, long_spp: int) -> dict[str, Any]:
    """Samples of both ways and the z-test."""
    from etendue.core.ztest import z_test
    from etendue.render.build import build
    from etendue.render.noise import squared_noise
    from etendue.render.path.adaptive import tile_numbers
    from etendue.render.path.camera_rays import Window
    from etendue.render.path.drjit import render
    from etendue.scene.scene import load_scene

    scene = build(load_scene(ROOT / "assets" / "scenes" / SCENES[name]), size=size).mi_scene
    film = render(scene, spp=1 << 14, seed=1, noise=error)
    equal = render(scene, spp=long_spp, seed=2)
    tiles = tile_numbers(Window(0, 0, *size, *size))
    noise = squared_noise(equal.rgb.astype(np.float64), equal.variance()).ravel()
    worst = np.bincount(tiles, noise) / np.bincount(tiles) * long_spp / error**2
    test = z_test(film.rgb, equal.rgb, film.variance(), equal.variance())
    return {
        "scene": name,
        "adaptive": film.samples / (size[0] * size[1]),
        "least": int(film.counts.min()),
        "most": int(film.counts.max()),
        "equal_99": float(np.quantile(worst, 0.99)),
        "equal_all": float(worst.max()),
        "z_fraction": test.fraction,
        "z_mean": test.mean_z,
        "z_passed": test.passed,
    }


def table(rows: list[dict[str, Any]], size: tuple[int, int], error: float, spp: int) -> str:
    """The section of docs/numbers.md."""
    lines = [
        f"{size[0]} x {size[1]}, noise {error} on a display, tiles of 8 x 8; equal samples are",
        f"extrapolated from {spp}. Fraction of pixels that pass the z-test against those, and z of",
        "the means.",
        "",
        "| scene | adaptive, spp | least..most | equal, 99 % of tiles | ratio | equal, all tiles "
        "| ratio | z-test | mean z |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r['scene']} | {r['adaptive']:.0f} | {r['least']}..{r['most']} | {r['equal_99']:.0f} "
        f"| {r['equal_99'] / r['adaptive']:.1f} | {r['equal_all']:.0f} "
        f"| {r['equal_all'] / r['adaptive']:.1f} | {r['z_fraction']:.4f} | {r['z_mean']:.2f} |"
        for r in rows
    ]
    host = machine()
    return "\n".join([*lines, "", f"{host['cpu']}, {host['threads']} threads, n = 1."])


def main(argv: list[str]) -> int:
    """Measure all scenes and print or write the table."""
    parser = argparse.ArgumentParser(prog="bench.py noise", description=__doc__)
    parser.add_argument("--noise", type=float, default=0.006)
    parser.add_argument("--size", default="192x144")
    parser.add_argument("--spp", type=int, default=1024, help="of the long picture")
    parser.add_argument("--write", action="store_true", help="into docs/numbers.md")
    args = parser.parse_args(argv)
    width, _, height = args.size.partition("x")
    size = (int(width), int(height))
    rows = []
    for name in SCENES:
        print(f"  {name}", file=sys.stderr)
        rows.append(measure(name, size, args.noise, args.spp))
    text = table(rows, size, args.noise, args.spp)
    print(text)
    if args.write:
        write_section("noise", f"## Adaptive sampling\n\n`tools/bench.py noise`: {text}")
    return 0 if all(row["z_passed"] for row in rows) else 1
