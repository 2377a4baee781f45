"""Reading the inputs of a surface shader or BSDF node as checked arrays, and noting the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from etendue.core.errors import InputError
from etendue.scene.material import LayerKind
from etendue.scene.materialx.graph import COMPONENTS, Evaluator, Scope
from etendue.scene.materialx.mixture import (
    Lobe,
    Mixture,
    Term,
    constant,
    layered,
    mixed,
)
from etendue.scene.rough_base import Base

Array = np.ndarray
COAT_COLOR_MIN = 1e-3
MATCHED = 5e-3  # |eta - 1| of an interface without lobes (`bsdf.dielectric.DELTA_ETA`)


class Source(Protocol):
    """Where a model's inputs come from: a node of a document, or values of another format."""

    def __getitem__(self, name: str) -> Array:
        """The value (h, w, components) of an input."""
        ...

    def unit(self, name: str) -> Array:
        """The same clipped to [0, 1]."""
        ...

    def inner(self, name: str, output: str = "") -> Array:
        """What the library's own graph of the model computes on the way."""
        ...

    def normal(self, name: str) -> Array:
        """Slopes (x/z, y/z) of a normal."""
        ...

    def note(self, name: str, instead: str, off: float = 0.0) -> None:
        """Record that an input is not modelled, unless it is everywhere `off`."""
        ...

    def remark(self, text: str) -> None:
        """Record one line for the user, once."""
        ...

    def tangent(self, name: str) -> Array:
        """The tangent's direction in the surface plane."""
        ...


@dataclass(frozen=True)
class Inputs:
    """The inputs of one node in one scope."""

    evaluator: Evaluator
    node: Any
    scope: Scope | None

    def __getitem__(self, name: str) -> Array:
        """Evaluated input; NaN is an `InputError`, infinities become large numbers."""
        return self._checked(name, self.evaluator.input(self.node, name, self.scope))

    def require_numbers(self) -> None:
        """Evaluate every given input, so that a NaN is reported with the input it enters by."""
        for element in self.node.getInputs():
            if element.getType() in COMPONENTS:
                self[element.getName()]

    def inner(self, name: str, output: str = "") -> Array:
        """A value that the library's own graph of this node computes on the way."""
        return self._checked(name, self.evaluator.inner(self.node, name, self.scope, output))

    def unit(self, name: str) -> Array:
        """Input clipped to [0, 1]."""
        return np.clip(self[name], 0.0, 1.0)

    def text(self, name: str) -> str:
        """A string input."""
        return str(self.evaluator.input(self.node, name, self.scope))

    def normal(self, name: str) -> Array:
        """Slopes (x/z, y/z) of a normal; the patch's own normal is +z."""
        n = self[name]
        return n[..., :2] / np.maximum(n[..., 2:3], 0.05)

    def tangent(self, name: str) -> Array:
        """The tangent's direction in the surface plane."""
        return self[name][..., :2]

    def note(self, name: str, instead: str, off: float = 0.0) -> None:
        """Record that an input is not modelled, unless it is everywhere `off`."""
        value = self[name]
        if (value == off).all():
            return
        shown = "textured"
        if value.shape[:2] == (1, 1):
            shown = ", ".join(f"{v:g}" for v in value.flat)
        self.remark(f"{name} = {shown}: not modelled; {instead}")

    def remark(self, text: str) -> None:
        """Record one line for the user, once."""
        self.evaluator.notes[text] = None

    def _checked(self, name: str, value: Array) -> Array:
        if np.isnan(value).any():
            raise InputError(
                f"{self.evaluator.path}: input '{name}' of '{self.node.getNamePath()}'",
                "evaluates to NaN",
                fix="Look for a division by zero or a root of a negative number in its graph",
            )
        return np.nan_to_num(value, posinf=1e30, neginf=-1e30)


def dielectric(
    name: str,
    alpha: Array,
    normal: Array,
    tangent: Array,
    eta: Array,
    *,
    tint: Array | None = None,
    absorption: Array | None = None,
) -> Lobe:
    """An interface with an optionally absorbing medium below it."""
    values = {
        "alpha": alpha,
        "normal": normal,
        "tangent": tangent,
        "eta": eta,
        "reflect_tint": constant(1.0, 1.0, 1.0) if tint is None else np.clip(tint, 0.0, 1.0),
        "transmit_tint": constant(1.0, 1.0, 1.0),
        "tau_absorb": constant(0.0, 0.0, 0.0) if absorption is None else absorption,
        "tau_scatter": constant(0.0),
        "g": constant(0.0),
    }
    return Lobe(LayerKind.DIELECTRIC, name, values)


def conductor(
    name: str,
    alpha: Array,
    normal: Array,
    tangent: Array,
    f0: Array,
    f82: Array | None = None,
    f90: Array | None = None,
) -> Lobe:
    """An opaque metal-like reflector."""
    white = constant(1.0, 1.0, 1.0)
    values = {
        "alpha": alpha,
        "normal": normal,
        "tangent": tangent,
        "f0": f0,
        "f82": white if f82 is None else f82,
        "f90": white if f90 is None else f90,
    }
    return Lobe(LayerKind.CONDUCTOR, name, values)


def diffuse(name: str, albedo: Array, roughness: Array, normal: Array) -> Lobe:
    """An opaque diffuse base."""
    values = {"albedo": albedo, "roughness": np.clip(roughness, 0.0, 1.0), "normal": normal}
    return Lobe(LayerKind.DIFFUSE, name, values)


def dielectric_body(
    interface: Lobe,
    base: Base,
    roughness: Array,
    between: Mixture,
    transmission: Array,
    through: Mixture,
) -> Mixture:
    """`interface` over `between` over the diffuse base, the base's bare share without interface.

    The share `transmission` is `through` instead.
    """
    normal = interface.values["normal"]
    under, bare = (
        layered(between, (Term(lobes=(diffuse(name, albedo, roughness, normal),)),))
        for name, albedo in (("base", base.under), ("bare", base.bare))
    )
    top = (Term(lobes=(interface,)),)
    opaque = mixed(layered(top, under), bare, 1.0 - base.share)
    return mixed(through, opaque, transmission)


def coat_absorption(color: Array) -> Array:
    """Optical depth -ln(color)/2: light crosses the coat twice at normal incidence."""
    return 0.0 - 0.5 * np.log(np.clip(color, COAT_COLOR_MIN, 1.0))  # 0 - 0, never -0
