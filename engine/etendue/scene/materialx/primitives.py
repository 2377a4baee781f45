"""The MaterialX nodes that have no node graph of their own, as numpy functions.

Everything else in the standard library is defined by node graphs over these. Arrays are
(h, w, k) with h, w in {1, resolution}; k = 1 broadcasts over colours and vectors. Meanings follow
the MaterialX 1.39 specification and its `genglsl` implementations.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Array = np.ndarray
Primitive = Callable[..., Array]


def dot(a: Array, b: Array) -> Array:
    """Scalar product over the last axis, kept as an axis of one."""
    return (a * b).sum(axis=-1, keepdims=True)


def normalize(a: Array) -> Array:
    """a / |a|, the zero vector staying zero."""
    length = np.sqrt(dot(a, a))
    return np.divide(a, length, out=np.zeros(a.shape), where=length > 0.0)


def _mix(bg: Array, fg: Array, mix: Array) -> Array:
    return bg * (1.0 - mix) + fg * mix


def _blend(operation: Callable[[Array, Array], Array]) -> Primitive:
    """m op(fg, bg) + (1 - m) bg, the compositing nodes' common shape."""
    return lambda fg, bg, mix: mix * operation(fg, bg) + (1.0 - mix) * bg


def _alpha(a: Array) -> Array:
    return a[..., 3:4]


def _burn(fg: Array, bg: Array, mix: Array) -> Array:
    return np.where(np.abs(fg) < 1e-8, 0.0, mix * (1.0 - (1.0 - bg) / fg) + (1.0 - mix) * bg)


def _dodge(fg: Array, bg: Array, mix: Array) -> Array:
    return np.where(np.abs(1.0 - fg) < 1e-8, 0.0, mix * bg / (1.0 - fg) + (1.0 - mix) * bg)


def _disjoint_over(fg: Array, bg: Array) -> Array:
    total = _alpha(fg) + _alpha(bg)
    share = np.where(np.abs(_alpha(bg)) < 1e-8, 0.0, (1.0 - _alpha(fg)) / _alpha(bg))
    inside = np.where(np.abs(_alpha(bg)) < 1e-8, 0.0, fg[..., :3] + bg[..., :3] * share)
    colour = np.where(total <= 1.0, fg[..., :3] + bg[..., :3], inside)
    return _combine(colour, np.minimum(total, 1.0))


def _smoothstep(value: Array, low: Array, high: Array) -> Array:
    t = np.clip((value - low) / (high - low), 0.0, 1.0)
    smooth = t * t * (3.0 - 2.0 * t)
    return np.where(value >= high, 1.0, np.where(value <= low, 0.0, smooth))


def _round(a: Array) -> Array:
    return np.floor(a + 0.5)


def _power(a: Array, b: Array) -> Array:
    return np.power(a, b)


def _modulo(a: Array, b: Array) -> Array:
    return a - b * np.floor(a / b)


def _extract(value: Array, index: Array) -> Array:
    i = int(np.clip(index.flat[0], 0, value.shape[-1] - 1))
    return value[..., i : i + 1]


def _combine(*parts: Array) -> Array:
    shape = np.broadcast_shapes(*(p.shape[:2] for p in parts))
    return np.concatenate([np.broadcast_to(p, (*shape, p.shape[-1])) for p in parts], axis=-1)


def _rotate2d(value: Array, amount: Array) -> Array:
    angle = np.radians(amount)
    s, c = np.sin(angle), np.cos(angle)
    x, y = value[..., :1], value[..., 1:2]
    return _combine(c * x + s * y, c * y - s * x)


def _cross(a: Array, b: Array) -> Array:
    first, second = np.broadcast_arrays(a, b)
    return np.cross(first, second)


def _rotate3d(value: Array, amount: Array, axis: Array) -> Array:
    """Rodrigues' rotation with row vectors: v c + (v x k) s + k (k.v)(1 - c)."""
    angle, axis = np.radians(amount), normalize(axis)
    s, c = np.sin(angle), np.cos(angle)
    return value * c + _cross(value, axis) * s + axis * dot(axis, value) * (1.0 - c)


def _normal_map(
    value: Array, scale: Array, normal: Array, tangent: Array, bitangent: Array
) -> Array:
    """normalize(T x s + B y s + N z) of 2 value - 1; an all-zero texel means no change."""
    empty = dot(value, value) == 0.0
    n = np.where(empty, np.array([0.0, 0.0, 1.0]), value * 2.0 - 1.0)
    scale = np.broadcast_to(scale, (*scale.shape[:2], 2))
    bent = tangent * n[..., :1] * scale[..., :1] + bitangent * n[..., 1:2] * scale[..., 1:2]
    return normalize(bent + normal * n[..., 2:3])


