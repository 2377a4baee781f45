"""A layered material baked into a neural one, and both on a sphere."""

from __future__ import annotations

import argparse
from pathlib import Path

import etendue
from etendue.layout import assets

PAINT = """<?xml version="1.0"?>
<materialx version="1.39">
  <standard_surface name="shader" type="surfaceshader">
    <input name="base_color" type="color3" value="0.6, 0.1, 0.1"/>
    <input name="specular_roughness" type="float" value="0.3"/>
  </standard_surface>
  <surfacematerial name="red_paint" type="material">
    <input name="surfaceshader" type="surfaceshader" nodename="shader"/>
  </surfacematerial>
</materialx>
"""


def main(output: Path, size: tuple[int, int], steps: int) -> None:
    """Bake, render with the artifact and with the layers, compare."""
    output.mkdir(parents=True, exist_ok=True)
    material, artifact = output / "paint.mtlx", output / "paint.eta"
    material.write_text(PAINT)
    etendue.bake_material(material, artifact, steps=steps)
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
        main(args.output, (48, 36), 8)
    else:
        main(args.output, (320, 240), 2000)
