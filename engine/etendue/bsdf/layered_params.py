"""Layer parameters at a shading point: constants, or texture lookups."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from ..core.errors import InputError
from ..scene.material import ALPHA_MIN, Channel, Layer, LayeredMaterial, LayerKind, Scalar
from .texels import Texels, averaged_levels

HORIZON_MARGIN = 0.9  # see `visible_slopes`
LARGE = 1e3  # bound of optical depths and weights
SLOPE_MAX = 30.0  # 88 degrees
ETA_MIN, ETA_MAX = 0.2, 5.0  # bounds of relative refractive indices


@dataclass
class LayerValues:
    """A layer's parameters at one point; `slopes` and `tangent` span its frame."""

    ax: Any
    ay: Any
    slopes: Any  # (Float, Float), or None for a layer in the shading frame
    tangent: Any  # (Float, Float)
    f0: Any
    f82: Any
    f90: Any
    eta: Any
    reflect_tint: Any
    transmit_tint: Any
    tau_absorb: Any
    tau_scatter: Any
    g: Any
    albedo: Any
    roughness: Any

    def to_local(self, w: Any) -> Any:
        """Shading frame to layer frame."""
        return w if self.slopes is None else frame_of(self.slopes, self.tangent).to_local(w)

    def to_shading(self, w: Any) -> Any:
        """Layer frame to shading frame."""
        return w if self.slopes is None else frame_of(self.slopes, self.tangent).to_world(w)


@dataclass
class StackValues:
    """RGB weight and sheen of a stack at one point."""

    weight: Any
    sheen_color: Any
    sheen_roughness: Any


def frame_of(slopes: Any, tangent: Any) -> Any:
    """Orthonormal frame with normal (sx, sy, 1)/|.| and s along the projected tangent."""
    n = dr.normalize(mi.Vector3f(slopes[0], slopes[1], 1.0))
    t = mi.Vector3f(tangent[0], tangent[1], 0.0)
    t = dr.select(dr.squared_norm(t) > 1e-6, t, mi.Vector3f(1.0, 0.0, 0.0))
    s = dr.normalize(t - n * dr.dot(n, t))
    return mi.Frame3f(s, dr.cross(n, s), n)


def visible_slopes(slopes: Any, w: Any, scale: Any = 1.0) -> Any:
    """Scale slopes down until the tilted normal sees `w`:  w.(sx, sy, 1) >= (1 - 0.9) wz.

    A continuous rule that keeps grazing views of normal-mapped layers from turning black.
    """
    sx, sy = slopes[0] * scale, slopes[1] * scale
    tilt = sx * w.x + sy * w.y
    limit = HORIZON_MARGIN * w.z
    t = dr.select(tilt < -limit, limit / dr.maximum(-tilt, 1e-12), 1.0)
    return sx * t, sy * t


def select_values(mask: Any, a: Any, b: Any) -> Any:
    """dr.select over the fields of two `LayerValues` or `StackValues`."""
    out = {}
    for item in fields(a):
        x, y = getattr(a, item.name), getattr(b, item.name)
        if x is None and y is None:
            out[item.name] = None
        elif isinstance(x, tuple) or isinstance(y, tuple):
            zero = (mi.Float(0.0), mi.Float(0.0))
            x, y = x or zero, y or zero
            out[item.name] = tuple(dr.select(mask, p, q) for p, q in zip(x, y, strict=True))
        else:
            out[item.name] = dr.select(mask, x, y)
    return type(a)(**out)


def scalars_of(layer: Layer) -> list[Scalar]:
    """Every scalar of a layer in declaration order."""
    out: list[Scalar] = []
    for item in fields(layer):
        value = getattr(layer, item.name)
        if isinstance(value, tuple):
            out.extend(value)
        elif isinstance(value, float | Channel):
            out.append(value)
    return out


