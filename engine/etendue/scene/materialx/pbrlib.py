"""pbrlib BSDF graphs as stacks.

The tree is normalised into a weighted sum of stacks: `mix` and `add` become several terms,
`layer(top, base)` concatenates, `multiply` scales reflected light. Meanings follow the MaterialX
1.39 physically based shading nodes and their `genglsl` closures, with one difference: `layer`
is a random walk between real interfaces instead of albedo scaling, so

* a colour below dielectric interfaces is the colour seen from outside and the diffuse albedo is
  raised accordingly (`rough_base`),
* a volume below an interface is taken as one unit thick (optical depth = coefficient).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from etendue.core.errors import InputError
from etendue.scene.material import LayerKind
from etendue.scene.materialx.inputs import Inputs, conductor, dielectric, diffuse
from etendue.scene.materialx.mixture import (
    BLACK,
    Mixture,
    Term,
    constant,
    layered,
    mixed,
    tinted,
)
from etendue.scene.materialx.optics import (
    conductor_tints,
    eta_of_f0,
)
from etendue.scene.materialx.transmission import filmed, solid, thin_wall
from etendue.scene.rough_base import pile, split_base

Array = np.ndarray


def bsdf_mixture(inputs: Inputs, name: str, thin: bool = False) -> Mixture:
    """The BSDF connected to an input, with colours below interfaces turned into albedos.

    Below interfaces that transmit and have nothing below them lies a solid, or with `thin` air.
    """
    below = thin_wall() if thin else solid(constant(0.0, 0.0, 0.0))
    terms: list[Term] = []
    for term in _connected(inputs, name):
        open_ = not term.opaque and term.lobes and term.lobes[-1].passes
        terms += layered((term,), below) if open_ else (term,)
    return tuple(part for term in terms for part in _settled(term))


def _settled(term: Term) -> Mixture:
    """Albedo of a diffuse bottom from its observed colour and the interfaces above it."""
    if len(term.lobes) < 2 or not term.opaque or term.lobes[-1].kind != LayerKind.DIFFUSE:
        return (term,)
    *above, bottom = term.lobes
    interfaces = [(lobe.values["alpha"], lobe.values["eta"]) for lobe in above]
    whole, over = pile(*interfaces), pile(*interfaces[:-1])
    base = split_base(bottom.values["albedo"], whole, over, *interfaces[-1])
    covered = replace(term, lobes=(*above, bottom.changed(albedo=base.under)))
    bare = replace(bottom.changed(albedo=base.bare), name=f"{bottom.name}.bare")
    return mixed((covered,), (replace(term, lobes=(*above[:-1], bare)),), 1.0 - base.share)


def _connected(inputs: Inputs, name: str, over: bool = False) -> Mixture:
    """Terms of the BSDF connected to an input; nothing connected reflects nothing.

    `over`: something lies below it, so a generalised Schlick reflector is an interface.
    """
    source = _source(inputs, name)
    if source is None:
        return (Term(),)
    node, output, scope = source
    return _bsdf(inputs, node, output, scope, over)


def _source(inputs: Inputs, name: str) -> Any:
    socket = inputs.node.getInput(name)
    return None if socket is None else inputs.evaluator.source(socket, inputs.scope)


def _bsdf(parent: Inputs, node: Any, output: str, scope: Any, over: bool) -> Mixture:
    inputs = Inputs(parent.evaluator, node, scope)
    category = node.getCategory()
    with parent.evaluator.visiting(node, scope):
        if category in _LOBES:
            return _LOBES[category](inputs)
        if category in _OPERATORS:
            return _OPERATORS[category](inputs, over)
        inner = parent.evaluator.implementation(node, output, scope)
        if inner is not None:
            node, output, scope = inner
            return _bsdf(inputs, node, output, scope, over)
    raise InputError(
        f"{parent.evaluator.path}: '{node.getNamePath()}'",
        "is a BSDF that this program does not model",
        got=f"<{category}>",
        expected=", ".join((*_LOBES, *_OPERATORS)),
    )


def _covered(p: Inputs, term: Term) -> Mixture:
    """The term with the node's `weight` as coverage, see-through where it is not."""
    return mixed((term,), (Term(),), p["weight"])


