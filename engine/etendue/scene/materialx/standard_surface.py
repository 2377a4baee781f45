"""Autodesk Standard Surface as stacks.

Coat (dielectric, absorbing) over {metal | dielectric over diffuse}, after Georgiev et al. 2019,
"Autodesk Standard Surface", with these readings:

* Roughness, rotation and the metal's complex index come from the library's own graph
  (`roughness_anisotropy`, `rotate3d`, `artistic_ior`).
* `specular` scales the normal reflectance and so the index (OpenPBR's rule).
* `base_color` is the colour seen from outside: the diffuse albedo is raised to undo the internal
  reflection and the losses of all interfaces above it (`rough_base`). `specular_IOR` stays
  relative to air under a coat, as in the model's definition.
* `coat_color` is reached by light that crosses the coat twice.
"""

from __future__ import annotations

import numpy as np

from etendue.scene.materialx.inputs import (
    Inputs,
    coat_absorption,
    conductor,
    dielectric,
    dielectric_body,
)
from etendue.scene.materialx.mixture import Lobe, Mixture, Term, constant, layered, mixed
from etendue.scene.materialx.optics import (
    conductor_tints,
    eta_of_f0,
    f0_of_eta,
)
from etendue.scene.materialx.transmission import body, filmed
from etendue.scene.rough_base import pile, split_base

Array = np.ndarray


def standard_surface(p: Inputs) -> Mixture:
    """coat c: c {coat / base} + (1 - c) base, base: metalness and transmission mixes."""
    coat = p.unit("coat")
    normal, alpha, tangent = p.normal("normal"), p.inner("main_roughness"), _tangent(p)
    eta = eta_of_f0(f0_of_eta(p["specular_IOR"]) * np.maximum(p["specular"], 0.0))
    interface = dielectric("specular", alpha, normal, tangent, eta, tint=p["specular_color"])
    n, k = p.inner("artistic_ior", "ior"), p.inner("artistic_ior", "extinction")
    metal = conductor("metal", alpha, normal, tangent, *conductor_tints(n, k))

    lowest = alpha, eta
    above = p.inner("coat_roughness_vector"), p["coat_IOR"]
    whole = pile(lowest).blended(pile(above, lowest), coat)
    over = pile().blended(pile(above), coat)
    base = split_base(_observed_color(p), whole, over, *lowest)
    rough = p.unit("diffuse_roughness") * (1.0 - p.unit("subsurface"))
    through = _through(p, interface)
    opaque = dielectric_body(interface, base, rough, _sheen(p), p["transmission"], through)
    whole = mixed((Term(lobes=(metal,)),), opaque, p["metalness"])
    _note(p)
    return layered(mixed(_coat(p), (Term(),), coat), whole)


def _through(p: Inputs, interface: Lobe) -> Mixture:
    """The transmitting base: a film on the interface, colour inside or, for a thin wall, in it."""
    if not (p["transmission"] > 0.0).any():
        return ()
    thickness = p["thin_film_thickness"]
    top = filmed(interface, constant(1.0), thickness, p["thin_film_IOR"])
    thin = bool((p["thin_walled"] > 0.5).all())
    return body(top, thin, p.unit("transmission_color"), p["transmission_depth"])


def _tangent(p: Inputs) -> Array:
    return p.inner("main_tangent")[..., :2]


def _coat(p: Inputs) -> Mixture:
    lobe = dielectric(
        "coat",
        p.inner("coat_roughness_vector"),
        p.normal("coat_normal"),
        p.inner("coat_tangent")[..., :2],
        p["coat_IOR"],
        absorption=coat_absorption(p["coat_color"]),
    )
    return (Term(lobes=(lobe,)),)


def _observed_color(p: Inputs) -> Array:
    surface = np.maximum(p["base"], 0.0) * p.inner("coat_affected_diffuse_color")
    below = p.inner("coat_affected_subsurface_color")
    share = p.unit("subsurface")
    return surface * (1.0 - share) + below * share


def _sheen(p: Inputs) -> Mixture:
    color = p.unit("sheen") * p.unit("sheen_color")
    if not (color > 0.0).any():
        return (Term(),)
    if (p["specular"] > 0.0).any() or (p["coat"] > 0.0).any():
        p.remark("sheen: lies on top of the stack instead of below the specular interface")
    return (Term(sheen_color=color, sheen_roughness=p.unit("sheen_roughness")),)


def _note(p: Inputs) -> None:
    p.note("subsurface", "diffuse of subsurface_color is used instead")
    if (p["transmission"] > 0.0).any():
        p.note("transmission_scatter", "light is absorbed inside, not scattered")
        p.note("transmission_dispersion", "all wavelengths refract alike")
        p.note("transmission_extra_roughness", "transmission is as rough as reflection")
    if (p["transmission"] < 1.0).any() or (p["metalness"] > 0.0).any():
        p.note("thin_film_thickness", "the film is left out of what is opaque")
    p.note("emission", "no light is emitted")
    p.note("opacity", "the surface is opaque", off=1.0)
