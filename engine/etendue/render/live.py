"""A scene that is looked at while it renders: passes of a few samples, and cameras that move.

The estimator is that of `path.drjit`, whose `Tracer` it runs. What differs is the camera: its film
is a fixed square of which the picture is a window, so that one kernel serves every size. Pictures
agree with `etendue render` in the mean, not in the bits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mitsuba as mi
import numpy as np

from etendue.core.errors import InputError
from etendue.device.caps import array_variant
from etendue.render.aov import NAMES, render_aovs
from etendue.render.build import BuiltScene, build
from etendue.render.build_edits import camera_pose
from etendue.render.film import Accumulator
from etendue.render.lod import render_levels
from etendue.render.path.camera_rays import Block, Window, pixel_cone
from etendue.render.path.dispatch import InlineTable
from etendue.render.path.drjit import PASS_SAMPLES, Tracer
from etendue.render.path.loop import PathOptions
from etendue.render.path.volume import Volume
from etendue.scene.camera import Camera
from etendue.scene.scene import Scene

LOD = "lod"
VIRTUAL = "virtual"  # no kernel of ours: see `Live`
LAYERS = ("rgb", *NAMES, LOD)
AOV_SPP = 4
_FILM = 4096  # pixels a side of the square that stands for every film
RR_DEPTH = 5


class Live:
    """One scene, one camera, one picture that gets better; `look` starts it anew."""

    def __init__(self, scene: Scene, *, kernel: str = "coherent", seed: int = 0) -> None:
        self.built: BuiltScene = build(scene, variant=array_variant())
        self.scene, self.seed = self.built.mi_scene, seed
        # without a table every material is reached through Mitsuba's virtual calls
        self.every = InlineTable.from_scene(self.scene)
        self.table = InlineTable() if kernel == VIRTUAL else self.every
        if self.table and kernel != VIRTUAL:
            self.table.prepare(kernel)
        self.volume = Volume.of(self.built.fields)
        self.lens = _lens(self.scene.sensors()[0])
        self.shapes = tuple(str(shape.id()) for shape in self.scene.shapes())
        self.look(self.camera(), self.built.size)

    def camera(self) -> Camera:
        """The camera of the scene's file."""
        sensor = self.scene.sensors()[0]
        origin, target, up = camera_pose(self.scene)
        parameters = mi.traverse(sensor)
        if "x_fov" not in parameters:
            raise InputError(
                "camera", "cannot be moved", got=sensor.class_name(), expected="a perspective one",
                fix="Choose another camera",
            )  # fmt: skip
        width, height = (int(v) for v in sensor.film().size())
        half = math.tan(math.radians(float(parameters["x_fov"][0])) / 2) * height / width
        fov = math.degrees(2 * math.atan(half))
        near, far = float(sensor.near_clip()), float(sensor.far_clip())
        place = _triple(origin), _triple(target), _triple(up)
        return Camera(*place, fov, near, far, width / height)

    def look(self, camera: Camera, size: tuple[int, int]) -> None:
        """Begin a new picture of `size` (width, height), both even.

        One narrower than the camera's own aspect shows all of its width.
        """
        width, height = size
        if min(size) < 2 or width % 2 or height % 2:
            raise InputError("picture", "has an odd size", got=size, expected="even sides")
        side = max(size)
        self.window = Window((side - width) // 2, (side - height) // 2, width, height, side, side)
        shown = height if camera.aspect is None else min(height, width / camera.aspect)
        self.sensor = mi.load_dict(self._sensor(camera, side / shown))
        options = PathOptions(self.built.max_depth, RR_DEPTH, "mis", self.built.hide_emitters)
        cone = pixel_cone(self.sensor, self.window)
        self.trace = Tracer(
            self.scene, self.table, options, self.sensor, self.window, cone, self.seed, self.volume
        )
        self.sums = Accumulator(height, width)
        self.spp, self._pending = 0, iter(())

    def _sensor(self, camera: Camera, ratio: float) -> dict[str, Any]:
        half = math.tan(math.radians(camera.fov_deg) / 2) * ratio
        place = mi.ScalarTransform4f().look_at(
            list(camera.origin), list(camera.target), list(camera.up)
        )
        film = {"type": "hdrfilm", "width": _FILM, "height": _FILM, "rfilter": {"type": "box"}}
        return {
            "type": "thinlens" if self.lens else "perspective",
            "to_world": place,
            "fov": math.degrees(2 * math.atan(half)),
            "near_clip": camera.near,
            "far_clip": camera.far,
            "film": film,
            **self.lens,
        }

    def step(self, paths: int, samples: int = 1) -> bool:
        """Trace about `paths` paths; True when all pixels have as many samples again.

        `samples` per pixel are taken in the next sweep over the picture.
        """
        block = next(self._pending, None)
        if block is None:
            self._pending = self._sweep(paths, samples)
            block = next(self._pending)
        groups, invalid, _ = self.trace(block)
        self.sums.add(block.first, groups, block.samples, invalid)
        if block.first + block.pixels < self.window.width * self.window.height:
            return False
        self.spp = block.sample + block.samples
        return True

    def _sweep(self, paths: int, samples: int) -> Iterator[Block]:
        pixels = self.window.width * self.window.height
        most = max(1, min(paths, PASS_SAMPLES) // samples)
        for first in range(0, pixels, most):
            yield Block(first, min(most, pixels - first), self.spp, samples, samples)

    def rgb(self) -> np.ndarray:
        """Mean radiance so far (H, W, 3) float32."""
        means = self.sums.sums[:, :3] / np.maximum(self.sums.counts, 1)[:, None]
        return means.astype(np.float32).reshape(self.window.height, self.window.width, 3)

    def layer(self, name: str) -> np.ndarray:
        """An auxiliary image (H, W, 3) float32; single channels are repeated."""
        if name not in LAYERS:
            raise InputError("layer", "is unknown", got=name, expected=", ".join(LAYERS))
        if name == "rgb":
            return self.rgb()
        if name == LOD:
            return _three(render_levels(self.scene, self.every, self.sensor, self.window))
        spp = 1 if name.endswith("_id") else AOV_SPP
        return _three(self._aovs((name,), self.window, spp)[name])

    def _aovs(self, names: tuple[str, ...], window: Window, spp: int) -> dict[str, np.ndarray]:
        return render_aovs(
            self.scene, self.every, self.sensor, window, names, spp, self.seed, PASS_SAMPLES,
            volume=self.volume,
        )  # fmt: skip

    def pick(self, x: int, y: int) -> dict[str, Any]:
        """What lies behind the pixel (x, y) of the picture: shape, material, all AOVs."""
        w = self.window
        if not (0 <= x < w.width and 0 <= y < w.height):
            raise InputError("pixel", "lies outside the picture", got=(x, y))
        one = Window(w.x + x, w.y + y, 1, 1, w.full_width, w.full_height)
        found = {
            name: np.ravel(image).tolist() for name, image in self._aovs(NAMES, one, 1).items()
        }
        place = int(found["shape_id"][0])
        shape = self.shapes[place] if 0 <= place < len(self.shapes) else None
        return {"shape": shape, "rgb": self.rgb()[y, x].tolist(), **found}

    def bounds(self, shape: str | None = None) -> tuple[list[float], list[float]]:
        """Corners of the box around a shape, or around everything."""
        box = self.scene.bbox()
        for name, object_ in zip(self.shapes, self.scene.shapes(), strict=True):
            if name == shape:
                box = object_.bbox()
        return [float(v) for v in box.min], [float(v) for v in box.max]


def files_of(live: Live) -> dict[str, Path]:
    """The `.eta` file of every shape that shows one."""
    return dict(live.built.baked)


def _lens(sensor: Any) -> dict[str, float]:
    """Aperture and focus of a thin lens, nothing for a pinhole."""
    if sensor.class_name() != "ThinLensCamera":
        return {}
    parameters = mi.traverse(sensor)
    keys = ("aperture_radius", "focus_distance")
    return {key: float(np.ravel(parameters[key])[0]) for key in keys if key in parameters}


def _three(image: np.ndarray) -> np.ndarray:
    image = image[..., None] if image.ndim == 2 else image
    count = image.shape[-1]
    if count == 2:
        return np.concatenate([image, np.zeros_like(image[..., :1])], -1)
    return np.repeat(image, 3, -1) if count == 1 else image


def _triple(values: list[float]) -> tuple[float, float, float]:
    return values[0], values[1], values[2]
