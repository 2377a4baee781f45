"""glTF shapes, lights and cameras as Mitsuba objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from etendue.core.image import read_linear
from etendue.render.build_film import add_camera
from etendue.render.build_materials import Replacements, is_scalar
from etendue.render.build_state import ParsedState, parser_config
from etendue.scene.mesh import Mesh
from etendue.scene.scene import Environment, Light, Scene, Surface


def gltf_state(mi: Any, scene: Scene, replacements: Replacements) -> ParsedState:
    """A parser state whose root holds one mesh object for each shape."""
    config = parser_config(mi)
    raw = mi.parser.parse_dict(config, {"type": "scene"})
    state = ParsedState(mi, config, raw)
    materials: dict[int, Any] = {}
    for number, shape in enumerate(scene.shapes):
        bsdf = replacements.object(shape.name)
        if bsdf is None:
            key = id(shape.surface)
            if key not in materials:
                materials[key] = _bsdf(mi, shape.surface, state)
            bsdf = materials[key]
        props = mi.Properties()
        props.set_id(shape.name)
        props["bsdf"] = bsdf
        if shape.surface.emission is not None:
            radiance = _texture(mi, shape.surface.emission, light=True)
            props["emitter"] = mi.load_dict({"type": "area", "radiance": radiance})
        state.props(state.root)[f"shape_{number}"] = _mesh(mi, shape.name, shape.mesh, props)
        state.shape_names.append(shape.name)
    state.twins.update(replacements.twins)
    for number, light in enumerate(scene.lights):
        _add_light(mi, state, light, f"light{number}")
    if scene.environment is not None:
        _add_environment(mi, state, scene.environment)
    for camera in scene.cameras:
        add_camera(mi, state, camera)
    mi.parser.transform_upgrade(config, raw)
    mi.parser.transform_resolve(config, raw)
    return state


def _mesh(mi: Any, name: str, mesh: Mesh, props: Any) -> Any:
    built = mi.Mesh(
        name,
        len(mesh.positions),
        len(mesh.faces),
        has_vertex_normals=mesh.normals is not None,
        has_vertex_texcoords=mesh.uv is not None,
        props=props,
    )
    parameters = mi.traverse(built)
    parameters["vertex_positions"] = mesh.positions.astype(np.float32).ravel()
    parameters["faces"] = mesh.faces.astype(np.uint32).ravel()
    if mesh.normals is not None:
        parameters["vertex_normals"] = mesh.normals.astype(np.float32).ravel()
    if mesh.uv is not None:
        parameters["vertex_texcoords"] = mesh.uv.astype(np.float32).ravel()
    parameters.update()
    return built


def _bsdf(mi: Any, surface: Surface, state: ParsedState) -> Any:
    """The layered material inline; with holes, or without LLVM, Mitsuba's own plugins instead."""
    if surface.opacity is not None:
        state.notes.append(
            f"material {surface.material.name}: has transparent parts, so Mitsuba's mask and "
            "principled plugins stand in for its layers"
        )
        return mi.load_dict(
            {
                "type": "mask",
                "opacity": _texture(mi, surface.opacity[..., None]),
                "bsdf": _principled(mi, surface),
            }
        )
    if is_scalar(mi):
        state.notes.append(
            f"material {surface.material.name}: Mitsuba's principled stands in for its layers"
        )
        return mi.load_dict(_principled(mi, surface))
    from etendue.bsdf.plugin import plugin
    from etendue.bsdf.transmission import reference

    return plugin("Imported", lambda _: reference(surface.material))(mi.Properties())


def _principled(mi: Any, surface: Surface) -> dict[str, Any]:
    flat = surface.flat
    return {
        "type": "twosided",
        "bsdf": {
            "type": "principled",
            "base_color": _texture(mi, _grid(flat["base"], 3)),
            "roughness": _texture(mi, _grid(flat["roughness"], 1)),
            "metallic": _texture(mi, _grid(flat["metallic"], 1)),
            "clearcoat": _texture(mi, _grid(flat["coat"], 1)),
        },
    }


def _grid(value: np.ndarray, channels: int) -> np.ndarray:
    value = np.asarray(value, np.float32)
    if value.ndim <= 1 and value.size == channels:
        return value.reshape(1, 1, channels)
    return value.reshape(*value.shape[:2], channels)


def _texture(mi: Any, data: np.ndarray, *, light: bool = False) -> Any:
    """A raw bitmap texture, or a constant for a single texel; only that of a light may pass 1."""
    data = np.ascontiguousarray(data, np.float32)
    if data.shape[:2] == (1, 1):
        if data.shape[2] == 1:
            return mi.load_dict({"type": "uniform", "value": float(data[0, 0, 0])})
        if light:
            return _light_color(mi, data[0, 0])
        return mi.load_dict({"type": "rgb", "value": [float(c) for c in data[0, 0]]})
    return mi.load_dict({"type": "bitmap", "data": mi.TensorXf(data), "raw": True})


def _light_color(mi: Any, rgb: Sequence[float] | np.ndarray) -> Any:
    return mi.load_dict({"type": "srgb", "color": [float(c) for c in rgb], "unbounded": True})


def _add_environment(mi: Any, state: ParsedState, found: Environment) -> None:
    """A dome's picture; USD and Mitsuba both have +y up and the middle of the picture at +z."""
    if found.picture is None:
        values: dict[str, Any] = {"radiance": _light_color(mi, found.scale)}
        state.add("Emitter", "constant", "environment", values)
        return
    pixels = np.maximum(read_linear(found.picture)[..., :3], 0.0) * np.array(found.scale)
    bitmap = mi.Bitmap(np.ascontiguousarray(pixels, np.float32))
    turned = mi.ScalarTransform4f(found.to_world)
    state.add("Emitter", "envmap", "environment", {"bitmap": bitmap, "to_world": turned})


def _add_light(mi: Any, state: ParsedState, light: Light, name: str) -> None:
    color = _light_color(mi, light.intensity)
    if light.kind == "directional":
        values = {"direction": list(light.direction), "irradiance": color}
    elif light.kind == "point":
        values = {"position": mi.ScalarPoint3f(*light.position), "intensity": color}
    else:
        target = np.add(light.position, light.direction)
        up = (0.0, 1.0, 0.0) if abs(light.direction[1]) < 0.9 else (1.0, 0.0, 0.0)
        values = {
            "to_world": mi.ScalarTransform4f().look_at(
                list(light.position), [float(v) for v in target], list(up)
            ),
            "intensity": color,
            "cutoff_angle": float(np.degrees(light.outer_angle)),
            "beam_width": float(np.degrees(min(light.inner_angle, light.outer_angle * 0.999))),
        }
    if light.kind == "directional":
        values["direction"] = mi.ScalarVector3f(*light.direction)
    state.add("Emitter", light.kind, name, values)
