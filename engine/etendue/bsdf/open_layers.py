"""Interfaces of open stacks: parameters, Fresnel factors, and stacks of mirrors in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from ..core.errors import InputError
from ..scene.material import Layer, LayeredMaterial, LayerKind, Scalar, Stack
from .dielectric import DELTA_ETA
from .fresnel import fresnel_dielectric
from .layered_params import LayerValues, ParameterFetch, StackValues
from .thin_film import film_reflectance

FILM_MAX = 5000.0  # nanometres


@dataclass
class OpenValues(LayerValues):
    """`LayerValues` of an interface through which light may leave; film fields None without one."""

    film_eta: Any
    film_thickness: Any


class OpenFetch(ParameterFetch):
    """`ParameterFetch` whose layers are `OpenValues` and whose `wi` may come from below."""

    def _values(self, channels: list[Any], wi: Any) -> tuple[list[LayerValues], list[StackValues]]:
        wi = mi.Vector3f(wi)
        # a tilted normal that is seen from below is seen from above along the opposite direction
        layers, stacks = super()._values(channels, dr.select(wi.z < 0.0, -wi, wi))

        def value(x: Scalar, low: float, high: float) -> Any:
            if isinstance(x, float | int):
                return mi.Float(min(max(x, low), high))
            return dr.clip(channels[x.index], low, high)

        opened: list[LayerValues] = []
        for layer, v in zip(self.material.layers, layers, strict=True):
            film = film_thickness = None
            if has_film(layer):
                film = value(layer.film_eta, 1.0, 3.0)
                film_thickness = value(layer.film_thickness, 0.0, FILM_MAX)
            elif not layer.smooth:  # an interface without lobes would let nothing be connected
                off = dr.abs(v.eta - 1.0) < DELTA_ETA
                v.eta = dr.select(off, dr.select(v.eta < 1.0, 0.994, 1.006), v.eta)
            opened.append(OpenValues(**vars(v), film_eta=film, film_thickness=film_thickness))
        return opened, stacks


def has_film(layer: Layer) -> bool:
    """Whether a film may lie on the interface."""
    return layer.kind == LayerKind.DIELECTRIC and layer.film_thickness != 0.0


def check_open(material: LayeredMaterial) -> None:
    """Reject open stacks that nothing here could interpret."""
    for number, stack in enumerate(material.stacks):
        if not material.is_open(stack):
            continue
        name = f"{material.name}, stack {number}"
        layers = [material.layers[k] for k in stack.layers[:-1]]
        smooth = [layer.smooth for layer in layers]
        if any(smooth) != all(smooth):
            raise InputError(name, "has smooth and rough interfaces", fix="Make all or none smooth")
        if all(smooth) and len({layer.normal for layer in layers}) > 1:
            raise InputError(name, "has smooth interfaces with different normals")
        if all(smooth) and any(layer.tau_scatter != 0.0 for layer in layers):
            raise InputError(name, "has a scattering medium between smooth interfaces")
        if any(c != 0.0 for c in stack.sheen_color):
            raise InputError(name, "has a sheen and transmits", fix="Leave the sheen out")


def is_smooth(material: LayeredMaterial, stack: Stack) -> bool:
    """Whether an open stack only has delta directions."""
    return all(material.layers[k].smooth for k in stack.layers[:-1])


def fresnel(v: LayerValues, cos_w: Any, up: Any) -> tuple[Any, Any]:
    """Reflectance (Color3f with a film) and refracted cosine for light met at `cos_w`.

    `up`: the ray travels upwards, that is, `cos_w` is on the lower side.
    """
    f, cos_t = fresnel_dielectric(cos_w, dr.select(up, 1.0 / v.eta, v.eta))
    thickness = getattr(v, "film_thickness", None)
    if thickness is None:
        return f, cos_t
    above = dr.select(up, cos_t, cos_w)
    film = film_reflectance(above, v.film_eta, v.eta, thickness)  # type: ignore[attr-defined]
    return dr.select(cos_t > 0.0, film, 1.0), cos_t


@dataclass
class Mirrors:
    """What a stack of smooth interfaces does to light from `w`, basic radiance."""

    reflected: Any  # Color3f
    transmitted: Any  # Color3f
    reflection: Any  # Vector3f, local frame
    refraction: Any  # Vector3f, local frame
    eta: Any  # index of the far side over the near side


def mirrors(layers: list[LayerValues], w: Any) -> Mirrors:
    """All interreflections between parallel interfaces, by adding them one after the other.

    A pile (R from above, R' from below, T) over a slab of transmittance a and an interface (r, t):
    R + T^2 a^2 r D, r + t^2 a^2 R' D, T a t D with D = 1 / (1 - a^2 R' r); Stokes 1862.
    """
    below, product = w.z < 0.0, mi.Float(1.0)
    for v in layers:
        product = product * v.eta
    sin2 = dr.maximum(1.0 - w.z * w.z, 0.0) * dr.select(below, product * product, 1.0)
    index, cos = mi.Float(1.0), dr.safe_sqrt(1.0 - sin2)
    evanescent = sin2 >= 1.0
    top, bottom, through = mi.Color3f(0.0), mi.Color3f(0.0), mi.Color3f(1.0)
    slab = mi.Color3f(1.0)
    for v in layers:
        f, _ = fresnel(v, cos, mi.Bool(False))
        index = index * v.eta
        cos = dr.safe_sqrt(1.0 - sin2 / (index * index))
        closed = evanescent | (sin2 >= index * index)
        f = dr.select(closed, 1.0, mi.Color3f(f))
        r, t = v.reflect_tint * f, v.transmit_tint * (1.0 - f)
        again = slab * slab / dr.maximum(1.0 - slab * slab * bottom * r, 1e-6)
        top = top + through * through * r * again
        bottom, through = r + t * t * bottom * again, through * t * again / dr.maximum(slab, 1e-12)
        slab = dr.exp(-v.tau_absorb / dr.maximum(cos, 1e-4))
        evanescent = sin2 >= index * index
    eta = dr.select(below, 1.0 / product, product)
    out = dr.safe_sqrt(1.0 - dr.maximum(1.0 - w.z * w.z, 0.0) / (eta * eta))
    bent = mi.Vector3f(-w.x / eta, -w.y / eta, dr.select(below, out, -out))
    seen = dr.select(below, bottom, top)
    flat = mi.Vector3f(-w.x, -w.y, w.z)
    return Mirrors(seen, dr.select(out > 0.0, through, 0.0), flat, dr.normalize(bent), eta)
