"""Bones: names, parents and rest positions, and where they are in a pose."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from etendue.core.errors import InputError
from etendue.scene.people.rotations import unit

JOINTS = (
    "Pelvis", "R hip", "R knee", "R ankle", "L hip", "L knee", "L ankle", "Thorax", "Head",
    "L shoulder", "L elbow", "L wrist", "R shoulder", "R elbow", "R wrist",
)  # fmt: skip
# the joints between which a person's sticks are drawn
STICKS = ((0, 1), (1, 2), (2, 3), (0, 4), (4, 5), (5, 6), (0, 7), (7, 8), (7, 9), (9, 10), (10, 11),
          (7, 12), (12, 13), (13, 14))  # fmt: skip
# what a bone is for, and its names in lower case, without _ and what stands before a colon
_MIDDLE = {
    "pelvis": ("hips", "pelvis", "root"),
    "loin": ("lowerback", "ab", "abdomen"),
    "spine": ("spine", "chest"),
    "breast": ("spine1",),
    "neck": ("neck",),
    "nape": ("neck1",),
    "head": ("head",),
}
_SIDE = {
    "thigh": ("upleg", "hip", "thigh"),
    "shin": ("leg", "knee", "shin"),
    "foot": ("foot", "ankle"),
    "toes": ("toebase", "toes"),
    "clavicle": ("collar", "clavicle"),
    "arm": ("arm", "shoulder"),
    "forearm": ("forearm", "elbow"),
    "hand": ("hand", "wrist"),
}
_LIMBS = ("thigh", "shin", "foot", "arm", "forearm")
_NEEDED = ("pelvis", "neck", *(f"{side}.{name}" for side in "LR" for name in _LIMBS))


@dataclass(frozen=True)
class Pose:
    """Rotations of bones relative to their parents, and where the root's head is."""

    rotations: np.ndarray  # (..., bones, 3, 3)
    root: np.ndarray  # (..., 3) m


@dataclass(frozen=True)
class Skeleton:
    """Bones, parents before children; the first is the only root."""

    names: tuple[str, ...]
    parents: tuple[int, ...]  # -1 for the root
    heads: np.ndarray  # (bones, 3) m, in the rest pose
    tails: np.ndarray  # (bones, 3) m, the far ends

    @cached_property
    def roles(self) -> dict[str, int]:
        """What the bones are for, such as L.thigh, and which bone it is."""
        plain = [name.split(":")[-1].lower().replace("_", "") for name in self.names]
        found = {}
        for role, names in _MIDDLE.items():
            found[role] = next((plain.index(n) for n in names if n in plain), None)
        for side, word in (("L", "left"), ("R", "right")):
            for role, names in _SIDE.items():
                index = next((plain.index(word + n) for n in names if word + n in plain), None)
                found[f"{side}.{role}"] = index
            if found[f"{side}.clavicle"] is None and f"{word}arm" in plain:
                shoulder = f"{word}shoulder"
                found[f"{side}.clavicle"] = plain.index(shoulder) if shoulder in plain else None
        missing = [role for role in _NEEDED if found[role] is None]
        if missing:
            raise InputError(
                "skeleton", f"has no bone for {', '.join(missing)}", got=", ".join(self.names)
            )
        return {role: index for role, index in found.items() if index is not None}

    def direction(self, role: str) -> np.ndarray:
        """Unit vector along a bone in the rest pose: to the next bone of its limb, or its tail."""
        side, _, part = role.rpartition(".")
        following = {"thigh": "shin", "shin": "foot", "arm": "forearm", "forearm": "hand"}
        index = self.roles[role]
        after = self.roles.get(f"{side}.{following.get(part, '')}")
        end = self.tails[index] if after is None else self.heads[after]
        return unit(end - self.heads[index])

    @property
    def leg_length(self) -> float:
        """Mean length of thigh and shin together, in metres."""
        at, roles = self.heads, self.roles
        return float(
            np.mean(
                [
                    np.linalg.norm(at[roles[f"{s}.thigh"]] - at[roles[f"{s}.shin"]])
                    + np.linalg.norm(at[roles[f"{s}.shin"]] - at[roles[f"{s}.foot"]])
                    for s in "LR"
                ]
            )
        )


def bones(skeleton: Skeleton, pose: Pose) -> tuple[np.ndarray, np.ndarray]:
    """Orientations (..., bones, 3, 3) and positions of heads (..., bones, 3) of all bones.

    G_b = G_parent R_b and p_b = p_parent + G_parent (h_b - h_parent).
    """
    turned = np.empty_like(pose.rotations)
    heads = np.empty(pose.rotations.shape[:-1])
    for bone, parent in enumerate(skeleton.parents):
        local = pose.rotations[..., bone, :, :]
        if parent < 0:
            turned[..., bone, :, :], heads[..., bone, :] = local, pose.root
            continue
        above = turned[..., parent, :, :]
        offset = skeleton.heads[bone] - skeleton.heads[parent]
        turned[..., bone, :, :] = above @ local
        heads[..., bone, :] = heads[..., parent, :] + above @ offset
    return turned, heads


def joints(skeleton: Skeleton, turned: np.ndarray, heads: np.ndarray) -> np.ndarray:
    """The 15 joints (..., 15, 3) of `JOINTS` from posed bones.

    Hips, knees, ankles, shoulders, elbows and wrists are the heads of thigh, shin, foot, arm,
    forearm and hand (the forearm's tail without a hand); the pelvis is the middle between the hips,
    the thorax the head of the neck between the shoulders, the head the middle of its bone.
    """
    roles = skeleton.roles

    def end(bone: int, share: float) -> np.ndarray:
        offset = (skeleton.tails[bone] - skeleton.heads[bone]) * share
        return heads[..., bone, :] + turned[..., bone, :, :] @ offset

    def limb(side: str, *parts: str) -> list[np.ndarray]:
        return [heads[..., roles[f"{side}.{part}"], :] for part in parts]

    def wrist(side: str) -> np.ndarray:
        hand = roles.get(f"{side}.hand")
        return end(roles[f"{side}.forearm"], 1.0) if hand is None else heads[..., hand, :]

    legs = [limb(side, "thigh", "shin", "foot") for side in "RL"]
    arms = [[*limb(side, "arm", "forearm"), wrist(side)] for side in "LR"]
    middle = [heads[..., roles["neck"], :], end(roles.get("head", roles["neck"]), 0.5)]
    pelvis = (legs[0][0] + legs[1][0]) / 2
    return np.stack([pelvis, *legs[0], *legs[1], *middle, *arms[0], *arms[1]], -2)