def _diffuse(p: Inputs) -> Mixture:
    color = p.unit("weight") * p.unit("color")
    lobe = diffuse(p.node.getName(), color, p.unit("roughness"), p.normal("normal"))
    return (Term(lobes=(lobe,)),)


def _burley(p: Inputs) -> Mixture:
    p.remark("burley_diffuse_bsdf: not modelled; Oren-Nayar of the same roughness is used instead")
    return _diffuse(p)


def _subsurface(p: Inputs) -> Mixture:
    p.remark("subsurface_bsdf: not modelled; diffuse of its color is used instead")
    color = p.unit("weight") * p.unit("color")
    lobe = diffuse(p.node.getName(), color, constant(0.0), p.normal("normal"))
    return (Term(lobes=(lobe,)),)


def _translucent(p: Inputs) -> Mixture:
    p.remark("translucent_bsdf: not modelled; transmitted light is lost (black)")
    return (Term(lobes=(BLACK,)),)


def _thin_film(p: Inputs) -> None:
    if (p["thinfilm_thickness"] > 0.0).any():
        p.remark("thinfilm_thickness: not modelled; the film is left out")
    if (p["retroreflective"] > 0.0).any():
        p.remark("retroreflective: not modelled; the mirror direction is used")


def _mode(p: Inputs) -> str:
    mode = p.text("scatter_mode")
    if mode not in ("R", "T", "RT"):
        raise InputError(
            f"{p.evaluator.path}: '{p.node.getNamePath()}'",
            "unknown scatter_mode",
            got=mode,
            expected="R, T or RT",
        )
    return mode


def _dielectric(p: Inputs) -> Mixture:
    mode = _mode(p)
    lobe = dielectric(
        p.node.getName(), p["roughness"], p.normal("normal"), p.tangent("tangent"), p["ior"],
        tint=p["tint"] if mode == "R" else constant(1.0, 1.0, 1.0),
    )  # fmt: skip
    if mode == "R":
        _thin_film(p)
        return _covered(p, Term(lobes=(lobe,)))
    tints = {"transmit_tint": np.clip(p["tint"], 0.0, 1.0)}
    if mode == "T":
        tints["reflect_tint"] = constant(0.0, 0.0, 0.0)
    else:
        tints["reflect_tint"] = tints["transmit_tint"]
    lobe = replace(lobe.changed(**tints), passes=True)
    thickness = p["thinfilm_thickness"]
    return mixed(filmed(lobe, constant(1.0), thickness, p["thinfilm_ior"]), (Term(),), p["weight"])


def _conductor(p: Inputs) -> Mixture:
    _thin_film(p)
    f0, f82 = conductor_tints(p["ior"], p["extinction"])
    weight = p.unit("weight")
    lobe = conductor(
        p.node.getName(), p["roughness"], p.normal("normal"), p.tangent("tangent"),
        weight * f0, f82, weight * constant(1.0, 1.0, 1.0),
    )  # fmt: skip
    return (Term(lobes=(lobe,)),)


def _schlick(p: Inputs, over: bool) -> Mixture:
    """Alone a metal-like reflector; with something below it an interface."""
    _thin_film(p)
    p.note("exponent", "Schlick's 5 is used", off=5.0)
    mode = _mode(p)
    if mode != "R":
        p.remark("generalized_schlick_bsdf: transmitted light is lost (black)")
    if mode == "T":
        return (Term(lobes=(BLACK,)),)
    name, alpha = p.node.getName(), p["roughness"]
    normal, tangent = p.normal("normal"), p.tangent("tangent")
    f0, weight = p.unit("color0"), p.unit("weight")
    if over:
        level = f0.max(axis=-1, keepdims=True)
        tint = np.where(level > 0.0, f0 / np.maximum(level, 1e-9), 1.0)
        eta = eta_of_f0(level)
        return _covered(p, Term(lobes=(dielectric(name, alpha, normal, tangent, eta, tint=tint),)))
    f90 = weight * p.unit("color90")
    lobe = conductor(name, alpha, normal, tangent, weight * f0, p.unit("color82"), f90)
    return (Term(lobes=(lobe,)),)


