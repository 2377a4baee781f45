"""Rays from a radar into a Mitsuba scene, and what they hit, in the radar's frame."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from etendue.core.errors import InputError
from etendue.render.radar.signal import Track


@dataclass(frozen=True)
class Pose:
    """Where a radar stands: `rotation` (3, 3) has its x (ahead), y (left), z (up) as columns."""

    origin: np.ndarray = field(default_factory=lambda: np.zeros(3))
    rotation: np.ndarray = field(default_factory=lambda: np.eye(3))

    @staticmethod
    def of_camera(sensor: Any) -> Pose:
        """A radar in the place of a Mitsuba camera, looking where it looks."""
        matrix = np.array(sensor.world_transform().matrix, float).reshape(4, 4)
        left, up, ahead = (matrix[:3, k] / np.linalg.norm(matrix[:3, k]) for k in range(3))
        return Pose(matrix[:3, 3], np.stack([ahead, left, up], 1))

    def inward(self, vectors: np.ndarray) -> np.ndarray:
        """Vectors of the world (n, 3) in the radar's frame."""
        return _turned(vectors, self.rotation)

    def outward(self, vectors: np.ndarray) -> np.ndarray:
        """Vectors of the radar's frame (n, 3) in the world."""
        return _turned(vectors, self.rotation.T)


