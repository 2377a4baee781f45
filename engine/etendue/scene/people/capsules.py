"""A body of capsules with the proportions of Drillis and Contini 1966: needs no files at all.

One rounded cone for each bone, squashed from front to back on the trunk, carried by its bone alone.
The rest pose has the arms out to the sides; left and right are exact mirror images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from etendue.scene.people.body import PARTS, Body
from etendue.scene.people.person import Person, person
from etendue.scene.people.rotations import turning
from etendue.scene.people.skeleton import Skeleton

AROUND, CAP = 14, 4  # vertices around a capsule, and rings of each of its ends

# name, parent, head (x, y, z) and tail, in heights; those with Left are mirrored
_BONES: tuple[tuple[str, str, tuple[float, ...], tuple[float, ...]], ...] = (
    ("Hips", "", (0.0, 0.0, 0.55), (0.0, 0.0, 0.6)),
    ("LowerBack", "Hips", (0.0, 0.0, 0.6), (0.0, 0.0, 0.67)),
    ("Spine", "LowerBack", (0.0, 0.0, 0.67), (0.0, 0.0, 0.74)),
    ("Spine1", "Spine", (0.0, 0.0, 0.74), (0.0, 0.0, 0.83)),
    ("Neck", "Spine1", (0.0, 0.0, 0.83), (0.005, 0.0, 0.875)),
    ("Head", "Neck", (0.005, 0.0, 0.875), (0.015, 0.0, 0.985)),
    ("LeftUpLeg", "Hips", (0.0, 0.05, 0.53), (0.0, 0.05, 0.285)),
    ("LeftLeg", "LeftUpLeg", (0.0, 0.05, 0.285), (0.0, 0.05, 0.039)),
    ("LeftFoot", "LeftLeg", (0.0, 0.05, 0.039), (0.075, 0.05, 0.015)),
    ("LeftToeBase", "LeftFoot", (0.075, 0.05, 0.015), (0.11, 0.05, 0.015)),
    ("LeftShoulder", "Spine1", (0.0, 0.02, 0.815), (0.0, 0.115, 0.818)),
    ("LeftArm", "LeftShoulder", (0.0, 0.115, 0.818), (0.0, 0.301, 0.818)),
    ("LeftForeArm", "LeftArm", (0.0, 0.301, 0.818), (0.0, 0.447, 0.818)),
    ("LeftHand", "LeftForeArm", (0.0, 0.447, 0.818), (0.0, 0.53, 0.818)),
)


@dataclass(frozen=True)
class Part:
    """A rounded cone along a bone, in heights and in shares of the bone."""

    bone: str
    radii: tuple[float, float]  # at the head and at the tail
    look: str
    flat: float = 1.0  # radius from front to back over that from side to side
    span: tuple[float, float] = (0.0, 1.0)  # where its two centres are along the bone


_PARTS = (
    Part("Hips", (0.085, 0.082), "trousers", 0.7, (-0.3, 1.0)),
    Part("LowerBack", (0.08, 0.08), "shirt", 0.7),
    Part("Spine", (0.08, 0.09), "shirt", 0.68),
    Part("Spine1", (0.092, 0.06), "shirt", 0.65, (0.0, 0.7)),
    Part("Neck", (0.033, 0.031), "skin"),
    Part("Head", (0.045, 0.05), "skin", 1.15, (0.25, 0.6)),
    Part("LeftUpLeg", (0.05, 0.034), "trousers"),
    Part("LeftLeg", (0.035, 0.023), "trousers"),
    Part("LeftFoot", (0.026, 0.02), "shoes", 1.0, (-0.12, 1.0)),
    Part("LeftToeBase", (0.02, 0.014), "shoes"),
    Part("LeftShoulder", (0.04, 0.038), "shirt", 0.8),
    Part("LeftArm", (0.033, 0.027), "shirt"),
    Part("LeftForeArm", (0.026, 0.019), "skin"),
    Part("LeftHand", (0.021, 0.017), "skin", 1.0, (0.1, 0.9)),
)


def capsule_body(seed: int) -> Body:
    """The person with this number: as tall and about as heavy as the other model makes them."""
    return capsules_of(person(seed), f"capsules-{seed}")


def capsules_of(who: Person, name: str) -> Body:
    """Capsules for a person; weight and muscles make them thicker, nothing else."""
    from scipy.sparse import csr_array

    skeleton = _skeleton(who.height)
    girth = who.height * (1 + 0.5 * (who.weight - 0.5) + 0.2 * (who.muscle - 0.5))
    vertices, faces, owners, parts, first = [], [], [], [], 0
    for part in _both_sides():
        bone = skeleton.names.index(part.bone)
        points, triangles = _mesh(skeleton, bone, part, girth)
        mirror = part.bone.startswith("Right")
        vertices.append(points)
        faces.append((triangles[:, ::-1] if mirror else triangles) + first)
        owners.append(np.full(len(points), bone))
        parts.append(np.full(len(triangles), PARTS.index(part.look)))
        first += len(points)
    owner = np.concatenate(owners)
    weights = csr_array(
        (np.ones(first), (np.arange(first), owner)), shape=(first, len(skeleton.names))
    )
    shape = np.concatenate(vertices)
    lift = np.array([0.0, 0.0, -shape[:, 2].min()])
    skeleton = Skeleton(
        skeleton.names, skeleton.parents, skeleton.heads + lift, skeleton.tails + lift
    )
    return Body(
        name, skeleton, shape + lift, np.concatenate(faces).astype(np.uint32), weights,
        np.concatenate(parts), {**vars(who)},
    )  # fmt: skip


def _mirror(name: str) -> str:
    return name.replace("Left", "Right")


def _both_sides() -> list[Part]:
    right = [
        Part(_mirror(p.bone), p.radii, p.look, p.flat, p.span)
        for p in _PARTS
        if p.bone.startswith("Left")
    ]
    return [*_PARTS, *right]


def _skeleton(height: float) -> Skeleton:
    """Bones in metres, parents first."""
    sides = np.array([1.0, -1.0, 1.0])
    rows = [(n, p, np.array(h), np.array(t)) for n, p, h, t in _BONES]
    rows += [
        (_mirror(n), _mirror(p), h * sides, t * sides) for n, p, h, t in rows if n[:4] == "Left"
    ]
    names = tuple(row[0] for row in rows)
    parents = tuple(names.index(row[1]) if row[1] else -1 for row in rows)
    heads, tails = (np.stack([row[k] for row in rows]) * height for k in (2, 3))
    return Skeleton(names, parents, heads, tails)


def _mesh(skeleton: Skeleton, bone: int, part: Part, girth: float) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and triangles of one part; those of a right one are the mirror image of the left."""
    left = part.bone.replace("Right", "Left")
    source = skeleton.names.index(left)
    head, tail = skeleton.heads[source], skeleton.tails[source]
    a, b = (head + (tail - head) * share for share in part.span)
    points, faces = cone(a, b, part.radii[0] * girth, part.radii[1] * girth, part.flat)
    return (points if left == part.bone else points * np.array([1.0, -1.0, 1.0])), faces