def _sheen(p: Inputs) -> Mixture:
    color = p.unit("weight") * p.unit("color")
    return (Term(sheen_color=color, sheen_roughness=p.unit("roughness")),)


def _layer(p: Inputs, over: bool) -> Mixture:
    top = _connected(p, "top", over=True)
    socket = p.node.getInput("base")
    if socket is not None and socket.getType() == "VDF":
        return _with_volume(p, top)
    base = _connected(p, "base", over)
    if any(t.has_sheen for t in base) and any(t.lobes for t in top):
        p.remark("sheen below an interface: lies on top of the stack instead")
    return layered(top, base)


def _with_volume(p: Inputs, top: Mixture) -> Mixture:
    source = _source(p, "base")
    if source is None:
        return top
    node, _, scope = source
    volume = Inputs(p.evaluator, node, scope)
    category = node.getCategory()
    if category not in ("absorption_vdf", "anisotropic_vdf"):
        raise InputError(
            f"{p.evaluator.path}: '{node.getNamePath()}'",
            "is a volume that this program does not model",
            got=f"<{category}>",
            expected="absorption_vdf or anisotropic_vdf",
        )
    medium = {"tau_absorb": np.maximum(volume["absorption"], 0.0)}
    if category == "anisotropic_vdf":
        scattering = np.maximum(volume["scattering"], 0.0)
        medium["tau_scatter"] = scattering.mean(axis=-1, keepdims=True)
        medium["g"] = volume["anisotropy"]
    result: list[Term] = []
    for t in top:
        if t.opaque or not t.lobes:
            result.append(t)
        elif t.lobes[-1].passes:  # the inside of a solid
            if "tau_scatter" in medium and (medium["tau_scatter"] > 0.0).any():
                p.remark(f"{category}: light is absorbed inside, not scattered")
            result += layered((t,), solid(medium["tau_absorb"]))
        else:
            p.remark(f"{category}: taken as one unit thick below its interface; scattering is grey")
            result.append(replace(t, lobes=(*t.lobes[:-1], t.lobes[-1].changed(**medium))))
    return tuple(result)


def _mix(p: Inputs, over: bool) -> Mixture:
    """A side that never shows is not looked at, so that it leaves no notes."""
    amount = p.unit("mix")
    foreground = _connected(p, "fg", over) if (amount > 0.0).any() else ()
    background = _connected(p, "bg", over) if (amount < 1.0).any() else ()
    return mixed(foreground, background, amount)


def _add(p: Inputs, over: bool) -> Mixture:
    first, second = _connected(p, "in1", over), _connected(p, "in2", over)
    if not any(t.opaque for t in first + second):
        p.remark("add of two see-through lobes: the first lies on the second instead")
        return layered(first, second)
    return tuple(t for t in first + second if t.lobes or t.has_sheen)


def _multiply(p: Inputs, over: bool) -> Mixture:
    return tinted(_connected(p, "in1", over), p["in2"])


_LOBES: dict[str, Callable[[Inputs], Mixture]] = {
    "oren_nayar_diffuse_bsdf": _diffuse,
    "burley_diffuse_bsdf": _burley,
    "dielectric_bsdf": _dielectric,
    "conductor_bsdf": _conductor,
    "sheen_bsdf": _sheen,
    "subsurface_bsdf": _subsurface,
    "translucent_bsdf": _translucent,
}
_OPERATORS: dict[str, Callable[[Inputs, bool], Mixture]] = {
    "generalized_schlick_bsdf": _schlick,
    "layer": _layer,
    "mix": _mix,
    "add": _add,
    "multiply": _multiply,
}
