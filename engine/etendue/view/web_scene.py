"""A scene as the page of `etendue view --web` gets it: one description, buffers, and kernels."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from etendue.core.errors import InputError
from etendue.render.live import Live
from etendue.render.path.camera_rays import full_film
from etendue.render.path.slang import settings_of
from etendue.render.path.slang_camera import camera as lens_of
from etendue.render.path.slang_scene import SceneData, extract
from etendue.render.path.wgsl import (
    Program,
    Tuning,
    as_records,
    buffers,
    path_program,
    settings_layout,
    tunings,
)
from etendue.scene.camera import Camera
from etendue.view.web_material import PageMaterial, page_materials

RR_DEPTH = 5
LIMIT = 0xFFFFFFFF  # deepest path where the scene sets no limit


@dataclass
class WebScene:
    """What the page may ask for; kernels are translated when they are first wanted."""

    description: Mapping[str, Any]
    contents: Mapping[str, bytes]  # of storage buffers, by the name of the global
    data: SceneData
    hidden: bool
    lens: bool
    balls: list[PageMaterial] = field(default_factory=list)
    codes: dict[str, str] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    def kernel(self, name: str) -> str | None:
        """WGSL of a tuning, None for a name that there is not."""
        known = {tuning.name: tuning for tuning in tunings(self.data.neural_materials)}
        if name not in known:
            return None
        with self.lock:
            if name not in self.codes:
                self.codes[name] = _program(self.data, known[name], self.hidden, self.lens).code
            return self.codes[name]


def _program(data: SceneData, tuning: Tuning, hidden: bool, lens: bool) -> Program:
    return path_program(data, tuning, hidden=hidden, lens=lens)


def web_scene(live: Live, name: str, spp: int) -> WebScene:
    """Everything that the page needs of a scene.

    Raises `InputError` for what the shaders lack, naming it, and `DeviceError` without slangpy.
    """
    built = live.built
    if built.fields:
        raise InputError("radiance fields", "are not in the page's shaders")
    eye = built.mi_scene.sensors()[0]
    data = extract(built.mi_scene, built.baked)
    hidden, lens = built.hide_emitters, eye.needs_aperture_sample()
    first = Tuning()
    program = _program(data, first, hidden, lens)
    with full_film(eye, None) as window:
        fixed = settings_of(data, eye, window)
        aspect = window.full_width / window.full_height
    fixed |= {
        "seed": 0,
        "max_depth": built.max_depth if built.max_depth >= 0 else LIMIT,
        "rr_depth": RR_DEPTH,
        "strategy": 0,
    }
    contents = buffers(data)
    balls = page_materials(built.baked)
    description = {
        "name": name,
        "spp": spp,
        "kernel": hashlib.sha256(program.code.encode()).hexdigest()[:16],
        "layout": settings_layout(program.code),
        "bindings": program.bindings,
        "settings": fixed,
        "camera": _camera(live.camera(), lens_of(eye), aspect),
        "tunings": as_records(tunings(data.neural_materials)),
        "buffers": {key: len(value) for key, value in contents.items()},
        "shapes": [
            {"name": shape, "material": int(row["material"])}
            for shape, row in zip(data.shape_names, data.shapes, strict=False)
        ],
        "materials": list(data.material_names),
        "balls": [ball.description for ball in balls],
    }
    made = WebScene(description, contents, data, hidden, lens, balls)
    made.codes[first.name] = program.code
    return made


def _camera(pose: Camera, exact: Mapping[str, Any], aspect: float) -> dict[str, Any]:
    numbers = {key: [float(x) for x in exact[key]] for key in ("origin", "corner", "dx", "dy")}
    return {
        "pose": {"origin": pose.origin, "target": pose.target, "up": pose.up},
        "tall": math.tan(math.radians(pose.fov_deg) / 2),
        "aspect": aspect,
        "near": pose.near,
        "lens": float(sum(x * x for x in exact["lens_x"])) ** 0.5,
        "exact": numbers,
    }


def wanted_camera(live: Live, wish: Mapping[str, Any]) -> tuple[Camera, tuple[int, int]]:
    """The camera and size of a streamed picture; `InputError` for a wish that makes no sense."""
    try:
        width, height = (int(side) for side in wish["size"])
        pose = wish["pose"]
        origin, target, up = ([float(x) for x in pose[k]] for k in ("origin", "target", "up"))
        numbers = [*origin, *target, *up]
        if len(numbers) != 9 or not all(math.isfinite(x) for x in numbers):
            raise ValueError(pose)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError("frame", "is no wish for a picture", got=repr(error)) from None
    if not (2 <= width <= 4096 and 2 <= height <= 4096) or width % 2 or height % 2:
        raise InputError("frame", "has no such size", got=(width, height), expected="even, 2..4096")
    file = live.camera()
    a, b, c = (tuple(v) for v in (origin, target, up))
    camera = Camera(a, b, c, file.fov_deg, file.near, file.far, None)  # type: ignore[arg-type]
    return camera, (width, height)
