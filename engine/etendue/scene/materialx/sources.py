"""Node evaluators that need more than their input values: images, geometry, noise, ramps."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from etendue.core.errors import InputError
from etendue.scene.materialx.noise import (
    cell_noise,
    fractal_noise,
    noise,
    worley_noise,
)
from etendue.scene.materialx.textures import FileReference, Lookup, sample_image

if TYPE_CHECKING:
    from etendue.scene.materialx.graph import Call

Array = np.ndarray
ADDRESS_MODES = ("constant", "clamp", "periodic", "mirror")


def _image(call: Call) -> Array:
    """Texels decoded to linear Rec. 709 when the node is a colour, filtered, looked up."""
    reference = call["file"]
    if not isinstance(reference, FileReference):
        raise InputError(call.node.getNamePath(), "names no image file")
    wrap = (call["uaddressmode"], call["vaddressmode"])
    for mode in wrap:
        if mode not in ADDRESS_MODES:
            raise InputError(
                reference.where, "unknown address mode", got=mode, expected=", ".join(ADDRESS_MODES)
            )

    def decode(stored: Array) -> Array:
        if call.nodedef.getType() not in ("color3", "color4"):
            return stored
        return call.evaluator.to_linear(stored, reference.color_space, call.node)

    nearest = call["filtertype"] == "closest"
    lookup = Lookup(call.components, wrap, call["default"], nearest, decode)
    return sample_image(call.evaluator.images, reference, call["texcoord"], lookup)


def _texcoord(call: Call) -> Array:
    uv = call.evaluator.texcoord()
    if call.components == 2:
        return uv
    return np.concatenate([uv, np.zeros((*uv.shape[:2], 1))], axis=-1)


def _geometry(name: str) -> Callable[[Call], Array]:
    return lambda call: call.evaluator.geometry(name)


def _primitive_variable(call: Call) -> Array:
    name = call["geomprop"]
    call.evaluator.notes[f"geometric property '{name}': its default is used"] = None
    return call["default"]


def _scalar(value: Array) -> float:
    return float(np.asarray(value).flat[0])


def _noise(coordinate: str, shift: tuple[float, ...]) -> Callable[[Call], Array]:
    def evaluate(call: Call) -> Array:
        value = noise(call[coordinate], call.components, shift)
        return value * call["amplitude"] + call["pivot"]

    return evaluate


def _fractal(coordinate: str) -> Callable[[Call], Array]:
    def evaluate(call: Call) -> Array:
        octaves = int(np.clip(_scalar(call["octaves"]), 0, 32))
        lacunarity, diminish = _scalar(call["lacunarity"]), _scalar(call["diminish"])
        p = call[coordinate]
        return fractal_noise(p, call.components, octaves, lacunarity, diminish) * call["amplitude"]

    return evaluate


def _worley(coordinate: str) -> Callable[[Call], Array]:
    def evaluate(call: Call) -> Array:
        style = int(_scalar(call["style"]))
        return worley_noise(call[coordinate], call.components, call["jitter"], style)

    return evaluate


def slope(value: Array) -> tuple[Array, Array]:
    """Central differences along columns and rows of a tile that wraps, per texel."""
    if value.shape[0] == value.shape[1] == 1:
        return np.zeros_like(value), np.zeros_like(value)
    across = (np.roll(value, -1, axis=1) - np.roll(value, 1, axis=1)) / 2.0
    down = (np.roll(value, -1, axis=0) - np.roll(value, 1, axis=0)) / 2.0
    return across, down


def _step(threshold: Array, value: Array) -> Array:
    """Step antialiased over 0.7 of the length of the gradient, as `mx_aastep`."""
    if value.shape[0] < 2 or value.shape[1] < 2:
        return (value >= threshold) * 1.0
    down, across = np.gradient(value[..., 0])
    width = np.maximum(0.70710678 * np.hypot(across, down), 1e-12)[..., None]
    t = np.clip((value - threshold + width) / (2.0 * width), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def _ramp(first: str, second: str, axis: int) -> Callable[[Call], Array]:
    def evaluate(call: Call) -> Array:
        t = np.clip(call["texcoord"][..., axis : axis + 1], 0.0, 1.0)
        return call[first] * (1.0 - t) + call[second] * t

    return evaluate


def _split(first: str, second: str, axis: int) -> Callable[[Call], Array]:
    def evaluate(call: Call) -> Array:
        t = _step(call["center"], call["texcoord"][..., axis : axis + 1])
        return call[first] * (1.0 - t) + call[second] * t

    return evaluate


def _height_to_normal(call: Call) -> Array:
    """Encoded normal of a height field: n ~ (-dh/du, -dh/dv, 1), scaled by 1/16 (Sobel parity)."""
    height, texcoord = call["in"], call["texcoord"]
    if min(texcoord.shape[:2]) < 2 or height.shape[:2] == (1, 1):
        return np.array([0.5, 0.5, 1.0]).reshape(1, 1, 3)
    across, down = (d[..., 0] * _scalar(call["scale"]) / 16.0 for d in slope(height))
    u_down, u_across = np.gradient(texcoord[..., 0])
    v_down, v_across = np.gradient(texcoord[..., 1])
    tangent = np.stack(np.broadcast_arrays(u_across, v_across, across), axis=-1)
    bitangent = np.stack(np.broadcast_arrays(u_down, v_down, down), axis=-1)
    normal = np.cross(tangent, bitangent)
    length = np.linalg.norm(normal, axis=-1, keepdims=True)
    up = np.array([0.0, 0.0, 1.0])
    normal = np.where(length < 1e-12, up, normal * np.where(normal[..., 2:] < 0.0, -1.0, 1.0))
    return normal / np.where(length < 1e-12, 1.0, length) * 0.5 + 0.5


def _artistic_ior(call: Call) -> Array:
    """Index and extinction from reflectivity and edge colour (Gulbrandsen 2014, Eqs. 8-10)."""
    r = np.clip(call["reflectivity"], 0.0, 0.99)
    low, high = (1.0 - r) / (1.0 + r), (1.0 + np.sqrt(r)) / (1.0 - np.sqrt(r))
    n = high * (1.0 - call["edge_color"]) + low * call["edge_color"]
    if call.output == "extinction":
        return np.sqrt(np.maximum(((n + 1.0) ** 2 * r - (n - 1.0) ** 2) / (1.0 - r), 0.0))
    return n


def _blackbody(call: Call) -> Array:
    """Planckian chromaticity at Y = 1 in linear Rec. 709 (Kang et al. 2002 cubic spline)."""
    kelvin = np.clip(call["temperature"], 800.0, 25000.0)
    t = 1000.0 / kelvin
    cool = -0.2661239 * t**3 - 0.2343580 * t**2 + 0.8776956 * t + 0.179910
    warm = -3.0258469 * t**3 + 2.1070379 * t**2 + 0.2226347 * t + 0.240390
    x = np.where(kelvin < 4000.0, cool, warm)
    low = -1.1063814 * x**3 - 1.34811020 * x**2 + 2.18555832 * x - 0.20219683
    middle = -0.9549476 * x**3 - 1.37418593 * x**2 + 2.09137015 * x - 0.16748867
    high = 3.0817580 * x**3 - 5.87338670 * x**2 + 3.75112997 * x - 0.37001483
    y = np.where(kelvin < 2222.0, low, np.where(kelvin < 4000.0, middle, high))
    xyz = np.concatenate([x / y, np.ones_like(x), (1.0 - x - y) / y], axis=-1)
    matrix = np.array(
        [
            [3.2406, -1.5372, -0.4986],
            [-0.9689, 1.8758, 0.0415],
            [0.0557, -0.2040, 1.0570],
        ]
    )
    return np.maximum(xyz @ matrix.T, 0.0)


SOURCES: dict[str, Callable[[Call], Array]] = {
    "image": _image,
    "texcoord": _texcoord,
    "position": _geometry("Pobject"),
    "normal": _geometry("Nobject"),
    "tangent": _geometry("Tobject"),
    "bitangent": _geometry("Bobject"),
    "viewdirection": _geometry("Vworld"),
    "geomcolor": lambda call: np.ones((1, 1, call.components)),
    "geompropvalue": _primitive_variable,
    "time": lambda call: np.zeros((1, 1, 1)),
    "frame": lambda call: np.ones((1, 1, 1)),
    "noise2d": _noise("texcoord", (19.0, 73.0)),
    "noise3d": _noise("position", (19.0, 73.0, 29.0)),
    "fractal2d": _fractal("texcoord"),
    "fractal3d": _fractal("position"),
    "cellnoise2d": lambda call: cell_noise(call["texcoord"]),
    "cellnoise3d": lambda call: cell_noise(call["position"]),
    "worleynoise2d": _worley("texcoord"),
    "worleynoise3d": _worley("position"),
    "ramplr": _ramp("valuel", "valuer", 0),
    "ramptb": _ramp("valueb", "valuet", 1),
    "splitlr": _split("valuel", "valuer", 0),
    "splittb": _split("valueb", "valuet", 1),
    "heighttonormal": _height_to_normal,
    "artistic_ior": _artistic_ior,
    "blackbody": _blackbody,
}
