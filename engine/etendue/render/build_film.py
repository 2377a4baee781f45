"""Which camera is rendered, how large, and through which pixel filter."""

from __future__ import annotations

from typing import Any

import numpy as np

from etendue.core.errors import InputError
from etendue.render.build_edits import film_edits, move_camera
from etendue.render.build_state import ParsedState
from etendue.scene.camera import DEFAULT_SIZE, Camera, framing
from etendue.scene.scene import Scene

_CROP = ("crop_offset_x", "crop_offset_y", "crop_width", "crop_height")
_MITSUBA_SIZE = (768, 576)  # what a file gets that states none


def frame_scene(
    mi: Any, state: ParsedState, scene: Scene, wanted: str | None, size: tuple[int, int] | None
) -> None:
    """Keep only the wanted sensor; without any, add one that frames everything."""
    sensors = state.children(state.root, "Sensor")
    if not sensors:
        if wanted is not None:
            raise InputError(
                scene.source, f"has no camera '{wanted}'", fix="It has no camera at all"
            )
        add_camera(mi, state, _default_camera(state, scene, size or DEFAULT_SIZE))
        state.notes.append("no camera in the file: the whole scene is framed")
        return
    chosen = 0
    if wanted is not None:
        names = [state.props(index).id() for _, index in sensors]
        if wanted in names:
            chosen = names.index(wanted)
        elif wanted.isdecimal() and int(wanted) < len(names):
            chosen = int(wanted)
        else:
            listing = ", ".join(name or str(i) for i, name in enumerate(names))
            raise InputError(scene.source, f"has no camera '{wanted}'", fix=f"Cameras: {listing}")
    for number, (key, _) in enumerate(sensors):
        if number != chosen:
            del state.props(state.root)[key]


def _default_camera(state: ParsedState, scene: Scene, size: tuple[int, int]) -> Camera:
    if scene.shapes:
        points = np.concatenate([shape.mesh.positions for shape in scene.shapes])
        low, high = points.min(0).tolist(), points.max(0).tolist()
        return framing(low, high, size, points)
    box = state.instantiate().bbox()  # only Mitsuba knows what the file's shapes span
    low, high = ([float(v) for v in corner] for corner in (box.min, box.max))
    return framing(low, high, size)


def add_camera(mi: Any, state: ParsedState, camera: Camera) -> None:
    """Add a perspective sensor with a film of 480 rows in the camera's own aspect."""
    width, height = DEFAULT_SIZE
    if camera.aspect is not None:
        width = max(1, round(height * camera.aspect))
    film = state.append("Film", "hdrfilm", "", {"width": width, "height": height})
    look = mi.ScalarTransform4f().look_at(list(camera.origin), list(camera.target), list(camera.up))
    state.add(
        "Sensor",
        "perspective",
        camera.name,
        {
            "to_world": look,
            "fov": camera.fov_deg,
            "fov_axis": "y",
            "near_clip": camera.near,
            "far_clip": camera.far,
            "film": state.reference(film),
        },
    )


def move_cameras(mi: Any, state: ParsedState, scene: Scene) -> None:
    """Apply `camera.*` edits; a second sensor is the camera of the following frame, if any."""
    sensor = state.children(state.root, "Sensor")[0][1]
    if scene.following is not None:
        after = state.copy(sensor, "following-frame")
        move_camera(mi, state, after, {**scene.edits, **scene.following})
        state.props(state.root)["zz_following"] = state.reference(after)
    move_camera(mi, state, sensor, scene.edits)


def set_film(
    mi: Any,
    state: ParsedState,
    scene: Scene,
    size: tuple[int, int] | None,
    crop: tuple[int, int, int, int] | None,
) -> tuple[int, int]:
    """Give the sensor's film its size, crop window and box filter; the size of the result."""
    sensor = state.children(state.root, "Sensor")[0][1]
    box = state.append("ReconstructionFilter", "box", "", {})
    if not state.children(sensor, "Film"):
        index = state.append("Film", "hdrfilm", "", {})
        state.props(sensor)["film"] = state.reference(index)
    film = state.children(sensor, "Film")[0][1]
    filters = state.children(film, "ReconstructionFilter")
    props = state.props(film)  # nothing is appended below
    full = size or (
        int(props["width"]) if "width" in props else _MITSUBA_SIZE[0],
        int(props["height"]) if "height" in props else _MITSUBA_SIZE[1],
    )
    sizes = film_edits(scene.edits)
    full = sizes.get("width", full[0]), sizes.get("height", full[1])
    props["width"], props["height"] = full
    for key, _ in filters:
        del props[key]
    props["rfilter"] = state.reference(box)
    if size is not None or sizes or crop is not None:
        for key in _CROP:
            if key in props:
                del props[key]
    if crop is not None:
        x, y, width, height = crop
        if min(x, y) < 0 or min(width, height) < 1 or x + width > full[0] or y + height > full[1]:
            raise InputError(
                "--crop",
                "lies outside the picture",
                got=f"{x},{y},{width},{height}",
                expected=f"a window inside {full[0]}x{full[1]}",
            )
        for key, value in zip(_CROP, crop, strict=True):
            props[key] = value
    window = tuple(int(props[k]) if k in props else full[i] for i, k in enumerate(_CROP[2:]))
    return window[0], window[1]