def _rgb_to_hsv(colour: Array) -> Array:
    """Foley & van Dam's hexcone model."""
    r, g, b = (colour[..., i] for i in range(3))
    high, low = colour[..., :3].max(axis=-1), colour[..., :3].min(axis=-1)
    delta = high - low
    hue = np.where(r >= high, (g - b) / delta, 2.0 + (b - r) / delta)
    hue = np.where((r < high) & (g < high), 4.0 + (r - g) / delta, hue)
    saturation = np.where(high > 0.0, delta / high, 0.0)
    hue = np.where(saturation > 0.0, np.mod(hue / 6.0, 1.0), 0.0)
    return np.concatenate([np.stack([hue, saturation, high], axis=-1), colour[..., 3:]], axis=-1)


def _hsv_to_rgb(hsv: Array) -> Array:
    """Inverse of `_rgb_to_hsv`: v (1 - s max(0, min(k, 4 - k, 1))), k = (n + 6 h) mod 6."""
    hue, saturation, value = (hsv[..., i] for i in range(3))
    parts = []
    for n in (5.0, 3.0, 1.0):
        k = np.mod(n + 6.0 * hue, 6.0)
        parts.append(value * (1.0 - saturation * np.clip(np.minimum(k, 4.0 - k), 0.0, 1.0)))
    return np.concatenate([np.stack(parts, axis=-1), hsv[..., 3:]], axis=-1)


def _luminance(colour: Array, coefficients: Array) -> Array:
    grey = dot(colour[..., :3], coefficients)
    return np.concatenate([np.repeat(grey, 3, axis=-1), colour[..., 3:]], axis=-1)


def _roughness_anisotropy(roughness: Array, anisotropy: Array) -> Array:
    """alpha = (r^2 / aspect, r^2 aspect), aspect = sqrt(1 - anisotropy)."""
    alpha = np.clip(roughness**2, 1e-8, 1.0)
    aspect = np.sqrt(1.0 - np.clip(anisotropy, 0.0, 0.98))
    return _combine(np.minimum(alpha / aspect, 1.0), alpha * aspect)


def _roughness_dual(roughness: Array) -> Array:
    x, y = roughness[..., :1], roughness[..., 1:2]
    return np.clip(_combine(x, np.where(y < 0.0, x, y)) ** 2, 1e-8, 1.0)


def square_matrix(flat: Array) -> Array:
    """(h, w, n n) to (h, w, n, n), row-major as written in a document."""
    n = round(flat.shape[-1] ** 0.5)
    return flat.reshape(*flat.shape[:2], n, n)


def _flatten(matrix: Array) -> Array:
    return matrix.reshape(*matrix.shape[:2], -1)


def _transform_matrix(value: Array, matrix: Array) -> Array:
    """Row vector times matrix; a missing homogeneous coordinate is one."""
    m = square_matrix(matrix)
    if m.shape[-1] > value.shape[-1]:
        padded = np.concatenate([value, np.ones((*value.shape[:2], 1))], axis=-1)
        return (padded[..., None, :] @ m)[..., 0, : value.shape[-1]]
    return (value[..., None, :] @ m)[..., 0, :]


def _matrix_or(elementwise: Primitive, matrix: Callable[[Array, Array], Array]) -> Primitive:
    def apply(a: Array, b: Array) -> Array:
        if a.shape[-1] in (9, 16) and b.shape[-1] == a.shape[-1]:
            return _flatten(matrix(square_matrix(a), square_matrix(b)))
        return elementwise(a, b)

    return apply


def _compare(test: Callable[[Array, Array], Array]) -> tuple[str, Primitive]:
    def choose(value1: Array, value2: Array, in1: Array | None, in2: Array | None) -> Array:
        condition = test(value1, value2)
        if in1 is None or in2 is None:
            return condition * 1.0
        return np.where(condition, in1, in2)

    return "value1 value2 in1? in2?", choose


def _create_matrix(*rows: Array | None) -> Array:
    given = [row for row in rows if row is not None]
    if len(given) == 4 and given[0].shape[-1] == 3:
        last = (0.0, 0.0, 0.0, 1.0)
        given = [_combine(r, np.full((1, 1, 1), w)) for r, w in zip(given, last, strict=True)]
    return _combine(*given)


def _matte(fg: Array, bg: Array) -> Array:
    a = _alpha(fg)
    return _combine(fg[..., :3] * a + bg[..., :3] * (1.0 - a), a + _alpha(bg) * (1.0 - a))