def cone(
    a: np.ndarray, b: np.ndarray, ra: float, rb: float, flat: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """A closed rounded cone from a to b: half an ellipsoid around each end and rings between.

    `flat` scales it along x where it is upright. Faces are counter-clockwise seen from outside.
    """
    length = float(np.linalg.norm(b - a))
    rise = np.linspace(0, np.pi / 2, CAP + 1)[1:]
    # radius and height of the rings from below the first end to above the second
    ring = np.concatenate([ra * np.sin(rise), rb * np.sin(rise[::-1])])
    level = np.concatenate([-ra * np.cos(rise), length + rb * np.cos(rise[::-1])])
    angle = 2 * np.pi * np.arange(AROUND) / AROUND
    circle = np.stack([np.cos(angle) * flat, np.sin(angle)], -1)
    wall = np.concatenate(
        [
            ring[:, None, None] * circle,
            np.broadcast_to(level[:, None, None], (*ring.shape, AROUND, 1)),
        ],
        -1,
    ).reshape(-1, 3)
    points = np.concatenate([[[0, 0, -ra]], wall, [[0, 0, length + rb]]])
    i = np.arange(AROUND)
    j, top = (i + 1) % AROUND, len(points) - 1
    rows = 1 + AROUND * np.arange(len(ring) - 1)[:, None]
    low, high = rows + i, rows + j
    sides = np.concatenate(
        [
            np.stack([low, high, high + AROUND], -1).reshape(-1, 3),
            np.stack([low, high + AROUND, low + AROUND], -1).reshape(-1, 3),
        ]
    )
    last = top - AROUND
    ends = [np.stack([0 * i, 1 + j, 1 + i], -1), np.stack([last + i, last + j, 0 * i + top], -1)]
    turn = turning(np.array([0.0, 0.0, 1.0]), b - a)
    return a + points @ turn.T, np.concatenate([sides, *ends])
