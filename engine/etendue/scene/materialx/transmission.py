"""Light that passes through a surface: what lies below open stacks, and their last touches.

A term that ends in an OPEN lobe transmits. Two kinds of bottom:

* `solid(absorption)`: the inside of a body; what the body absorbs goes to `Interior`.
* `thin_wall()`: air; `finished` adds the wall's second face, which undoes the refraction.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from etendue.scene.material import ALPHA_MIN, Interior, LayerKind
from etendue.scene.materialx.inputs import MATCHED, dielectric
from etendue.scene.materialx.mixture import Lobe, Mixture, Term, constant, layered, mixed

Array = np.ndarray
SMOOTH_ALPHA = 0.5 * ALPHA_MIN  # smoother interfaces of open stacks are mirrors
COLOR_MIN = 1e-3
ROUGH_FILM = "thin film between equal indices: taken as smooth"
NO_SHEEN = "sheen: left out where the surface transmits"
VARYING = "absorption inside the solid: its mean over the surface is used"


def solid(absorption: Array) -> Mixture:
    """The inside of a body with an absorption coefficient (h, w, 3) per unit of length."""
    return (Term(lobes=(Lobe(LayerKind.OPEN, "inside", {"absorption": absorption}),)),)


def thin_wall() -> Mixture:
    """The far side of a wall without thickness."""
    return (Term(lobes=(Lobe(LayerKind.OPEN, "outside"),)),)


def absorption_at(color: Array, depth: Array) -> Array:
    """-ln(color) / depth where depth > 0: Beer's coefficient that leaves `color` at `depth`."""
    color = np.clip(color, COLOR_MIN, 1.0)
    return np.where(depth > 0.0, 0.0 - np.log(color) / np.maximum(depth, 1e-9), 0.0)


def wall_absorption(color: Array) -> Array:
    """Optical depth -ln(color): light crosses a thin wall once."""
    return 0.0 - np.log(np.clip(color, COLOR_MIN, 1.0))


def filmed(interface: Lobe, weight: Array, thickness: Array, eta: Array) -> Mixture:
    """`interface` with a thin film of `thickness` nanometres on the share `weight` of it."""
    bare = (Term(lobes=(interface,)),)
    if not ((weight > 0.0) & (thickness > 0.0)).any():
        return bare
    film = interface.changed(film_thickness=thickness, film_eta=eta)
    return mixed((Term(lobes=(film,)),), bare, weight)


def body(interface: Mixture, thin: bool, color: Array, depth: Array) -> Mixture:
    """`interface` over the inside of glass that is `color` at `depth` (0: tinted at the surface).

    A thin wall has `color` for light that passes straight through, whatever the depth.
    """
    if thin:
        tint = {"tau_absorb": wall_absorption(color)}
        return layered(_changed(interface, tint), thin_wall())
    tint = {"transmit_tint": np.where(depth > 0.0, 1.0, np.clip(color, 0.0, 1.0))}
    return layered(_changed(interface, tint), solid(absorption_at(color, depth)))


def _changed(terms: Mixture, values: dict[str, Array]) -> Mixture:
    return tuple(replace(t, lobes=(*t.lobes[:-1], t.lobes[-1].changed(**values))) for t in terms)


def finished(terms: Mixture, notes: dict[str, None]) -> tuple[Mixture, Interior | None]:
    """Open terms with their last interface and their mirrors marked; the body they bound."""
    result: list[Term] = []
    inside: list[tuple[Array, Array]] = []
    for term in terms:
        if not term.lobes or term.lobes[-1].kind != LayerKind.OPEN:
            result.append(term)
            continue
        *above, bottom = term.lobes
        absorption = bottom.values.get("absorption")
        if absorption is None:
            above += _second_face(above)
        else:
            inside.append((term.weight.mean(), absorption))
        if term.has_sheen:
            notes[NO_SHEEN] = None
        lobes = (*_mirrors(above, notes), Lobe(LayerKind.OPEN, "open"))
        result.append(Term(term.weight, lobes))
    return tuple(result), _interior(inside, notes)


def _second_face(above: list[Lobe]) -> list[Lobe]:
    """The interface that returns to the index outside, as rough as the one above it."""
    product = constant(1.0)
    for lobe in above:
        product = product * lobe.values["eta"]
    if not above or (np.abs(product - 1.0) < MATCHED).all():
        return []
    v = above[-1].values
    return [dielectric("second face", v["alpha"], v["normal"], v["tangent"], 1.0 / product)]


def _mirrors(lobes: list[Lobe], notes: dict[str, None]) -> list[Lobe]:
    """All of the lobes marked smooth where all of them are, in one frame."""
    for lobe in lobes:
        v, first = lobe.values, lobes[0].values["normal"]
        fine = bool((v["alpha"] < SMOOTH_ALPHA).all())
        if not fine and (np.abs(v["eta"] - 1.0) < MATCHED).all():
            fine = True
            if "film_thickness" in v:
                notes[ROUGH_FILM] = None
        same = v["normal"].shape == first.shape and (v["normal"] == first).all()
        if not fine or not same:
            return lobes
    return [replace(lobe, smooth=True) for lobe in lobes]


def _interior(found: list[tuple[Array, Array]], notes: dict[str, None]) -> Interior | None:
    if not found:
        return None
    if any(np.ptp(a, axis=(0, 1)).max() > 1e-6 for _, a in found):
        notes[VARYING] = None
    total = sum(float(w) for w, _ in found)
    mean = sum(float(w) * a.mean((0, 1)) for w, a in found) / max(total, 1e-9)
    r, g, b = (float(x) for x in np.broadcast_to(mean, (3,)))
    return Interior((r, g, b))
