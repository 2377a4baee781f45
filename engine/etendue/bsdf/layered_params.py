"""Layer parameters at a shading point: constants, or bilinear lookups in one flat buffer."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from ..core.errors import InputError
from ..scene.material import Channel, Layer, LayeredMaterial, LayerKind, Scalar

HORIZON_MARGIN = 0.9  # see `visible_slopes`


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
    t = t - n * dr.dot(n, t)
    s = t * dr.rsqrt(dr.maximum(dr.squared_norm(t), 1e-12))
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
    """Looks parameters of a material up; holds its texture as one flat Dr.Jit buffer."""

    def __init__(self, material: LayeredMaterial) -> None:
        check(material)
        data = np.ascontiguousarray(material.texture.data, np.float32)
        self.height, self.width, channels = data.shape
        self.groups, self.packet = packing(channels)
        padded = np.zeros((self.height, self.width, self.groups * self.packet), np.float32)
        padded[..., :channels] = data
        self.data = mi.Float(padded.reshape(-1)) if channels else None
        self.material = material
        top = {stack.layers[0] for stack in material.stacks}
        self.bends = [k in top for k in range(len(material.layers))]

    @property
    def textured(self) -> bool:
        """Whether parameters depend on uv."""
        return self.data is not None

    def __call__(
        self, uv: Any, wi: Any, active: Any
    ) -> tuple[list[LayerValues], list[StackValues]]:
        """Parameters of all layers and stacks at `uv`, normals made visible from `wi`."""
        channels = self.lookup(uv, active) if self.textured else []

        def value(x: Scalar) -> Any:
            return channels[x.index] if isinstance(x, Channel) else mi.Float(x)

        def color(x: tuple[Scalar, Scalar, Scalar]) -> Any:
            return mi.Color3f(*(value(c) for c in x))

        layers = []
        for layer, bend in zip(self.material.layers, self.bends, strict=True):
            values = layer_values(layer, value, color)
            if bend and values.slopes is not None:
                values.slopes = visible_slopes(values.slopes, wi)
            layers.append(values)
        stacks = [
            StackValues(color(s.weight), color(s.sheen_color), value(s.sheen_roughness))
            for s in self.material.stacks
        ]
        return layers, stacks

    def lookup(self, uv: Any, active: Any) -> list[Any]:
        """All channels at `uv`: bilinear, wrapping, texel centres at (i + 0.5) / size."""
        x = (uv.x - dr.floor(uv.x)) * self.width - 0.5
        y = (uv.y - dr.floor(uv.y)) * self.height - 0.5
        x0, y0 = dr.floor(x), dr.floor(y)
        tx, ty = x - x0, y - y0
        left, right = wrap(mi.Int(x0), self.width), wrap(mi.Int(x0) + 1, self.width)
        up, down = wrap(mi.Int(y0), self.height), wrap(mi.Int(y0) + 1, self.height)
        weights = ((1 - tx) * (1 - ty), tx * (1 - ty), (1 - tx) * ty, tx * ty)
        out: list[Any] = []
        for group in range(self.groups):
            total: list[Any] = [0.0] * self.packet
            for weight, (px, py) in zip(
                weights, ((left, up), (right, up), (left, down), (right, down)), strict=True
            ):
                index = (py * self.width + px) * self.groups + group
                texel = self.gather(index, active)
                total = [dr.fma(weight, texel[c], total[c]) for c in range(self.packet)]
            out.extend(total)
        return out

    def gather(self, index: Any, active: Any) -> Any:
        """One packet of `self.packet` channels."""
        if self.packet == 1:
            return [dr.gather(mi.Float, self.data, index, active)]
        shape = (self.packet, dr.width(index))
        return dr.gather(mi.ArrayXf, self.data, index, active, shape=shape)


def layer_values(layer: Layer, value: Any, color: Any) -> LayerValues:
    """Look every parameter of `layer` up through the two accessors."""
    in_frame = layer.normal == (0.0, 0.0) and layer.tangent == (1.0, 0.0)
    return LayerValues(
        ax=value(layer.alpha[0]),
        ay=value(layer.alpha[1]),
        slopes=None if in_frame else (value(layer.normal[0]), value(layer.normal[1])),
        tangent=(value(layer.tangent[0]), value(layer.tangent[1])),
        f0=color(layer.f0),
        f82=color(layer.f82),
        f90=color(layer.f90),
        eta=value(layer.eta),
        reflect_tint=color(layer.reflect_tint),
        transmit_tint=color(layer.transmit_tint),
        tau_absorb=color(layer.tau_absorb),
        tau_scatter=value(layer.tau_scatter),
        g=value(layer.g),
        albedo=color(layer.albedo),
        roughness=value(layer.roughness),
    )


def packing(channels: int) -> tuple[int, int]:
    """Number of packets per texel and their size: a power of two, at most 8."""
    packet = 1
    while packet < min(channels, 8):
        packet *= 2
    return -(-channels // packet) if channels else 0, packet


def wrap(i: Any, size: int) -> Any:
    """Index into a repeating axis for -1 <= i <= size, as UInt."""
    i = dr.select(i < 0, i + size, i)
    return mi.UInt(dr.select(i >= size, i - size, i))


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
