"""Scatterers of a scene: what a radar's rays meet, and how much of it comes back.

A ray stands for a patch of solid angle dW, weighted by a hat that ends in the middles of its
neighbours, so that patches add up to the surface. Physical optics gives its amplitude,
sqrt(RCS) = (2 sqrt(pi) / lambda) |Gamma| r^2 dW sinc^2(x_u) sinc^2(x_v), where x = 2 (dr/du) du /
lambda is by how many wavelengths the way there and back grows across the patch: the hat's transform
(Knott et al. 2004, Sec. 5.2, for the integral). What roughness takes from that scatters as a
Lambertian surface does, RCS = 4 rho cos r^2 dW, with a random phase.

Where a surface lets waves through, the ray goes on straight ahead, delayed and weaker. With one
bounce, it also goes on from the first surface as from a mirror: what it meets there is seen in the
mirror both ways, or one way in the mirror and straight the other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from etendue.render.radar.cast import Beams, Hits, Moves, Pose, beams, cast, degrees_of
from etendue.render.radar.material import MATERIALS, Material, material_of
from etendue.render.radar.sensor import Radar
from etendue.render.radar.signal import Points, Track

SKIN = 1e-3  # m that a ray goes on behind a surface
FLAT = 0.5  # curvature times distance
WEAKEST = 1e-4  # amplitude, two ways, below which a ray is not followed any more


@dataclass(frozen=True)
class Casting:
    """How a scene is looked at."""

    rays: tuple[int, int] = (384, 192)
    azimuth: float = 120.0  # degrees, opening angles
    elevation: float = 70.0
    layers: int = 4  # surfaces on a ray
    bounces: int = 0  # 1: multipath
    most: int = 4000  # scatterers that are kept
    seed: int = 0  # of diffuse phases and of what is kept


@dataclass(frozen=True)
class Look:
    """A radar in a scene: everything that `scatterers_of` needs to know."""

    scene: Any
    radar: Radar
    pose: Pose
    moves: Moves | None = None
    chosen: Mapping[str, str] | None = None  # pattern of shapes' names -> material
    table: Mapping[str, Material] = field(default_factory=lambda: MATERIALS)

    def groups(self, shapes: np.ndarray) -> list[tuple[np.ndarray, Material]]:
        """Rows by the material that their shapes have; those of no shape (-1) are left out."""
        from etendue.render.groups import shown_shapes

        names = [str(shape.id()) for shape in shown_shapes(self.scene)]
        found: dict[str, list[int]] = {}
        for k in np.unique(shapes[shapes >= 0]):
            found.setdefault(material_of(names[k], self.chosen or {}, self.table), []).append(k)
        return [(np.flatnonzero(np.isin(shapes, ks)), self.table[m]) for m, ks in found.items()]


def scatterers_of(look: Look, casting: Casting) -> Points:
    """Scatterers of a scene, in the radar's frame; amplitudes in sqrt(W), the strongest kept."""
    grid = beams(casting.rays, degrees_of(casting.azimuth), degrees_of(casting.elevation))
    count, rng = len(grid.directions), np.random.default_rng(casting.seed)
    front = Front(
        _patches(grid), np.zeros((count, 3)), np.ones(count), np.zeros(count), np.full(count, -1)
    )
    rows = np.arange(count if look.scene.shapes() else 0)
    found: list[Points] = []
    for layer in range(max(1, casting.layers)):
        phases = rng.uniform(size=(1 + 2 * casting.bounces, count))
        if not len(rows):
            break
        hits = cast(look.scene, look.pose, front.places, front.patch.directions, look.moves or {})
        met = np.flatnonzero(np.isfinite(hits.distance))
        hits, front, rows = hits.chosen(met), front.chosen(met), rows[met]
        front = _arrived(look, front, hits)
        found.append(_seen(look, front, hits, phases[0, rows]))
        if casting.bounces and layer == 0:
            found += _bounced(look, front, hits, phases[1:, rows])
        front = _crossed(look, front, hits)
        go = np.flatnonzero(front.weight > WEAKEST)
        front, rows = front.chosen(go), rows[go]
    return thinned(joined(found), casting.most, casting.seed)


@dataclass(frozen=True)
class Patches:
    """What rays stand for: directions (n, 3), how these change with u and v, solid angles."""

    directions: np.ndarray
    turned: tuple[np.ndarray, np.ndarray]  # d(direction) / du and / dv, (n, 3)
    steps: tuple[float, float]
    solid: np.ndarray  # sr

    def chosen(self, rows: np.ndarray) -> Patches:
        """Some of them."""
        turned = (self.turned[0][rows], self.turned[1][rows])
        return Patches(self.directions[rows], turned, self.steps, self.solid[rows])


@dataclass(frozen=True)
class Front:
    """How far rays have come."""

    patch: Patches
    places: np.ndarray  # where they go on from, (n, 3)
    weight: np.ndarray  # amplitude left for the way there and back
    detour: np.ndarray  # m by which the way there seems longer
    inside: np.ndarray  # the shape that a ray is in, -1: in the air

    def chosen(self, rows: np.ndarray) -> Front:
        """Some of them."""
        return Front(self.patch.chosen(rows), self.places[rows], self.weight[rows],
                     self.detour[rows], self.inside[rows])  # fmt: skip


