"""A Mitsuba camera as the fields of `Settings` (`render/scene.slang`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mitsuba as mi
import numpy as np

from etendue.core.errors import InputError
from etendue.render.aov import projection
from etendue.render.path.slang_emitters import matrix, unit
from etendue.render.path.slang_textures import SLANG_LIMIT, numbers

CAMERAS = ("PerspectiveCamera", "ThinLensCamera")


def camera(sensor: Any) -> dict[str, Any]:
    """Parameters of a pinhole or thin lens, measured on rays of the sensor itself.

    Directions of unit depth are linear over the film, so three of them through the centre of the
    lens say everything. `lens_x` and `lens_y` are the lens's radii, zero for a pinhole.
    """
    if sensor.class_name() not in CAMERAS:
        raise InputError(
            "camera",
            "is of a kind that shaders lack",
            got=sensor.class_name(),
            expected=" or ".join(CAMERAS),
            fix=SLANG_LIMIT,
        )
    parameters = mi.traverse(sensor)
    frame = matrix(parameters["to_world"])
    axis, near = unit(frame[:3, 2]), float(numbers(parameters["near_clip"])[0])
    directions = []
    for at in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0)):
        ray, _ = sensor.sample_ray(0.0, 0.5, mi.Point2f(*at), mi.Point2f(0.5))
        d = numbers(ray.d)
        directions.append(d / (d @ axis))
    corner, right, down = directions
    lens = sensor.class_name() == "ThinLensCamera"
    radius = float(numbers(parameters["aperture_radius"])[0]) if lens else 0.0
    return {
        "origin": frame[:3, 3],
        "near": near,
        "far": float(numbers(parameters["far_clip"])[0]),
        "corner": corner,
        "dx": right - corner,
        "dy": down - corner,
        "lens_x": radius * frame[:3, 0],
        "lens_y": radius * frame[:3, 1],
        "focus": float(numbers(parameters["focus_distance"])[0]) if lens else 1.0,
    }


def cone(pinhole: Mapping[str, Any], size: tuple[int, int]) -> tuple[float, float]:
    """Width and spread of the cone through the pixel at the centre of the film.

    Twin of `camera_rays.pixel_cone`: the side of the square with the area that two steps span.
    """
    steps = np.array([[0.0, 0.0], [1.0 / size[0], 0.0], [0.0, 1.0 / size[1]]]) + 0.5
    d = pinhole["corner"] + steps[:, :1] * pinhole["dx"] + steps[:, 1:] * pinhole["dy"]
    o = pinhole["near"] * d
    d = d / np.linalg.norm(d, axis=1, keepdims=True)
    areas = [float(np.linalg.norm(np.cross(x[1] - x[0], x[2] - x[0]))) for x in (o, d)]
    return areas[0] ** 0.5, areas[1] ** 0.5


def lenses(now: Any, after: Any) -> dict[str, list[float]]:
    """Where two cameras put points, for motion from one frame to the following one."""
    fields = {}
    for sensor, origin, rows in ((now, "origin", "lens"), (after, "after", "after")):
        found = projection(sensor)
        fields[origin] = found.origin.tolist()
        fields |= {f"{rows}{k}": row.tolist() for k, row in enumerate(found.matrix)}
    return fields
