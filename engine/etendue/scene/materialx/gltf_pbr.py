"""glTF 2.0 metallic-roughness with its extensions as stacks.

Clearcoat over {metal | dielectric over diffuse}, Khronos glTF 2.0 specification appendix B and
KHR_materials_{clearcoat, sheen, specular, ior, anisotropy}, with these readings:

* alpha = roughness^2; anisotropy, tangent and the dielectric's f0 come from the library's graph.
* The dielectric's index has the largest component of f0 as its normal reflectance, the others
  become a tint; the metal is Schlick's with f0 = base_color.
* `base_color` is the colour seen from outside (`rough_base`, as for Standard Surface).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from etendue.scene.materialx.inputs import Source, conductor, dielectric, dielectric_body
from etendue.scene.materialx.mixture import Lobe, Mixture, Term, constant, layered, mixed
from etendue.scene.materialx.optics import eta_of_f0
from etendue.scene.materialx.transmission import absorption_at, body, filmed, solid
from etendue.scene.rough_base import pile, split_base

CLEARCOAT_IOR = 1.5


def gltf_pbr(p: Source) -> Mixture:
    """clearcoat c: c {coat / base} + (1 - c) base, base: metallic and transmission mixes."""
    coat = p.unit("clearcoat")
    normal, alpha = p.normal("normal"), p.inner("roughness_uv")
    tangent = p.inner("selected_tangent")[..., :2]
    f0 = p.inner("dielectric_f0")
    level = f0.max(axis=-1, keepdims=True)
    tint = np.where(level > 0.0, f0 / np.maximum(level, 1e-9), 1.0)
    eta = eta_of_f0(level)
    interface = dielectric("specular", alpha, normal, tangent, eta, tint=tint)
    metal = conductor("metal", alpha, normal, tangent, p.unit("base_color"))

    lowest = alpha, eta
    above = p.inner("clearcoat_roughness_uv"), constant(CLEARCOAT_IOR)
    whole = pile(lowest).blended(pile(above, lowest), coat)
    base = split_base(p.unit("base_color"), whole, pile().blended(pile(above), coat), *lowest)
    through = _through(p, interface)
    opaque = dielectric_body(interface, base, constant(0.0), (Term(),), p["transmission"], through)
    whole = mixed((Term(lobes=(metal,)),), opaque, p["metallic"])
    _note(p)
    return layered(mixed(_clearcoat(p), (Term(),), coat), layered(_sheen(p), whole))


def _through(p: Source, interface: Lobe) -> Mixture:
    """KHR_materials_{transmission, volume, iridescence}; without thickness a thin wall."""
    if not (p["transmission"] > 0.0).any():
        return ()
    top = filmed(interface, p.unit("iridescence"), p["iridescence_thickness"], p["iridescence_ior"])
    if not (p["thickness"] > 0.0).any():
        return body(top, True, p.unit("base_color"), constant(0.0))
    absorption = absorption_at(p.unit("attenuation_color"), p["attenuation_distance"])
    tint = p.unit("base_color")
    tinted = tuple(replace(t, lobes=(t.lobes[0].changed(transmit_tint=tint),)) for t in top)
    return layered(tinted, solid(absorption))


def _clearcoat(p: Source) -> Mixture:
    lobe = dielectric(
        "clearcoat",
        p.inner("clearcoat_roughness_uv"),
        p.normal("clearcoat_normal"),
        p.tangent("tangent"),
        constant(CLEARCOAT_IOR),
    )
    return (Term(lobes=(lobe,)),)


def _sheen(p: Source) -> Mixture:
    color = p.unit("sheen_color")
    if not (color > 0.0).any():
        return (Term(),)
    if (p["clearcoat"] > 0.0).any():
        p.remark("sheen: lies on top of the stack instead of below the clearcoat")
    return (Term(sheen_color=color, sheen_roughness=p.unit("sheen_roughness") ** 2),)


def _note(p: Source) -> None:
    if (p["transmission"] < 1.0).any() or (p["metallic"] > 0.0).any():
        p.note("iridescence", "the film is left out of what is opaque")
    p.note("emissive", "no light is emitted")
    p.note("occlusion", "the light of the scene decides", off=1.0)
    if (p["alpha_mode"] != 0.0).any():
        p.note("alpha", "the surface is opaque", off=1.0)