def _patches(grid: Beams) -> Patches:
    w, u, v = grid.directions.T
    one, none = np.ones_like(u), np.zeros_like(u)
    turned = (np.stack([-u / w, one, none], -1), np.stack([-v / w, none, one], -1))
    return Patches(grid.directions, turned, grid.steps, grid.solid)


def _arrived(look: Look, front: Front, hits: Hits) -> Front:
    """What is lost and gained in what a ray has come through since its last surface."""
    weight, detour = front.weight.copy(), front.detour.copy()
    for rows, material in look.groups(front.inside):
        left, longer = material.through(look.radar.waveform.centre, hits.distance[rows] + SKIN)
        weight[rows] *= left**2
        detour[rows] += longer
    return Front(front.patch, front.places, weight, detour, front.inside)


def _crossed(look: Look, front: Front, hits: Hits) -> Front:
    """Rays on the other side of a surface: 1 - Gamma^2 for each face, both ways together."""
    frequency, weight, detour = look.radar.waveform.centre, front.weight.copy(), front.detour.copy()
    facing = _dot(hits.normal, front.patch.directions)
    inside = np.where(facing < 0, hits.shape, -1)
    for rows, material in look.groups(hits.shape):
        passed = 0.0 if material.opaque else 1 - material.reflected(frequency) ** 2
        weight[rows] *= passed
        if material.thickness:
            n = np.sqrt(material.epsilon(frequency)).real
            sine = np.sqrt(np.maximum(1 - facing[rows] ** 2, 0)) / n
            left, longer = material.through(frequency, material.thickness / np.sqrt(1 - sine**2))
            weight[rows] *= passed * left**2
            detour[rows] += longer
            inside[rows] = front.inside[rows]
    places = hits.track.places + SKIN * front.patch.directions
    return Front(front.patch, places, weight, detour, inside)


def _seen(look: Look, front: Front, hits: Hits, phase: np.ndarray) -> Points:
    """What comes straight back from hits."""
    distance = np.linalg.norm(hits.track.places, axis=1)
    slope = _slopes(front.patch, distance, hits.normal)
    roots = _roots(look, front.patch, hits, distance, 2 * slope, phase)
    far = hits.track.places + front.detour[:, None] * front.patch.directions
    track = Track(far, hits.track.velocities, hits.track.accelerations)
    received = look.radar.link.received(look.radar.waveform.wavelength, far, far)
    return Points(track, front.weight * roots * received)


def _bounced(look: Look, front: Front, hits: Hits, phases: np.ndarray) -> list[Points]:
    """What is seen in first surfaces as in mirrors: both ways, and one way and straight back."""
    frequency, wavelength = look.radar.waveform.centre, look.radar.waveform.wavelength
    n, d = hits.normal, front.patch.directions
    ahead = d - 2 * _dot(d, n)[:, None] * n
    other = cast(look.scene, look.pose, hits.track.places + SKIN * ahead, ahead, look.moves or {})
    mirror = np.zeros(len(d))
    for rows, material in look.groups(hits.shape):
        coherent = material.coherent(frequency, np.abs(_dot(d, n)[rows]))
        mirror[rows] = material.reflected(frequency) * coherent
    good = np.flatnonzero(
        np.isfinite(other.distance) & (front.weight * mirror > WEAKEST) & _flat(hits)
    )
    first, other, front = hits.chosen(good), other.chosen(good), front.chosen(good)
    n, mirror, patch = n[good], mirror[good] * front.weight, front.patch
    distance = np.linalg.norm(first.track.places, axis=1) + other.distance + SKIN
    image = _mirrored(first, other, n, patch.directions * distance[:, None])
    turned = other.normal - 2 * _dot(other.normal, n)[:, None] * n
    slope = _slopes(patch, distance, turned)
    roots = _roots(look, patch, other, distance, 2 * slope, phases[0, good])
    received = look.radar.link.received(wavelength, image.places, image.places)
    found = [Points(image, mirror**2 * roots * received)]

    back = other.track.places
    straight = np.flatnonzero(_visible(look, back))
    if not len(straight):
        return found
    image, first, other = image.chosen(straight), first.chosen(straight), other.chosen(straight)
    patch, n, back, mirror = (patch.chosen(straight), n[straight], back[straight], mirror[straight])
    slope, distance = slope[:, straight], distance[straight]
    unit = back / np.linalg.norm(back, axis=1, keepdims=True)
    both = []
    for k, turn in enumerate(patch.turned):
        moved = turn * distance[:, None] + patch.directions * slope[k][:, None]
        moved = moved - 2 * _dot(moved, n)[:, None] * n
        both.append(slope[k] + _dot(moved, unit))
    alike = np.where(_flat(other), 0.5, 1.0)  # two mirrors: met in either order
    roots = _roots(
        look, patch, other, distance, np.array(both), phases[1, good][straight], (-unit, alike)
    )
    received = look.radar.link.received(wavelength, image.places, back)
    amplitudes = mirror * roots * received
    return [*found, Points(image, amplitudes, other.track), Points(other.track, amplitudes, image)]


