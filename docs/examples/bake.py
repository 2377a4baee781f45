"""A layered material baked into a neural one, and both on a sphere."""

from __future__ import annotations

import argparse
from pathlib import Path

import etendue
from etendue.layout import assets


def main(output: Path, size: tuple[int, int], steps: int, resolution: int) -> None:
    """Bake, render with the artifact and with the layers, compare."""
    material = assets() / "materials" / "glazed_ceramic.mtlx"
    artifact = output / "ceramic.eta"
    etendue.bake_material(material, artifact, steps=steps, resolution=resolution, instances=1)
    print(f"{artifact}: {etendue.read_artifact(artifact).header['name']}")
    films = {}
    for name, file in (("neural", artifact), ("layered", material)):
        scene = etendue.load_scene(assets() / "scenes" / "sphere.xml", materials={"Sphere": file})
        films[name] = etendue.render_scene(scene, output / f"{name}.png", size=size, spp=32)
    print(f"FLIP {etendue.compare(films['layered'], films['neural'])['flip']:.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("out/examples"))
    parser.add_argument("--quick", action="store_true", help="a bake too short to be good")
    args = parser.parse_args()
    if args.quick:
        main(args.output, (48, 36), 8, 16)
    else:
        main(args.output, (320, 240), 1000, 256)
