"""A scene with other lights and another floor, turned once around, and a camera path."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import etendue
from etendue.layout import assets

KEYS = [
    {"frame": 1, "origin": [0, 2.2, 6.2], "target": [0, 0.92, 0], "fov": 26},
    {"frame": 2, "origin": [3, 1.5, 5], "target": [0, 0.92, 0], "fov": 30},
    {"frame": 4, "origin": [4, 3, 0], "target": [0, 0.92, 0], "fov": 40},
]


def main(output: Path, size: tuple[int, int], frames: int) -> None:
    """Render both; frames that are there already are left alone."""
    scene = etendue.load_scene(assets() / "scenes" / "sphere.xml")
    scene = etendue.edit_scene(scene, {"emitters.scale": 1.5, "Floor.reflectance": (0.5, 0.3, 0.2)})
    options = {"size": size, "spp": 16, "resume": True}
    turn = output / "turn.exr"
    for number, file in etendue.render_frames(scene, turn, turntable=frames, **options):
        print(f"frame {number}: {file}")
    path = output / "path.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"keys": KEYS}))
    flight = output / "flight.exr"
    for number, file in etendue.render_frames(
        scene, flight, camera_path=path, aovs=("depth", "motion"), **options
    ):
        print(f"frame {number}: {file}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("out/examples"))
    parser.add_argument("--quick", action="store_true", help="small pictures")
    args = parser.parse_args()
    main(args.output, (48, 36) if args.quick else (320, 240), 3 if args.quick else 24)
