"""`Scene.edits` on a parsed scene: camera, film, lights, and parameters of named objects."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from etendue.core.errors import InputError
from etendue.render.build_state import ParsedState
from etendue.scene.edit import numbers
from etendue.scene.scene import Scene

CAMERA = ("origin", "target", "up", "fov", "near", "far", "aperture_radius", "focus_distance")
FILM = ("width", "height")
ALL_LIGHTS = "emitters"
# what a light of each type gives off
_POWER = {"area": "radiance", "constant": "radiance", "point": "intensity", "spot": "intensity",
          "directional": "irradiance", "projector": "irradiance"}  # fmt: skip
_LATER = {("camera", n) for n in CAMERA} | {("film", n) for n in FILM}
_EDITABLE = ("float", "int", "bool", "str", "ScalarColor3d", "ScalarColor3f", "ScalarArray3d")
_LENS = {"near": "near_clip", "far": "far_clip", "aperture_radius": "aperture_radius",
         "focus_distance": "focus_distance"}  # fmt: skip


def apply_edits(mi: Any, state: ParsedState, edits: Mapping[str, str]) -> None:
    """Change objects and lights; `camera.*` and `film.*` come later, see `move_camera`."""
    objects = dict(_objects(mi, state))
    for name, text in edits.items():
        place, _, entry = name.rpartition(".")
        if (place, entry) in _LATER:
            continue
        if place == ALL_LIGHTS and entry == "scale":
            for light in state.of_type("Emitter"):
                _scale_light(mi, state, light, name, text)
            continue
        found = objects.get(name)
        if found is None:
            raise _unknown(name, edits, list(objects))
        if found == (-1, ""):  # the scale of a light
            _scale_light(mi, state, _light_of(state, place), name, text)
        else:
            props = state.props(found[0])
            props[found[1]] = _value(mi, name, type(props[found[1]]).__name__, text)


def _unknown(name: str, edits: Mapping[str, str], objects: list[str]) -> InputError:
    valid = [f"camera.{n}" for n in CAMERA] + [f"film.{n}" for n in FILM]
    valid += [f"{ALL_LIGHTS}.scale", *objects]
    near = difflib.get_close_matches(name, valid, n=1, cutoff=0.6)
    hint = f"Did you mean {near[0]}? " if near else ""
    return InputError(
        f"--set {name}", "names nothing in the scene", fix=f"{hint}Names: {', '.join(valid)}"
    )


def _objects(mi: Any, state: ParsedState) -> Iterator[tuple[str, tuple[int, str]]]:
    """`OBJECT.NAME` and where it lies, for all parameters that a file states of named objects.

    What lies inside of an unnamed object (`twosided`, a shape's light) goes by its owner's name.
    """
    for node in range(len(state.state.nodes)):
        owner = state.props(node).id()
        if not owner or owner.startswith(("_arg", "_unnamed")):
            continue
        kinds = ("BSDF", "Emitter", "Shape")
        if state.state.nodes[node].type not in [getattr(mi.ObjectType, kind) for kind in kinds]:
            continue
        reached = [node, *_unnamed(state, node)]
        for inner in reached:
            props = state.props(inner)
            for key in list(props.keys()):
                queried = props.was_queried(key)
                kind = type(props[key]).__name__
                props.mark_queried(key, queried)
                if kind in _EDITABLE and key != "filename":
                    yield f"{owner}.{key}", (inner, key)
        if any(state.state.nodes[n].type == mi.ObjectType.Emitter for n in reached):
            yield f"{owner}.scale", (-1, "")


def _unnamed(state: ParsedState, node: int) -> list[int]:
    found = []
    for kind in ("BSDF", "Emitter"):
        for _, child in state.children(node, kind):
            if not state.props(child).id() or state.props(child).id().startswith("_"):
                found += [child, *_unnamed(state, child)]
    return found


def _light_of(state: ParsedState, owner: str) -> int:
    node = next(n for n in range(len(state.state.nodes)) if state.props(n).id() == owner)
    emitter = state.mi.ObjectType.Emitter
    return next(n for n in (node, *_unnamed(state, node)) if state.state.nodes[n].type == emitter)


def _scale_light(mi: Any, state: ParsedState, light: int, name: str, text: str) -> None:
    (factor,) = numbers(f"--set {name}", text, (1,))
    if factor < 0:
        raise InputError(f"--set {name}", "is negative", got=factor, expected="0 or more")
    props = state.props(light)
    plugin = props.plugin_name()
    if plugin == "envmap":
        props["scale"] = factor * (float(props["scale"]) if "scale" in props else 1.0)
        return
    key = _POWER.get(plugin)
    value: Any = props[key] if key is not None and key in props else None
    kind = type(value).__name__
    if key is None or kind not in ("float", *(k for k in _EDITABLE if k.startswith("Scalar"))):
        raise InputError(
            f"--set {name}", f"cannot scale a light of type {plugin} with "
            f"{'a texture' if value is not None else 'a default'}",
        )  # fmt: skip
    if kind == "float":
        props[key] = factor * float(value)
    else:
        props[key] = type(value)([factor * float(c) for c in np.ravel(np.array(value))])


def with_scaled_emission(scene: Scene) -> Scene:
    """`emitters.scale` on glowing surfaces that are no light of their own (glTF)."""
    text = scene.edits.get(f"{ALL_LIGHTS}.scale")
    if text is None:
        return scene
    (factor,) = numbers(f"--set {ALL_LIGHTS}.scale", text, (1,))
    shapes = []
    for shape in scene.shapes:
        glow = shape.surface.emission
        if glow is not None:
            surface = replace(shape.surface, emission=(glow * factor).astype(np.float32))
            shape = replace(shape, surface=surface)
        shapes.append(shape)
    return replace(scene, shapes=tuple(shapes))


def _value(mi: Any, name: str, kind: str, text: str) -> Any:
    """`text` as the type that the parameter has in the file."""
    option = f"--set {name}"
    if kind == "str":
        return text
    if kind == "bool":
        if text.lower() not in ("true", "false"):
            raise InputError(option, "has an unusable value", got=text, expected="true or false")
        return text.lower() == "true"
    if kind in ("float", "int"):
        (value,) = numbers(option, text, (1,))
        if kind == "int" and value != int(value):
            raise InputError(option, "has an unusable value", got=text, expected="a whole number")
        return int(value) if kind == "int" else value
    values = numbers(option, text, (1, 3))
    return getattr(mi, kind)(values * 3 if len(values) == 1 else values)


def film_edits(edits: Mapping[str, str]) -> dict[str, int]:
    """`film.width` and `film.height`."""
    sizes = {}
    for entry in FILM:
        if f"film.{entry}" in edits:
            (value,) = numbers(f"--set film.{entry}", edits[f"film.{entry}"], (1,))
            if value != int(value) or not 1 <= value <= 16384:
                raise InputError(
                    f"--set film.{entry}", "is out of range", got=value, expected="1..16384"
                )
            sizes[entry] = int(value)
    return sizes


def move_camera(mi: Any, state: ParsedState, sensor: int, edits: Mapping[str, str]) -> None:
    """`camera.*` on a sensor node."""
    wanted = {n: edits[f"camera.{n}"] for n in CAMERA if f"camera.{n}" in edits}
    if not wanted:
        return
    values = {
        n: numbers(f"--set camera.{n}", text, (3,) if n in CAMERA[:3] else (1,))
        for n, text in wanted.items()
    }
    if any(n in values for n in CAMERA[:3]):
        _look(mi, state, sensor, values)
    props = state.props(sensor)
    if "fov" in values:
        if not 0 < values["fov"][0] < 180:
            raise InputError("--set camera.fov", "is out of range", got=wanted["fov"])
        if "focal_length" in props:
            del props["focal_length"]
        props["fov"] = values["fov"][0]
    for entry, key in _LENS.items():
        if entry in values:
            if values[entry][0] <= 0:
                raise InputError(f"--set camera.{entry}", "is not positive", got=wanted[entry])
            if entry in CAMERA[6:] and props.plugin_name() != "thinlens":
                raise InputError(
                    f"--set camera.{entry}", "needs a thinlens camera", got=props.plugin_name()
                )
            props[key] = values[entry][0]


def _look(mi: Any, state: ParsedState, sensor: int, values: Mapping[str, list[float]]) -> None:
    props = state.props(sensor)
    matrix = np.eye(4)
    if "to_world" in props:
        matrix = np.array(props["to_world"].matrix, np.float64).reshape(4, 4)
    origin, up = matrix[:3, 3], matrix[:3, 1]
    target = values["target"]  # `build` has filled it in
    new = np.array(values.get("origin", origin))
    line = np.array(target) - new
    above = np.array(values.get("up", up))
    if not np.linalg.norm(line) > 0 or not np.linalg.norm(np.cross(line, above)) > 0:
        raise InputError(
            "--set camera", "looks nowhere", got=f"origin {new.tolist()}, target {list(target)}",
            expected="an up that is not along the view",
        )  # fmt: skip
    state.props(sensor)["to_world"] = mi.ScalarTransform4f().look_at(
        [float(x) for x in new], [float(x) for x in target], [float(x) for x in above]
    )


def lacks_target(scene: Scene) -> bool:
    """Whether the camera is moved without being told what it looks at."""
    moved = {**scene.edits, **(scene.following or {})}
    return "camera.target" not in moved and any(f"camera.{n}" in moved for n in ("origin", "up"))


def camera_pose(mi_scene: Any) -> tuple[list[float], list[float], list[float]]:
    """Origin, target and up of a built scene's camera.

    The target is the point of the line of view nearest to the middle of the scene, ahead of the
    camera.
    """
    matrix = np.array(mi_scene.sensors()[0].world_transform().matrix, np.float64).reshape(4, 4)
    origin, forward, up = matrix[:3, 3], matrix[:3, 2], matrix[:3, 1]
    forward = forward / np.linalg.norm(forward)
    box = mi_scene.bbox()
    low, high = np.array(box.min, np.float64).ravel(), np.array(box.max, np.float64).ravel()
    size = float(np.linalg.norm(high - low))
    ahead = float(((low + high) / 2 - origin) @ forward)
    if not np.isfinite(ahead) or not np.isfinite(size):
        ahead, size = 1.0, 1.0
    target = origin + max(ahead, 1e-3 * size) * forward
    return origin.tolist(), target.tolist(), (up / np.linalg.norm(up)).tolist()


def without_camera(edits: Mapping[str, str]) -> dict[str, str]:
    """The edits that leave the camera where it is."""
    return {name: value for name, value in edits.items() if not name.startswith("camera.")}