def _turned(vectors: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """v R by hand: libraries start threads for it."""
    x, y, z = vectors.T[:, :, None]
    return x * rotation[0] + y * rotation[1] + z * rotation[2]


@dataclass(frozen=True)
class Rigid:
    """A shape that moves as a whole: m/s, and rad/s around axes through `centre`, world frame."""

    velocity: tuple[float, float, float] = (0.0, 0.0, 0.0)
    spin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    centre: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Deforming:
    """A mesh whose vertices move: m/s and m/s^2 (n, 3), world frame."""

    velocities: np.ndarray
    accelerations: np.ndarray


Moves = Mapping[str, Rigid | Deforming]


@dataclass(frozen=True)
class Beams:
    """Directions on a grid of direction cosines, in the radar's frame."""

    directions: np.ndarray  # (n, 3)
    solid: np.ndarray  # sr (n,)
    steps: tuple[float, float]  # of u = y / r and v = z / r


def beams(counts: tuple[int, int], azimuth: float, elevation: float) -> Beams:
    """The middles of a grid of cells out to +-`azimuth` and +-`elevation` degrees."""
    most = np.sin(np.radians([azimuth, elevation]))
    steps = 2 * most / counts
    u, v = (s * (np.arange(n) + 0.5) - m for n, s, m in zip(counts, steps, most, strict=True))
    u, v = (a.ravel() for a in np.meshgrid(u, v, indexing="ij"))
    inside = u**2 + v**2 < 0.999
    u, v = u[inside], v[inside]
    w = np.sqrt(1 - u**2 - v**2)
    return Beams(np.stack([w, u, v], -1), steps.prod() / w, (float(steps[0]), float(steps[1])))


@dataclass(frozen=True)
class Hits:
    """What rays met; rows of rays that met nothing have an infinite distance and shape -1."""

    distance: np.ndarray  # m (n,)
    track: Track  # of the points, radar's frame
    normal: np.ndarray  # (n, 3), radar's frame, to the side that is outside
    shape: np.ndarray  # int (n,), into the scene's shapes
    curvature: np.ndarray  # 1/m (n,), the larger one along u and v of the surface

    def chosen(self, rows: np.ndarray) -> Hits:
        """Some of them."""
        return Hits(self.distance[rows], self.track.chosen(rows), self.normal[rows],
                    self.shape[rows], self.curvature[rows])  # fmt: skip


def cast(scene: Any, pose: Pose, origins: np.ndarray, directions: np.ndarray, moves: Moves) -> Hits:
    """The first surface on rays (n, 3) in the radar's frame, from 0.1 mm on.

    The normal is the one that shading uses: smooth where the mesh is.
    """
    import drjit as dr
    import mitsuba as mi

    from etendue.render.groups import shown_shapes

    start = mi.Point3f((pose.outward(origins) + pose.origin).T.astype(np.float32))
    way = mi.Vector3f(pose.outward(directions).T.astype(np.float32))
    ray = mi.Ray3f(start + 1e-4 * way, way)
    flat = scene.ray_intersect_preliminary(ray)
    si = flat.compute_surface_interaction(ray, mi.RayFlags.All | mi.RayFlags.dNSdUV)
    valid = np.array(si.is_valid())
    pointers = [
        int(dr.reinterpret_array(mi.UInt32, mi.ShapePtr(s))[0]) for s in shown_shapes(scene)
    ]
    lookup = np.full(max(pointers) + 1, -1)
    lookup[pointers] = np.arange(len(pointers))
    found = np.array(dr.reinterpret_array(mi.UInt32, si.shape))
    shape = np.where(valid, lookup[np.where(valid, found, 0)], -1)
    place = np.array(si.p, float).T
    world = (np.array(flat.prim_index), np.array(flat.prim_uv, float).T)
    velocity, acceleration = _motion(scene, moves, shape, place, world)
    track = Track(
        pose.inward(np.where(valid[:, None], place - pose.origin, 0.0)),
        pose.inward(velocity), pose.inward(acceleration),
    )  # fmt: skip
    distance = np.where(valid, np.linalg.norm(track.places - origins, axis=1), np.inf)
    bent = [dr.norm(dn) / dr.maximum(dr.norm(dp), 1e-12)
            for dn, dp in ((si.dn_du, si.dp_du), (si.dn_dv, si.dp_dv))]  # fmt: skip
    curvature = np.nan_to_num(np.array(dr.maximum(*bent), float))
    normal = pose.inward(np.array(si.sh_frame.n, float).T)
    return Hits(distance, track, normal, shape, curvature)


def _motion(
    scene: Any, moves: Moves, shape: np.ndarray, place: np.ndarray, where: tuple[Any, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Velocities and accelerations of hits, world frame."""
    from etendue.render.groups import shown_shapes

    velocity, acceleration = np.zeros_like(place), np.zeros_like(place)
    shapes = shown_shapes(scene)
    names = [str(s.id()) for s in shapes]
    for name, move in moves.items():
        if name not in names:
            raise InputError(f"motion of {name}", "is of no shape here", expected=_some(names))
        index = names.index(name)
        rows = np.flatnonzero(shape == index)
        if isinstance(move, Rigid):
            spin, arm = np.asarray(move.spin), place[rows] - move.centre
            turned = np.cross(spin, arm)
            velocity[rows] = np.add(move.velocity, turned)
            acceleration[rows] = np.cross(spin, turned)
            continue
        faces = _faces(shapes[index], name, len(move.velocities))[where[0][rows]]
        b1, b2 = where[1][rows].T
        weights = np.stack([1 - b1 - b2, b1, b2], -1)[..., None]
        velocity[rows] = (weights * move.velocities[faces]).sum(1)
        acceleration[rows] = (weights * move.accelerations[faces]).sum(1)
    return velocity, acceleration


def _faces(shape: Any, name: str, vertices: int) -> np.ndarray:
    if not shape.is_mesh() or shape.vertex_count() != vertices:
        got = f"{shape.vertex_count()} vertices" if shape.is_mesh() else "no mesh"
        raise InputError(f"motion of {name}", "does not fit the shape", got=got,
                         expected=f"a mesh of {vertices}")  # fmt: skip
    return np.array(shape.faces_buffer()).reshape(-1, 3)


def _some(names: list[str], most: int = 6) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def degrees_of(fov: float) -> float:
    """Half of an opening angle; `InputError` unless 0 < fov <= 170."""
    if not (math.isfinite(fov) and 0 < fov <= 170):
        raise InputError("field of view", "is out of range", got=fov, expected="0..170 degrees")
    return fov / 2
