"""Lights of a Mitsuba scene as rows of `g_emitters` (`render/scene.slang`)."""

from __future__ import annotations

from typing import Any

import mitsuba as mi
import numpy as np

from etendue.core.errors import InputError
from etendue.render.groups import children
from etendue.render.path.slang_neural import DataBuilder
from etendue.render.path.slang_textures import (
    SLANG_LIMIT,
    VALUE,
    add_texture,
    constant,
    numbers,
    value,
)

Array = np.ndarray
EMITTER = np.dtype(
    [
        ("kind", "<u4"),
        ("first", "<u4"),
        ("count", "<u4"),
        ("table", "<u4"),
        ("radiance", VALUE),
        ("position", "<f4", 3),
        ("area", "<f4"),
        ("axis", "<f4", 3),
        ("cutoff", "<f4"),
        ("row0", "<f4", 3),
        ("beam", "<f4"),
        ("row1", "<f4", 3),
        ("scale", "<f4"),
        ("row2", "<f4", 3),
        ("unused", "<f4"),
    ]
)
AREA, CONSTANT, ENVIRONMENT, POINT, SPOT, DIRECTIONAL = range(6)
NONE = 0xFFFFFFFF
_LUMINANCE = np.array([0.212671, 0.715160, 0.072169])


def area_row(
    builder: DataBuilder, emitter: Any, owner: str, first: int, areas: Array | None, total: float
) -> Array:
    """Light of a shape: faces `first`... with these areas, or sphere number `first`."""
    row = np.zeros((), EMITTER)
    row["kind"], row["first"], row["area"] = AREA, first, total
    row["radiance"] = value(builder, children(emitter)["radiance"], owner)
    if areas is not None:
        row["count"] = len(areas)
        row["table"] = builder.add(cumulative(areas))
    return row


def cumulative(weights: Array) -> Array:
    """Running sums up to 1 in the last of four channels (n, 4)."""
    out = np.zeros((len(weights), 4), np.float32)
    sums = np.cumsum(weights, dtype=np.float64)
    out[:, 3] = sums / sums[-1] if sums[-1] > 0 else np.linspace(0, 1, len(weights) + 1)[1:]
    out[-1, 3] = 1.0
    return out


def light_row(builder: DataBuilder, emitter: Any) -> Array:
    """A light that is no shape."""
    kind = emitter.class_name()
    row = np.zeros((), EMITTER)
    found, parameters = children(emitter), mi.traverse(emitter)
    if kind == "ConstantBackgroundEmitter":
        row["kind"], row["radiance"] = CONSTANT, value(builder, found["radiance"], kind)
    elif kind == "EnvironmentMapEmitter":
        _environment(builder, row, parameters)
    elif kind == "PointLight":
        row["kind"], row["radiance"] = POINT, value(builder, found["intensity"], kind)
        row["position"] = numbers(parameters["position"])
    elif kind == "SpotLight":
        row["kind"], row["radiance"] = SPOT, value(builder, found["intensity"], kind)
        frame = matrix(parameters["to_world"])
        row["position"], row["axis"] = frame[:3, 3], unit(frame[:3, 2])
        row["cutoff"] = np.radians(numbers(parameters["cutoff_angle"])[0])
        row["beam"] = np.radians(numbers(parameters["beam_width"])[0])
        if "texture" in found:
            row["radiance"]["texture"] = _slide(builder, found["texture"], kind)
            to_local = np.linalg.inv(frame)
            for k in range(3):
                row[f"row{k}"] = unit(to_local[k, :3])
    elif kind == "DirectionalEmitter":
        row["kind"], row["radiance"] = DIRECTIONAL, value(builder, found["irradiance"], kind)
        row["axis"] = unit(matrix(parameters["to_world"])[:3, 2])
    else:
        raise InputError("light", "is of a kind that shaders lack", got=kind, fix=SLANG_LIMIT)
    if row["kind"] not in (ENVIRONMENT, SPOT) and row["radiance"]["texture"]:
        raise InputError(kind, "has a texture", fix=SLANG_LIMIT)
    return row


def _slide(builder: DataBuilder, texture: Any, owner: str) -> int:
    """Header of the picture in front of a spot light; a constant becomes one texel."""
    made = value(builder, texture, owner)
    return int(made["texture"]) or add_texture(
        builder, np.broadcast_to(made["constant"], (1, 1, 3)), np.eye(3), 0, 0
    )


def _environment(builder: DataBuilder, row: Array, parameters: Any) -> None:
    """Texels with running sums of their rows, then the running sum of the rows.

    Mitsuba repeats one column on each side. A cell lies between four texels; its weight is their
    mean luminance times the sine of its polar angle, which is 0 only where the light is.
    """
    image = np.asarray(parameters["data"], np.float64)[:, 1:-1, :3]
    height, width = image.shape[:2]
    luminance = np.maximum(image @ _LUMINANCE, 0.0)
    corners = luminance + np.roll(luminance, -1, axis=1)
    theta = (np.arange(height - 1) + 0.5) * np.pi / (height - 1)
    cells = (corners[:-1] + corners[1:]) * np.sin(theta)[:, None]
    texels = np.zeros((height, width, 4), np.float32)
    texels[..., :3] = image
    for y in range(height - 1):
        texels[y, :, 3] = cumulative(cells[y])[:, 3]
    row["kind"], row["count"], row["table"] = ENVIRONMENT, width, height
    row["first"] = builder.add(texels.reshape(-1, 4))
    builder.add(cumulative(cells.sum(1)))
    row["scale"] = numbers(parameters["scale"])[0]
    row["radiance"] = constant(0.0)
    to_local = np.linalg.inv(matrix(parameters["to_world"])[:3, :3])
    for k in range(3):
        row[f"row{k}"] = unit(to_local[k])


def matrix(transform: Any) -> Array:
    """A Mitsuba transform as float64 (4, 4)."""
    return np.asarray(transform.matrix, np.float64).reshape(4, 4)


def unit(v: Array) -> Array:
    """v / |v|."""
    return v / np.linalg.norm(v)
