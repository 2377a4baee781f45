"""A picture, the same without noise, and how far each is from a long rendering."""

from __future__ import annotations

import argparse
from pathlib import Path

import etendue
from etendue.layout import assets


def main(output: Path, size: tuple[int, int], truth: int) -> None:
    """Render the sphere with 8 samples per pixel and compare."""
    scene = etendue.load_scene(assets() / "scenes" / "sphere.xml")
    reference = etendue.render_scene(scene, spp=truth, seed=1, size=size)
    noisy = etendue.render_scene(scene, spp=8, size=size, aovs=("albedo", "normal"))
    pictures = {"8 samples": noisy}
    try:
        pictures["denoised"] = etendue.denoise(noisy)
    except etendue.DeviceError as error:
        print(error)  # says what to install
    for name, film in pictures.items():
        film.save(output / f"{name}.png")
        print(f"{name}: {etendue.compare(reference.rgb, film.parts['rgb'])['psnr_db']:.1f} dB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("out/examples"))
    parser.add_argument("--quick", action="store_true", help="a small picture")
    args = parser.parse_args()
    main(args.output, (48, 36) if args.quick else (320, 240), 64 if args.quick else 2048)