class ParameterFetch:
    """Looks parameters of a material up; holds its texture as Dr.Jit buffers."""

    def __init__(self, material: LayeredMaterial) -> None:
        check(material)
        self.material = material
        data = material.texture.data
        self.textured = data.shape[2] > 0
        self.fine = Texels([data]) if self.textured else None
        self.coarse = Texels(averaged_levels(moments(data))) if self.textured else None
        top = {stack.layers[0] for stack in material.stacks}
        self.bends = [k in top for k in range(len(material.layers))]

    def at(self, uv: Any, wi: Any, active: Any) -> tuple[list[LayerValues], list[StackValues]]:
        """Parameters of all layers and stacks at `uv`, normals made visible from `wi`."""
        channels = self.fine.lookup(uv, active) if self.fine else []
        return self._values(channels, wi)

    def around(
        self, uv: Any, footprint: Any, wi: Any, active: Any
    ) -> tuple[list[LayerValues], list[StackValues]]:
        """Mean parameters over a footprint, normals' variance added to the roughness.

        Reads the pyramid level whose texels are about as large as the footprint. Only for
        importance sampling: a mean of parameters is not the mean of what they look like.
        """
        if self.coarse is None:
            return self._values([], wi)
        size = dr.maximum(footprint * max(self.coarse.width, self.coarse.height), 1.0)
        level = mi.UInt(dr.clip(dr.log2(size) + 0.5, 0.0, self.coarse.count - 1.0))
        both = self.coarse.lookup(uv, active, level)
        half = len(both) // 2
        mean = both[:half]
        filtered = level > 0
        variance = [
            dr.select(filtered, dr.maximum(square - m * m, 0.0), 0.0)
            for m, square in zip(mean, both[half:], strict=True)
        ]
        layers, stacks = self._values(mean, wi)
        for layer, v in zip(self.material.layers, layers, strict=True):
            spread = [variance[x.index] for x in layer.normal if isinstance(x, Channel)]
            if spread:
                extra = sum(spread[1:], spread[0])  # twice the mean variance of both axes
                v.ax = dr.minimum(dr.sqrt(v.ax * v.ax + extra), 1.0)
                v.ay = dr.minimum(dr.sqrt(v.ay * v.ay + extra), 1.0)
        return layers, stacks

    def _values(self, channels: list[Any], wi: Any) -> tuple[list[LayerValues], list[StackValues]]:
        def value(x: Scalar, low: float = 0.0, high: float = 1.0) -> Any:
            if isinstance(x, Channel):
                return dr.clip(channels[x.index], low, high)
            return mi.Float(min(max(x, low), high))

        def color(x: tuple[Scalar, Scalar, Scalar], high: float = 1.0) -> Any:
            return mi.Color3f(*(value(c, 0.0, high) for c in x))

        layers = []
        for layer, bend in zip(self.material.layers, self.bends, strict=True):
            values = layer_values(layer, value, color)
            if bend and values.slopes is not None:
                values.slopes = visible_slopes(values.slopes, wi)
            layers.append(values)
        stacks = [
            StackValues(color(s.weight, LARGE), color(s.sheen_color), value(s.sheen_roughness))
            for s in self.material.stacks
        ]
        return layers, stacks


def moments(data: np.ndarray) -> np.ndarray:
    """Channels followed by their squares."""
    return np.concatenate([data, np.square(data)], axis=2)


def layer_values(layer: Layer, value: Any, color: Any) -> LayerValues:
    """Look every parameter of `layer` up through the two accessors, within its legal range."""
    in_frame = layer.normal == (0.0, 0.0) and layer.tangent == (1.0, 0.0)
    n, t = layer.normal, layer.tangent
    return LayerValues(
        ax=value(layer.alpha[0], ALPHA_MIN, 1.0),
        ay=value(layer.alpha[1], ALPHA_MIN, 1.0),
        slopes=None
        if in_frame
        else (value(n[0], -SLOPE_MAX, SLOPE_MAX), value(n[1], -SLOPE_MAX, SLOPE_MAX)),
        tangent=(value(t[0], -LARGE, LARGE), value(t[1], -LARGE, LARGE)),
        f0=color(layer.f0),
        f82=color(layer.f82),
        f90=color(layer.f90),
        eta=value(layer.eta, ETA_MIN, ETA_MAX),
        reflect_tint=color(layer.reflect_tint),
        transmit_tint=color(layer.transmit_tint),
        tau_absorb=color(layer.tau_absorb, LARGE),
        tau_scatter=value(layer.tau_scatter, 0.0, LARGE),
        g=value(layer.g, -0.99, 0.99),
        albedo=color(layer.albedo),
        roughness=value(layer.roughness),
    )


def check(material: LayeredMaterial) -> None:
    """Reject descriptions that no walk could interpret."""
    if not material.stacks:
        raise InputError(material.name, "has no stack", fix="Give it at least one stack.")
    for number, stack in enumerate(material.stacks):
        name = f"{material.name}, stack {number}"
        if not stack.layers:
            raise InputError(name, "has no layers")
        if min(stack.layers) < 0 or max(stack.layers) >= len(material.layers):
            raise InputError(name, "refers to a layer that does not exist", got=stack.layers)
        kinds = [material.layers[k].kind for k in stack.layers]
        if LayerKind.DIELECTRIC in kinds[-1:] or any(k != LayerKind.DIELECTRIC for k in kinds[:-1]):
            raise InputError(
                name,
                "must be dielectric interfaces over one opaque layer",
                got=[k.name for k in kinds],
            )
    check_values(material)


def check_values(material: LayeredMaterial) -> None:
    """Channels exist and texture values are finite."""
    data = material.texture.data
    if data.ndim != 3 or data.shape[0] < 1 or data.shape[1] < 1:
        raise InputError(material.name, "has a texture of zero size", got=data.shape)
    if not np.isfinite(data).all():
        raise InputError(material.name, "has a texture that contains NaN or infinite values")
    for layer in material.layers:
        for x in scalars_of(layer):
            if isinstance(x, Channel) and not 0 <= x.index < data.shape[2]:
                raise InputError(
                    f"{material.name}, layer {layer.name}",
                    "reads a channel that the texture lacks",
                    got=x.index,
                    expected=f"0 to {data.shape[2] - 1}",
                )
