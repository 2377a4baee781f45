"""From a material node to stacks: finds the surface model and applies its mapping."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from etendue.core.errors import InputError
from etendue.scene.materialx.gltf_pbr import gltf_pbr
from etendue.scene.materialx.graph import Evaluator, Scope
from etendue.scene.materialx.inputs import Inputs
from etendue.scene.materialx.mixture import Mixture, mixed
from etendue.scene.materialx.open_pbr import open_pbr_surface
from etendue.scene.materialx.pbrlib import bsdf_mixture
from etendue.scene.materialx.standard_surface import standard_surface

MODELS: dict[str, Callable[[Inputs], Mixture]] = {
    "standard_surface": standard_surface,
    "open_pbr_surface": open_pbr_surface,
    "gltf_pbr": gltf_pbr,
}


def surface_mixture(evaluator: Evaluator, material: Any) -> Mixture:
    """The stacks of a material node (or of a surface shader standing alone)."""
    if material.getType() == "surfaceshader":
        return _shader(evaluator, material, "", None)
    displacement = material.getInput("displacementshader")
    if displacement is not None and evaluator.source(displacement, None):
        evaluator.notes["displacement: not modelled; the surface stays flat"] = None
    socket = material.getInput("surfaceshader")
    source = evaluator.source(socket, None) if socket is not None else None
    if source is None:
        raise InputError(
            f"{evaluator.path}: material '{material.getName()}'", "has no surface shader"
        )
    return _shader(evaluator, *source)


def _shader(evaluator: Evaluator, node: Any, output: str, scope: Scope | None) -> Mixture:
    inputs = Inputs(evaluator, node, scope)
    category = node.getCategory()
    if category in MODELS:
        inputs.require_numbers()
        return MODELS[category](inputs)
    if category == "mix":
        amount = inputs.unit("mix")
        foreground = _input_shader(inputs, "fg") if (amount > 0.0).any() else ()
        background = _input_shader(inputs, "bg") if (amount < 1.0).any() else ()
        return mixed(foreground, background, amount)
    if category == "surface":
        return _constructed(inputs)
    if category == "surface_unlit":
        inputs.remark("surface_unlit: emission is not modelled; the surface is black")
        return ()
    inner = evaluator.implementation(node, output, scope)
    if inner is None:
        raise InputError(
            f"{evaluator.path}: '{node.getNamePath()}'",
            "is a surface shader that this program does not know",
            got=f"<{category}>",
            expected=", ".join((*MODELS, "surface", "mix")),
        )
    return _shader(evaluator, *inner)


def _input_shader(inputs: Inputs, name: str) -> Mixture:
    socket = inputs.node.getInput(name)
    source = inputs.evaluator.source(socket, inputs.scope) if socket is not None else None
    return _shader(inputs.evaluator, *source) if source is not None else ()


def _constructed(inputs: Inputs) -> Mixture:
    """The pbrlib `surface` node: its BSDF; emission and opacity are only noted."""
    inputs.note("opacity", "the surface is opaque", off=1.0)
    if _emits(inputs):
        inputs.remark("edf: not modelled; no light is emitted")
    thin = bool((inputs["thin_walled"] > 0.5).all())
    return bsdf_mixture(inputs, "bsdf", thin)


def _emits(inputs: Inputs) -> bool:
    """Whether an emission is connected that is not plainly black."""
    socket = inputs.node.getInput("edf")
    source = inputs.evaluator.source(socket, inputs.scope) if socket is not None else None
    if source is None:
        return False
    node, _, scope = source
    uniform = node.getCategory() == "uniform_edf"
    return not uniform or bool((Inputs(inputs.evaluator, node, scope)["color"] > 0.0).any())
