"""Samples where the noise is, with a checkpoint: interrupt it with Ctrl-C and start it again."""

from __future__ import annotations

import argparse
from pathlib import Path

import etendue
from etendue.layout import assets


def main(output: Path, size: tuple[int, int], noise: float) -> None:
    """Render until every tile is good enough; go on where an earlier run stopped."""
    scene = etendue.load_scene(assets() / "scenes" / "showcase" / "showcase.xml")
    film = etendue.render_scene(
        scene,
        output / "adaptive.exr",
        size=size,
        noise=noise,
        checkpoint=10.0,
        resume=True,
        progress=lambda done, total: print(f"{done} of {total} tiles", end="\r"),
    )
    print(f"{film.samples / (size[0] * size[1]):.0f} samples per pixel on average")
    print(f"{film.counts.min()} to {film.counts.max()}, noise {film.noise:.4f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("out/examples"))
    parser.add_argument("--quick", action="store_true", help="a small picture")
    args = parser.parse_args()
    main(args.output, (48, 36) if args.quick else (320, 240), 0.02 if args.quick else 0.005)
