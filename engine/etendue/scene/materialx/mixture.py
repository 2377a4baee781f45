"""Layers and stacks with arrays as parameters: the algebra, then packing into a material."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256

import numpy as np

from etendue.scene.material import (
    ALPHA_MIN,
    Channel,
    Interior,
    Layer,
    LayeredMaterial,
    LayerKind,
    ParameterTexture,
    Scalar,
    Stack,
)

Array = np.ndarray
WEIGHT_MIN = 1e-4  # stacks that never weigh more are dropped
FLAT = 1e-6  # a plane that varies less is a constant
_SURFACE = ("alpha", "normal", "tangent")
FIELDS = {
    LayerKind.BLACK: (),
    LayerKind.DIFFUSE: ("normal", "albedo", "roughness"),
    LayerKind.CONDUCTOR: (*_SURFACE, "f0", "f82", "f90"),
    LayerKind.DIELECTRIC: (
        *_SURFACE, "eta", "reflect_tint", "transmit_tint", "tau_absorb", "tau_scatter", "g",
        "film_eta", "film_thickness",
    ),
    LayerKind.OPEN: (),
}  # fmt: skip
_RANGES = {
    "alpha": (ALPHA_MIN, 1.0), "normal": (-20.0, 20.0), "albedo": (0.0, 1.0),
    "roughness": (0.0, 1.0), "f0": (0.0, 1.0), "f82": (0.0, 1.0), "f90": (0.0, 1.0),
    "eta": (0.2, 20.0), "reflect_tint": (0.0, 1.0), "transmit_tint": (0.0, 1.0),
    "tau_absorb": (0.0, 50.0), "tau_scatter": (0.0, 50.0), "g": (-0.99, 0.99),
    "film_eta": (1.0, 3.0), "film_thickness": (0.0, 5000.0),
}  # fmt: skip


def constant(*values: float) -> Array:
    """A (1, 1, k) array."""
    return np.array(values, np.float64).reshape(1, 1, -1)


@dataclass(frozen=True, eq=False)
class Lobe:
    """A layer whose parameters are arrays; `values` holds fields of `Layer`."""

    kind: LayerKind
    name: str
    values: Mapping[str, Array] = field(default_factory=dict)
    smooth: bool = False  # `Layer.smooth`
    passes: bool = False  # an interface below which, with nothing there, light goes on

    @property
    def opaque(self) -> bool:
        """Whether it ends a stack."""
        return self.kind != LayerKind.DIELECTRIC

    def changed(self, **values: Array) -> Lobe:
        """A copy with some parameters replaced."""
        return replace(self, values={**self.values, **values})


BLACK = Lobe(LayerKind.BLACK, "transmitted")


@dataclass(frozen=True, eq=False)
class Term:
    """A weighted stack under construction; open (see-through) until an opaque lobe ends it."""

    weight: Array = field(default_factory=lambda: constant(1.0))  # (h, w, 1 or 3)
    lobes: tuple[Lobe, ...] = ()  # top first
    sheen_color: Array = field(default_factory=lambda: constant(0.0, 0.0, 0.0))
    sheen_roughness: Array = field(default_factory=lambda: constant(0.3))

    @property
    def opaque(self) -> bool:
        """Whether the stack has its bottom."""
        return bool(self.lobes) and self.lobes[-1].opaque

    @property
    def has_sheen(self) -> bool:
        """Whether a sheen lies on it."""
        return bool((self.sheen_color > 0.0).any())


Mixture = tuple[Term, ...]


def scaled(terms: Mixture, factor: Array) -> Mixture:
    """Every weight times `factor`; terms that vanish are dropped."""
    if (factor == 1.0).all():
        return terms
    result = (replace(t, weight=t.weight * factor) for t in terms)
    return tuple(t for t in result if (t.weight > WEIGHT_MIN).any())


def mixed(foreground: Mixture, background: Mixture, amount: Array) -> Mixture:
    """amount fg + (1 - amount) bg, with `amount` clipped to [0, 1]."""
    amount = np.clip(amount, 0.0, 1.0)
    return scaled(foreground, amount) + scaled(background, 1.0 - amount)


def tinted(terms: Mixture, tint: Array) -> Mixture:
    """Reflected light times `tint` in [0, 1]; what an open term lets through is not changed."""
    tint = np.clip(tint, 0.0, 1.0)
    result: list[Term] = []
    for term in terms:
        if term.opaque:
            result += scaled((term,), tint)
            continue
        lobes = tuple(
            lobe.changed(reflect_tint=lobe.values["reflect_tint"] * tint) for lobe in term.lobes
        )
        result.append(replace(term, lobes=lobes, sheen_color=term.sheen_color * tint))
    return tuple(result)


def layered(top: Mixture, base: Mixture) -> Mixture:
    """`top` over `base`: open terms see the base through themselves, opaque ones hide it."""
    result: list[Term] = []
    for upper in top:
        if upper.opaque:
            result.append(upper)
            continue
        for lower in base:
            weight = upper.weight * lower.weight
            if not (weight > WEIGHT_MIN).any():
                continue
            colour, roughness = _joined_sheen(upper, lower)
            result.append(Term(weight, upper.lobes + lower.lobes, colour, roughness))
    return tuple(result)


def _joined_sheen(upper: Term, lower: Term) -> tuple[Array, Array]:
    if not lower.has_sheen:
        return upper.sheen_color, upper.sheen_roughness
    if not upper.has_sheen:
        return lower.sheen_color, lower.sheen_roughness
    colour = np.minimum(upper.sheen_color + lower.sheen_color, 1.0)
    return colour, 0.5 * (upper.sheen_roughness + lower.sheen_roughness)


def closed(terms: Mixture) -> Mixture:
    """Open stacks get a black bottom: light that passes them is lost. Empty ones vanish."""
    result = []
    for term in terms:
        if term.opaque:
            result.append(term)
        elif term.lobes or term.has_sheen:
            result.append(replace(term, lobes=(*term.lobes, BLACK)))
    return tuple(t for t in result if len(t.lobes) > 1 or t.lobes[0] is not BLACK or t.has_sheen)


@dataclass
class _Planes:
    """Distinct varying planes in order of first use."""

    shape: tuple[int, int]
    names: list[str] = field(default_factory=list)
    planes: list[Array] = field(default_factory=list)
    index: dict[bytes, int] = field(default_factory=dict)

    def scalar(self, plane: Array, name: str) -> Scalar:
        """A float when the (h, w) plane is constant, otherwise its channel."""
        if np.ptp(plane) <= FLAT:
            return float(plane.flat[0])
        full = np.ascontiguousarray(np.broadcast_to(plane, self.shape), np.float32)
        key = sha256(full.tobytes()).digest()
        if key not in self.index:
            self.index[key] = len(self.planes)
            self.planes.append(full)
            self.names.append(name)
        return Channel(self.index[key])

    def scalars(self, value: Array, name: str, count: int) -> tuple[Scalar, ...]:
        """One scalar per component; a single component stands for all."""
        value = np.broadcast_to(value, (*value.shape[:2], count))
        suffixes = {1: ("",), 2: (".x", ".y"), 3: (".r", ".g", ".b")}[count]
        return tuple(self.scalar(value[..., i], name + s) for i, s in enumerate(suffixes))


_COUNTS = {
    "alpha": 2, "normal": 2, "tangent": 2, "eta": 1, "tau_scatter": 1, "g": 1, "roughness": 1,
    "film_eta": 1, "film_thickness": 1,
}  # fmt: skip


def packed(
    name: str,
    terms: Mixture,
    resolution: int | tuple[int, int],
    notes: Iterable[str],
    source_hash: str,
    interior: Interior | None = None,
) -> LayeredMaterial:
    """Prune, deduplicate and store: constants as floats, everything else as channels."""
    shape = (resolution, resolution) if isinstance(resolution, int) else resolution
    planes = _Planes(shape)
    layers: dict[Layer, int] = {}
    stacks: dict[tuple[object, ...], tuple[Stack, Array]] = {}
    for term in closed(terms) or (Term(lobes=(BLACK,)),):
        indices = []
        for lobe in _needed(term.lobes):
            layer = _layer(lobe, planes)
            known = next(
                (k for k in layers if replace(k, name="") == replace(layer, name="")), None
            )
            indices.append(layers.setdefault(known or layer, len(layers)))
        colour = planes.scalars(np.clip(term.sheen_color, 0.0, 1.0), "sheen.color", 3)
        rough = planes.scalars(np.clip(term.sheen_roughness, 0.0, 1.0), "sheen.roughness", 1)[0]
        if colour == (0.0, 0.0, 0.0):
            rough = Stack.sheen_roughness
        stack = Stack((1.0, 1.0, 1.0), tuple(indices), colour, rough)  # type: ignore[arg-type]
        key = (stack.layers, colour, rough)
        weight = stacks[key][1] + term.weight if key in stacks else term.weight
        stacks[key] = (stack, weight)
    finished = tuple(
        replace(stack, weight=planes.scalars(weight, f"stack{i}.weight", 3))  # type: ignore[arg-type]
        for i, (stack, weight) in enumerate(stacks.values())
    )
    texture = ParameterTexture()
    if planes.planes:
        texture = ParameterTexture(tuple(planes.names), np.stack(planes.planes, axis=-1))
    notes = tuple(notes)
    return LayeredMaterial(name, tuple(layers), finished, texture, notes, source_hash, interior)


def _needed(lobes: tuple[Lobe, ...]) -> list[Lobe]:
    """Without interfaces that do nothing: index 1, clear, untinted."""
    return [lobe for lobe in lobes if lobe.opaque or not _is_identity(lobe)]


def _is_identity(lobe: Lobe) -> bool:
    v = lobe.values
    return bool(
        (np.abs(v["eta"] - 1.0) < 1e-4).all()
        and (v["tau_absorb"] < 1e-6).all()
        and (v["tau_scatter"] < 1e-6).all()
        and (v["transmit_tint"] > 1.0 - 1e-6).all()
        and "film_thickness" not in v
    )


def _layer(lobe: Lobe, planes: _Planes) -> Layer:
    stored: dict[str, object] = {}
    values = {k: v for k, v in lobe.values.items() if k in FIELDS[lobe.kind]}
    for key, (low, high) in _RANGES.items():
        if key in values:
            values[key] = np.clip(values[key], low, high)
    if "tangent" in values:
        values["tangent"] = _direction(values["tangent"], values["alpha"])
    for key, value in values.items():
        scalars = planes.scalars(value, f"{lobe.name}.{key}", _COUNTS.get(key, 3))
        stored[key] = scalars[0] if _COUNTS.get(key) == 1 else scalars
    return Layer(lobe.kind, lobe.name, smooth=lobe.smooth, **stored)  # type: ignore[arg-type]


def _direction(tangent: Array, alpha: Array) -> Array:
    """Unit tangent in the plane; +x where the lobe is isotropic anyway or none is given."""
    alpha = np.broadcast_to(alpha, (*alpha.shape[:2], 2))
    if (np.abs(alpha[..., 0] - alpha[..., 1]) < 1e-6).all():
        return constant(1.0, 0.0)
    length = np.sqrt((tangent**2).sum(axis=-1, keepdims=True))
    return np.where(length > 1e-6, tangent / np.maximum(length, 1e-6), constant(1.0, 0.0))