_BLEND = "fg bg mix"
_UNARY: dict[str, Primitive] = {
    "absval": np.abs, "floor": np.floor, "ceil": np.ceil, "round": _round, "sign": np.sign,
    "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos,
    "sqrt": np.sqrt, "ln": np.log, "exp": np.exp, "fract": lambda a: a - np.floor(a),
    "normalize": normalize, "magnitude": lambda a: np.sqrt(dot(a, a)),
    "rgbtohsv": _rgb_to_hsv, "hsvtorgb": _hsv_to_rgb, "dot": lambda a: a, "convert": lambda a: a,
    "premult": lambda a: _combine(a[..., :3] * _alpha(a), _alpha(a)),
    "unpremult": lambda a: _combine(a[..., :3] / _alpha(a), _alpha(a)),
    "not": lambda a: 1.0 - a,
    "transpose": lambda a: _flatten(np.swapaxes(square_matrix(a), -1, -2)),
    "invertmatrix": lambda a: _flatten(np.linalg.inv(square_matrix(a))),
    "determinant": lambda a: np.linalg.det(square_matrix(a))[..., None],
}  # fmt: skip
_BINARY: dict[str, Primitive] = {
    "add": np.add, "subtract": np.subtract, "power": _power, "modulo": _modulo,
    "multiply": _matrix_or(np.multiply, np.matmul),
    "divide": _matrix_or(np.divide, lambda a, b: a @ np.linalg.inv(b)),
    "min": np.minimum, "max": np.maximum, "dotproduct": dot, "crossproduct": _cross,
    "and": np.minimum, "or": np.maximum, "combine2": _combine,
}  # fmt: skip

# Node category: input names (with "?" when the node may lack it), function of their values.
PRIMITIVES: dict[str, tuple[str, Primitive]] = {
    **{name: ("in", function) for name, function in _UNARY.items()},
    **{name: ("in1 in2", function) for name, function in _BINARY.items()},
    "combine3": ("in1 in2 in3", _combine),
    "combine4": ("in1 in2 in3 in4", _combine),
    "creatematrix": ("in1 in2 in3 in4?", _create_matrix),
    "constant": ("value", lambda a: a),
    "invert": ("in amount", lambda a, amount: amount - a),
    "atan2": ("iny inx", np.arctan2),
    "clamp": ("in low high", lambda a, low, high: np.minimum(np.maximum(a, low), high)),
    "smoothstep": ("in low high", _smoothstep),
    "remap": (
        "in inlow inhigh outlow outhigh",
        lambda a, l0, h0, l1, h1: l1 + (a - l0) * (h1 - l1) / (h0 - l0),
    ),
    "extract": ("in index", _extract),
    "luminance": ("in lumacoeffs", _luminance),
    "rotate2d": ("in amount", _rotate2d),
    "rotate3d": ("in amount axis", _rotate3d),
    "transformmatrix": ("in mat", _transform_matrix),
    "transformpoint": ("in", lambda a: a),
    "transformvector": ("in", lambda a: a),
    "transformnormal": ("in", lambda a: a),
    "normalmap": ("in scale normal tangent bitangent", _normal_map),
    "ifgreater": _compare(np.greater),
    "ifgreatereq": _compare(np.greater_equal),
    "ifequal": _compare(np.equal),
    "mix": ("bg fg mix", _mix),
    "plus": (_BLEND, _blend(np.add)),
    "minus": (_BLEND, _blend(lambda fg, bg: bg - fg)),
    "difference": (_BLEND, _blend(lambda fg, bg: np.abs(bg - fg))),
    "screen": (_BLEND, _blend(lambda fg, bg: 1.0 - (1.0 - fg) * (1.0 - bg))),
    "in": (_BLEND, _blend(lambda fg, bg: fg * _alpha(bg))),
    "mask": (_BLEND, _blend(lambda fg, bg: bg * _alpha(fg))),
    "matte": (_BLEND, _blend(_matte)),
    "out": (_BLEND, _blend(lambda fg, bg: fg * (1.0 - _alpha(bg)))),
    "over": (_BLEND, _blend(lambda fg, bg: fg + bg * (1.0 - _alpha(fg)))),
    "disjointover": (_BLEND, _blend(_disjoint_over)),
    "burn": (_BLEND, _burn),
    "dodge": (_BLEND, _dodge),
    "inside": ("in mask", np.multiply),
    "outside": ("in mask", lambda a, mask: a * (1.0 - mask)),
    "roughness_anisotropy": ("roughness anisotropy", _roughness_anisotropy),
    "roughness_dual": ("roughness", _roughness_dual),
}
