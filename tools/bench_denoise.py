"""Denoised pictures of few samples against a long rendering, for docs/numbers.md.

python tools/bench.py denoise [--material FILE.eta] [--write]

Scenes are `sphere` and `showcase`; the material goes onto their balls. The noisy picture and the
denoised one have the same samples; the reference has other ones.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from bench_common import ROOT, machine, write_section

SCENES = {
    "sphere": ("sphere.xml", "Sphere"),
    "showcase": ("showcase/showcase.xml", "Ball,Ring,Swatch"),
}


def measure(
    name: str, material: Path | None, size: tuple[int, int], spp: int, truth: int
) -> dict[str, Any]:
    """PSNR and relMSE without and with denoising, seconds of both."""
    from etendue.core.metrics import psnr, rel_mse
    from etendue.render.build import build
    from etendue.render.denoise import GUIDES, denoised
    from etendue.render.path.drjit import render
    from etendue.scene.scene import load_scene

    file, shapes = SCENES[name]
    assigned = {shape: material for shape in shapes.split(",")} if material is not None else {}
    scene = load_scene(ROOT / "assets" / "scenes" / file, assignments=assigned)
    built = build(scene, size=size)
    reference = render(built.mi_scene, spp=truth, seed=1000).rgb
    render(built.mi_scene, spp=spp, aovs=GUIDES)  # compiles
    start = time.perf_counter()
    noisy = render(built.mi_scene, spp=spp, aovs=GUIDES)
    middle = time.perf_counter()
    clean = denoised(noisy, ())
    end = time.perf_counter()
    pictures = {"noisy": noisy.rgb, "clean": clean.parts["rgb"]}
    return {
        "scene": name,
        **{f"psnr_{key}": psnr(reference, image) for key, image in pictures.items()},
        **{f"rel_mse_{key}": rel_mse(reference, image) for key, image in pictures.items()},
        "render_s": middle - start,
        "denoise_s": end - middle,
    }


def table(rows: list[dict[str, Any]], size: tuple[int, int], spp: int, truth: int) -> str:
    """The section of docs/numbers.md."""
    host = machine()
    lines = [
        f"{size[0]} x {size[1]}, {spp} spp with albedo and normal as guides, against {truth} spp.",
        "",
        "| scene | PSNR, dB | denoised | gain | relMSE | denoised | rendering, s | denoising, s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r['scene']} | {r['psnr_noisy']:.1f} | {r['psnr_clean']:.1f} "
        f"| {r['psnr_clean'] - r['psnr_noisy']:+.1f} | {r['rel_mse_noisy']:.4f} "
        f"| {r['rel_mse_clean']:.4f} | {r['render_s']:.2f} | {r['denoise_s']:.2f} |"
        for r in rows
    ]
    return "\n".join([*lines, "", f"{host['cpu']}, {host['threads']} threads, n = 1."])


def main(argv: list[str]) -> int:
    """Measure all scenes and print or write the table."""
    parser = argparse.ArgumentParser(prog="bench.py denoise", description=__doc__)
    parser.add_argument("--material", type=Path, help="onto the balls (else the scenes' own)")
    parser.add_argument("--size", default="192x144")
    parser.add_argument("--spp", type=int, default=8)
    parser.add_argument("--truth", type=int, default=2048, help="samples of the reference")
    parser.add_argument("--write", action="store_true", help="into docs/numbers.md")
    args = parser.parse_args(argv)
    width, _, height = args.size.partition("x")
    size = (int(width), int(height))
    rows = []
    for name in SCENES:
        print(f"  {name}", file=sys.stderr)
        rows.append(measure(name, args.material, size, args.spp, args.truth))
    text = table(rows, size, args.spp, args.truth)
    print(text)
    if args.write:
        write_section("denoise", f"## Denoising\n\n`tools/bench.py denoise`: {text}")
    return 0
