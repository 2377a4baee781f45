"""Posed pictures of a scene from all around: what radiance fields are trained on.

The folder is that of the Blender-synthetic sets: `transforms_train.json`, `transforms_test.json`,
RGBA pictures (sRGB, alpha not multiplied in), and the exact distance of what each pixel sees in
`depth/*.exr`. Light from the environment is what the scene is lit by and not part of it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from etendue.core.errors import InputError
from etendue.core.files import atomic_path
from etendue.core.image import write_exr, write_png
from etendue.field.rays import Cube, look_at, sphere
from etendue.render.aov import projection
from etendue.render.job import Options, Watching, build_scene, picture_identity, sampled
from etendue.scene.scene import Scene

NOTE = "capture.json"  # what is being captured, until all of it is there and after
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Shoot:
    """How many pictures from where."""

    views: int = 60
    tests: int = 10  # held out
    size: tuple[int, int] = (96, 96)
    spp: int = 64
    seed: int = 0
    fov: float = 40.0  # degrees, of the side that the scene's camera counts it for
    lowest: float = -0.3  # of the cameras' height above the middle, in distances

    def check(self) -> None:
        """Raise `InputError` for what cannot be."""
        for name, value, most in (("views", self.views, 10_000), ("tests", self.tests, 10_000)):
            if not 1 <= value <= most:
                raise InputError(f"--{name}", "is out of range", got=value, expected=f"1..{most}")
        if not 1 <= self.spp <= 1 << 20:
            raise InputError("--spp", "is out of range", got=self.spp, expected="1..1048576")
        if not 1 <= self.fov <= 120:
            raise InputError("--fov", "is out of range", got=self.fov, expected="1..120 degrees")
        if not -1 <= self.lowest < 1:
            raise InputError("--lowest", "is out of range", got=self.lowest, expected="-1..1")


def capture(scene: Scene, folder: Path, shoot: Shoot, progress: Progress) -> dict[str, Any]:
    """Render every view that is not there yet; returns what is in the folder's note.

    A folder that holds pictures of something else is an `InputError`.
    """
    shoot.check()
    options = Options(spp=shoot.spp, seed=shoot.seed, size=shoot.size, backend="drjit",
                      aovs=("alpha", "depth"))  # fmt: skip
    variant = _variant(options)
    scene = replace(scene, edits={**scene.edits, "camera.fov": repr(shoot.fov)})
    built = build_scene(scene, options, variant, lambda text: None)
    lens = _lens(built.mi_scene.sensors()[0], shoot.size)
    low, high = _box(built)
    cube = Cube.around(low, high)
    radius = float(np.linalg.norm(np.subtract(high, low))) / 2
    distance = 1.02 * radius / math.sin(math.atan(min(shoot.size) / 2 / lens["fl_y"]))
    note = {
        "identity": _identity(scene, options, shoot),
        "shoot": asdict(shoot),
        "cube": cube.record(),
        "distance": distance / cube.side,
    }
    _begin(folder, note)
    parts = {"train": sphere(shoot.views, shoot.lowest), "test": _between(shoot)}
    total, done = shoot.views + shoot.tests, 0
    for part, directions in parts.items():
        frames = []
        for k, direction in enumerate(directions):
            pose = look_at(np.add(cube.centre, distance * direction), cube.centre)
            name = f"{part}/{k:03d}.png"
            if not (folder / name).is_file():
                own = replace(options, seed=shoot.seed + done)
                _picture(scene, own, variant, pose, folder, name)
            frames.append({"file_path": name, "transform_matrix": pose.tolist()})
            done += 1
            progress(done, total)
        text = json.dumps({**lens, "etendue": note, "frames": frames}, indent=1)
        with atomic_path(folder / f"transforms_{part}.json") as temporary:
            temporary.write_text(text, encoding="utf-8")
    return note


def _variant(options: Options) -> str:
    from etendue.render.job import prepare

    return prepare(options, lambda text: None)[0]


def _box(built: Any) -> tuple[list[float], list[float]]:
    box = built.mi_scene.bbox()
    low, high = ([float(v) for v in corner] for corner in (box.min, box.max))
    if not all(map(math.isfinite, (*low, *high))):
        raise InputError("scene", "has no shape that could be captured")
    return low, high


def _identity(scene: Scene, options: Options, shoot: Shoot) -> str:
    text = picture_identity(scene, options) + json.dumps(asdict(shoot))
    return hashlib.sha256(text.encode()).hexdigest()


def _begin(folder: Path, note: dict[str, Any]) -> None:
    """Leave a note in the folder, unless there is one that says the same."""
    file = folder / NOTE
    if file.is_file():
        try:
            before = json.loads(file.read_text(encoding="utf-8")).get("identity")
        except (ValueError, AttributeError):
            before = None
        if before != note["identity"]:
            raise InputError(
                folder, "holds pictures of another scene or other views", fix="Choose a new folder"
            )
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(folder, "is not an empty folder", fix="Choose a new folder")
    with atomic_path(file) as temporary:
        temporary.write_text(json.dumps(note, indent=1), encoding="utf-8")


def _between(shoot: Shoot) -> np.ndarray:
    """Directions of the held-out views, turned so that they lie between the others."""
    turn = math.pi * (3 - math.sqrt(5)) / 2
    x, y, z = sphere(shoot.tests, shoot.lowest).T
    c, s = math.cos(turn), math.sin(turn)
    return np.stack([c * x + s * z, y, c * z - s * x], -1)


def _lens(sensor: Any, size: tuple[int, int]) -> dict[str, Any]:
    """What the camera does to a picture of this size, as it does it, whatever its axes are."""
    across, down, corner = np.linalg.inv(projection(sensor).matrix).T
    (width, height), middle = size, corner + (across + down) / 2
    focal = width / float(np.linalg.norm(across))
    if not np.isclose(height / np.linalg.norm(down), focal) or abs(middle @ across) > 1e-4:
        raise InputError("camera", "is not a plain one", fix="Remove shifts of its principal point")
    return {
        "camera_angle_x": 2 * math.atan(width / 2 / focal),
        "w": width,
        "h": height,
        "fl_x": focal,
        "fl_y": focal,
        "cx": width / 2,
        "cy": height / 2,
    }


def _picture(
    scene: Scene,
    options: Options,
    variant: str,
    pose: np.ndarray,
    folder: Path,
    name: str,
) -> None:
    from etendue.scene.edit import camera_edits

    origin, back, up = pose[:3, 3], pose[:3, 2], pose[:3, 1]
    edits = camera_edits(
        {"origin": tuple(origin.tolist()), "target": tuple((origin - back).tolist()),
         "up": tuple(up.tolist())}
    )  # fmt: skip
    here = replace(scene, edits={**scene.edits, **edits})
    built = replace(build_scene(here, options, variant, lambda text: None), hide_emitters=True)
    film = sampled("drjit", here, built, options, Watching())
    if film.interrupted:
        raise KeyboardInterrupt
    alpha = film.aovs["alpha"][..., None]
    color = np.where(alpha > 0, film.rgb / np.maximum(alpha, 1e-6), 0.0)
    write_exr(folder / "depth" / f"{name.replace('/', '_').removesuffix('.png')}.exr",
              {"depth": film.aovs["depth"]})  # fmt: skip
    write_png(folder / name, np.concatenate([color, alpha], -1))
