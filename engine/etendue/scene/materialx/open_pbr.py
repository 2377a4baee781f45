"""OpenPBR Surface as stacks.

Fuzz, coat, {metal | dielectric over diffuse}, after Andersson et al. 2024, "OpenPBR Surface
specification" 1.1, with these readings:

* alpha = roughness^2 with the specification's anisotropy; the roughening of the base by the coat
  is not applied to parameters, the walk through the coat does it.
* The index of the base under a coat is relative to the coat and `specular_weight` modulates it:
  both are taken from the library's graph (`modulated_eta_s`).
* Metal is F82-tint: f0 = base_weight base_color, f82 = specular_color, times specular_weight.
* `base_color` is what is seen through the base's interface, so the diffuse albedo is raised
  (`rough_base`). `coat_darkening` = 1 is what a smooth coat does physically; smaller values
  raise the diffuse albedo further, to none of it at 0.
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
from etendue.scene.materialx.transmission import body, filmed
from etendue.scene.rough_base import Base, pile, split_base

Array = np.ndarray


def open_pbr_surface(p: Inputs) -> Mixture:
    """fuzz / (coat c: c {coat / base} + (1 - c) base), base: metalness and transmission mixes."""
    coat = p.unit("coat_weight")
    normal, tangent = p.normal("geometry_normal"), p.tangent("geometry_tangent")
    alpha = anisotropic_alpha(p["specular_roughness"], p["specular_roughness_anisotropy"])
    eta = p.inner("modulated_eta_s")
    interface = dielectric("specular", alpha, normal, tangent, eta, tint=p["specular_color"])
    weight = p.unit("specular_weight")
    reflectivity = p.unit("base_weight") * p.unit("base_color")
    metal = conductor(
        "metal", alpha, normal, tangent, weight * reflectivity, p.unit("specular_color"),
        weight * np.ones((1, 1, 3)),
    )  # fmt: skip
    base = _base(p, alpha, eta, coat)
    through = _through(p, interface)
    opaque = dielectric_body(
        interface, base, _roughness(p), (Term(),), p["transmission_weight"], through
    )
    whole = mixed((Term(lobes=(metal,)),), opaque, p["base_metalness"])
    _note(p)
    return layered(_fuzz(p), layered(mixed(_coat(p), (Term(),), coat), whole))


def anisotropic_alpha(roughness: Array, anisotropy: Array) -> Array:
    """alpha_t = r^2 sqrt(2 / (1 + (1 - a)^2)), alpha_b = (1 - a) alpha_t (OpenPBR 1.1)."""
    roughness = np.clip(roughness, 0.0, 1.0)
    inverse = 1.0 - np.clip(anisotropy, 0.0, 1.0)
    along = roughness**2 * np.sqrt(2.0 / (1.0 + inverse**2))
    return np.concatenate(np.broadcast_arrays(along, along * inverse), axis=-1)


def _coat(p: Inputs) -> Mixture:
    lobe = dielectric(
        "coat",
        _coat_alpha(p),
        p.normal("geometry_coat_normal"),
        p.tangent("geometry_coat_tangent"),
        p["coat_ior"],
        absorption=coat_absorption(p["coat_color"]),
    )
    return (Term(lobes=(lobe,)),)


def _coat_alpha(p: Inputs) -> Array:
    return anisotropic_alpha(p["coat_roughness"], p["coat_roughness_anisotropy"])


def _base(p: Inputs, alpha: Array, eta: Array, coat: Array) -> Base:
    """The colour through smooth interfaces, darkened as asked for, then shown by rough ones."""
    share = p.unit("subsurface_weight")
    observed = p.unit("base_weight") * p.unit("base_color") * (1.0 - share)
    observed = observed + p.unit("subsurface_color") * share
    lowest, above, smooth = (alpha, eta), (_coat_alpha(p), p["coat_ior"]), constant(0.0)
    alone = pile((smooth, eta))
    coated = alone.blended(pile((smooth, p["coat_ior"]), (smooth, eta)), coat)
    undone = alone.blended(coated, 1.0 - p.unit("coat_darkening"))
    whole = pile(lowest).blended(pile(above, lowest), coat)
    over = pile().blended(pile(above), coat)
    return split_base(coated.shown(undone.albedo(observed)), whole, over, *lowest)


def _through(p: Inputs, interface: Lobe) -> Mixture:
    """The transmitting base: a film on the interface, colour inside or, for a thin wall, in it."""
    if not (p["transmission_weight"] > 0.0).any():
        return ()
    thickness = 1000.0 * np.maximum(p["thin_film_thickness"], 0.0)  # given in micrometres
    top = filmed(interface, p.unit("thin_film_weight"), thickness, p["thin_film_ior"])
    thin = bool((p["geometry_thin_walled"] > 0.5).all())
    return body(top, thin, p.unit("transmission_color"), p["transmission_depth"])


def _roughness(p: Inputs) -> Array:
    return p.unit("base_diffuse_roughness") * (1.0 - p.unit("subsurface_weight"))


def _fuzz(p: Inputs) -> Mixture:
    color = p.unit("fuzz_weight") * p.unit("fuzz_color")
    if not (color > 0.0).any():
        return (Term(),)
    return (Term(sheen_color=color, sheen_roughness=p.unit("fuzz_roughness")),)


def _note(p: Inputs) -> None:
    p.note("subsurface_weight", "diffuse of subsurface_color is used instead")
    through = p["transmission_weight"]
    if (through > 0.0).any():
        p.note("transmission_scatter", "light is absorbed inside, not scattered")
        p.note("transmission_dispersion_scale", "all wavelengths refract alike")
    if (through < 1.0).any() or (p["base_metalness"] > 0.0).any():
        p.note("thin_film_weight", "the film is left out of what is opaque")
    p.note("emission_luminance", "no light is emitted")
    p.note("geometry_opacity", "the surface is opaque", off=1.0)
    if not (through > 0.0).all():
        p.note("geometry_thin_walled", "the opaque surface is the boundary of a solid")
    if (p["coat_weight"] > 0.0).any() and (p["base_metalness"] > 0.0).any():
        p.note("coat_darkening", "metal under the coat is darkened in full", off=1.0)