def _flat(hits: Hits) -> np.ndarray:
    """Whether surfaces mirror as planes do: r curvature is small."""
    return hits.curvature * np.linalg.norm(hits.track.places, axis=1) < FLAT


def _visible(look: Look, places: np.ndarray) -> np.ndarray:
    """Whether nothing stands between the radar and places (n, 3)."""
    far = np.linalg.norm(places, axis=1)
    seen = cast(look.scene, look.pose, np.zeros_like(places), places / far[:, None], {})
    return seen.distance > far - 5 * SKIN


def _mirrored(first: Hits, other: Hits, n: np.ndarray, places: np.ndarray) -> Track:
    """Points behind a mirror that moves but does not turn."""

    def through(vectors: np.ndarray, mirrors: np.ndarray) -> np.ndarray:
        return vectors + 2 * _dot(mirrors - vectors, n)[:, None] * n

    one, two = other.track, first.track
    return Track(places, through(one.velocities, two.velocities),
                 through(one.accelerations, two.accelerations))  # fmt: skip


def _slopes(patch: Patches, distance: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """dr / du and dr / dv (2, n) of planes with these normals, r (n,) away."""
    facing = _dot(normal, patch.directions)
    facing = np.where(np.abs(facing) < 1e-6, 1e-6, facing)
    return np.array([-distance * _dot(normal, turn) / facing for turn in patch.turned])


def _roots(
    look: Look,
    patch: Patches,
    hits: Hits,
    distance: np.ndarray,
    slopes: np.ndarray,
    phase: np.ndarray,
    leaving: tuple[np.ndarray, np.ndarray] | None = None,
) -> np.ndarray:
    """Complex roots of RCS in m: specular and diffuse together.

    `slopes` are those of the whole way; `leaving` has directions (n, 3) in which waves go and
    factors of their specular part, None: back, and 1.
    """
    frequency, wavelength = look.radar.waveform.centre, look.radar.waveform.wavelength
    x = slopes * np.array(patch.steps)[:, None] / wavelength
    area = distance**2 * patch.solid  # seen from the radar
    whole = 2 * math.sqrt(math.pi) / wavelength * area * np.prod(np.sinc(x) ** 2, axis=0)
    out, part = (patch.directions, 1.0) if leaving is None else leaving
    whole, cosine = part * whole, np.abs(_dot(hits.normal, out))
    roots = np.zeros(len(distance), complex)
    for rows, material in look.groups(hits.shape):
        reflected = material.reflected(frequency)
        coherent = material.coherent(frequency, cosine[rows])
        rough = np.sqrt(4 * (1 - coherent**2) * cosine[rows] * area[rows])
        turn = np.exp(2j * np.pi * phase[rows])
        roots[rows] = reflected * (coherent * whole[rows] + rough * turn)
    return roots


def joined(found: list[Points]) -> Points:
    """All of them as one."""
    parts = found or [Points(Track(*(np.zeros((0, 3)) for _ in range(3))), np.zeros(0, complex))]
    amplitudes = np.concatenate([part.amplitudes for part in parts])
    there = _tracks([part.there for part in parts])
    if all(part.back is None for part in parts):
        return Points(there, amplitudes)
    return Points(there, amplitudes, _tracks([part.back or part.there for part in parts]))


def _tracks(tracks: list[Track]) -> Track:
    rows = ([t.places for t in tracks], [t.velocities for t in tracks],
            [t.accelerations for t in tracks])  # fmt: skip
    return Track(*(np.concatenate(part) for part in rows))


def thinned(points: Points, most: int, seed: int) -> Points:
    """At most about `most` points, whose sums are right on average.

    Points stay with probabilities p ~ |a|, at most 1, and those that stay get a / p (systematic
    sampling). The strongest stay as they are; those of no amplitude go.
    """
    size = np.abs(points.amplitudes)
    rows = np.flatnonzero(size > 0)
    if len(rows) > most:
        size = size[rows]
        keep = np.minimum(1, size * _scale(size, most))
        ticks = np.cumsum(keep) + np.random.default_rng(seed).uniform()
        stays = np.floor(ticks) > np.floor(ticks - keep)
        rows, keep = rows[stays], keep[stays]
    else:
        keep = np.ones(len(rows))
    back = None if points.back is None else points.back.chosen(rows)
    return Points(points.there.chosen(rows), points.amplitudes[rows] / keep, back)


def _scale(size: np.ndarray, most: int) -> float:
    """The factor c for which sum min(1, c |a|) = most."""
    ordered = np.sort(size)[::-1]
    rest = np.cumsum(ordered[::-1])[::-1]  # of a point and all weaker ones
    factors = (most - np.arange(most)) / rest[:most]
    whole = factors * ordered[:most] >= 1  # the k strongest stay for certain while this holds
    return float(factors[int(np.argmin(whole))])


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(-1)
