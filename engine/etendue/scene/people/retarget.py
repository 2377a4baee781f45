"""Motions of one skeleton for the bones of another.

A bone of the target that has the same role as one of the source is turned like that one:

    G_b(t) = G_s(t) A_b,

where A_b turns the target's rest pose into the source's: for limbs so that their directions become
equal (each bone of a limb is bent out of the one before, so that the swing comes first and no twist
is added), for trunk, head and feet not at all, since both rest poses stand upright. Bones without a
partner keep their rest pose relative to their parents. The middle between the hips follows that of
the source, scaled by the lengths of the legs.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from etendue.scene.people.body import Body
from etendue.scene.people.floor import grounded
from etendue.scene.people.motion import Motion
from etendue.scene.people.rotations import (
    continuous,
    inverse,
    matrices,
    part,
    product,
    quaternions,
    turning,
)
from etendue.scene.people.skeleton import Pose, Skeleton, bones

_LIMBS = (("arm", "forearm", "hand"), ("thigh", "shin"))


def retarget(motion: Motion, body: Body) -> Motion:
    """The motion for a body, its feet on the floor z = 0 when those of the source are."""
    moved = transferred(motion, body.skeleton)
    return grounded(motion, moved, body)


def transferred(motion: Motion, target: Skeleton) -> Motion:
    """The motion for another skeleton; the height of the root is scaled like the rest."""
    source = motion.skeleton
    if source.names == target.names:
        pairs = {bone: bone for bone in range(len(target.names))}
    else:
        pairs = {target.roles[r]: source.roles[r] for r in target.roles if r in source.roles}
    turned, heads = bones(source, Pose(matrices(motion.rotations), motion.root))
    fixes = _rest_fixes(source, target)
    aimed = np.empty((len(turned), len(target.names), 3, 3))
    for bone, parent in enumerate(target.parents):
        if bone in pairs:
            aimed[:, bone] = turned[:, pairs[bone]] @ fixes.get(bone, np.eye(3))
        else:
            aimed[:, bone] = aimed[:, parent]
    world = quaternions(aimed)
    local = _halved(_local(world, target), source, target)
    posed = aimed[:, 0] @ (_middle(target.heads, target) - target.heads[0])
    scale = target.leg_length / source.leg_length
    root = _middle(heads, source) * scale - posed
    return replace(motion, skeleton=target, rotations=continuous(local), root=root)


def _middle(heads: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """The place (..., 3) between both hips."""
    roles = skeleton.roles
    return (heads[..., roles["L.thigh"], :] + heads[..., roles["R.thigh"], :]) / 2


def _local(world: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Quaternions relative to the parents, of those relative to the scene."""
    above = np.array(skeleton.parents)
    local = world.copy()
    local[:, 1:] = product(inverse(world[:, above[1:]]), world[:, 1:])
    return local


def _halved(local: np.ndarray, source: Skeleton, target: Skeleton) -> np.ndarray:
    """Where the source bends its back at one place, the target's loin takes half of the turn."""
    loin, spine = target.roles.get("loin"), target.roles.get("spine")
    if loin is None or spine is None or "loin" in source.roles or target.parents[spine] != loin:
        return local
    half = part(local[:, spine], np.full(len(local), 0.5))
    return np.concatenate(
        [
            half[:, None] if bone in (loin, spine) else local[:, bone : bone + 1]
            for bone in range(local.shape[1])
        ],
        1,
    )


def _rest_fixes(source: Skeleton, target: Skeleton) -> dict[int, np.ndarray]:
    """A_b (3, 3) of the limbs' bones: from the target's rest pose to the source's."""
    if source.names == target.names:
        return {}
    fixes = {}
    for side in "LR":
        for limb in _LIMBS:
            fix = np.eye(3)
            for name in limb:
                role = f"{side}.{name}"
                if role in source.roles and role in target.roles:
                    wanted = source.direction(role)
                    if np.any(wanted):
                        fix = turning(fix @ target.direction(role), wanted) @ fix
                    fixes[target.roles[role]] = fix
    return fixes
