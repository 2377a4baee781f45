"""Material parameters of a Mitsuba scene as the shaders read them (`bsdf/textures.slang`)."""

from __future__ import annotations

from typing import Any

import mitsuba as mi
import numpy as np

from etendue.core.errors import InputError
from etendue.render.path.slang_neural import DataBuilder, bits

Array = np.ndarray
VALUE = np.dtype([("constant", "<f4", 3), ("texture", "<u4")])
FILTERS = ("bilinear", "nearest", "checkerboard")
WRAPS = ("repeat", "clamp", "mirror")
PROBES = 48  # points at which a texture is compared with Mitsuba's own
SLANG_LIMIT = "Render it with --backend drjit"


def numbers(value: Any) -> Array:
    """A parameter as a flat float64 array."""
    return np.asarray(value, np.float64).ravel()


def constant(value: float | Array) -> Array:
    """A `Value` without texture."""
    out = np.zeros((), VALUE)
    out["constant"] = value
    return out


def value(builder: DataBuilder, texture: Any, owner: object) -> Array:
    """The `Value` of a Mitsuba texture or spectrum."""
    kind = texture.class_name()
    parameters = mi.traverse(texture)
    if "value" in parameters and "data" not in parameters:
        return constant(_rgb(numbers(parameters["value"])))
    out = np.zeros((), VALUE)
    if kind.startswith("Checkerboard"):
        colors = [_rgb(_constant_of(parameters, name, owner)) for name in ("color0", "color1")]
        out["texture"] = add_texture(
            builder, np.stack(colors)[None], numbers(parameters["to_uv"].matrix), 2, 0
        )
        return out
    if "data" not in parameters or "to_uv" not in parameters:
        raise InputError(owner, "has a texture that shaders cannot read", got=kind, fix=SLANG_LIMIT)
    data = np.asarray(parameters["data"], np.float32)
    data = np.repeat(data, 3, 2) if data.shape[2] == 1 else data[..., :3]
    to_uv = numbers(parameters["to_uv"].matrix)
    filtering, wrapping = _probe(texture, data, to_uv.reshape(3, 3), owner)
    out["texture"] = add_texture(builder, data, to_uv, filtering, wrapping)
    return out


def _constant_of(parameters: Any, name: str, owner: object) -> Array:
    key = f"{name}.value"
    if key not in parameters:
        raise InputError(owner, "has a checkerboard of textures", fix=SLANG_LIMIT)
    return numbers(parameters[key])


def _rgb(values: Array) -> Array:
    return np.broadcast_to(values[:3] if values.size >= 3 else values[:1], 3)


def add_texture(
    builder: DataBuilder, data: Array, to_uv: Array, filtering: int, wrapping: int
) -> int:
    """Append texels (height, width, 3); where the texture's header begins."""
    height, width = data.shape[:2]
    texels = np.zeros((height * width, 4), np.float32)
    texels[:, :3] = data.reshape(-1, 3)
    at = builder.add(texels)
    rows = np.zeros((2, 4), np.float32)
    rows[:, :3] = to_uv.reshape(3, 3)[:2]
    header = bits([at, width, height, filtering | wrapping << 8])
    return builder.add(np.concatenate([header, rows]))


def _probe(texture: Any, data: Array, to_uv: Array, owner: object) -> tuple[int, int]:
    """Filter and wrap mode, which Mitsuba does not tell: those that reproduce its own lookups."""
    rng = np.random.default_rng(1)
    uv = rng.uniform(-1.2, 2.2, (PROBES, 2)).astype(np.float32)
    wanted = np.array([_lookup(texture, point) for point in uv])
    mapped = uv @ to_uv[:2, :2].T + to_uv[:2, 2]
    for wrapping in range(len(WRAPS)):
        for filtering in (0, 1):
            got = np.array([sample(data, point, filtering, wrapping) for point in mapped])
            close = np.abs(got - wanted).max(1) < 2e-3 * (1 + np.abs(wanted).max())
            if close.mean() > 0.9:  # nearest texels may differ by rounding
                return filtering, wrapping
    raise InputError(owner, "has a texture whose lookups are not understood", fix=SLANG_LIMIT)


def _lookup(texture: Any, uv: Array) -> Array:
    si: Any = mi.SurfaceInteraction3f()
    si.uv = mi.Point2f(float(uv[0]), float(uv[1]))
    return _rgb(numbers(texture.eval(si)))


def sample(data: Array, uv: Array, filtering: int, wrapping: int) -> Array:
    """`fetch` of `bsdf/textures.slang` in numpy."""
    height, width = data.shape[:2]
    p = np.asarray(uv, np.float64) * (width, height)
    if FILTERS[filtering] == "nearest":
        x, y = np.floor(p).astype(int)
        return data[_wrap(y, height, wrapping), _wrap(x, width, wrapping)]
    p = p - 0.5
    x, y = np.floor(p).astype(int)
    tx, ty = p - (x, y)
    total = np.zeros(3)
    for dy, wy in ((0, 1 - ty), (1, ty)):
        for dx, wx in ((0, 1 - tx), (1, tx)):
            row, column = _wrap(y + dy, height, wrapping), _wrap(x + dx, width, wrapping)
            total += wx * wy * data[row, column]
    return total


def _wrap(i: int, size: int, mode: int) -> int:
    if WRAPS[mode] == "clamp":
        return min(max(i, 0), size - 1)
    period = 2 * size if WRAPS[mode] == "mirror" else size
    i = i % period
    return i if i < size else period - 1 - i
