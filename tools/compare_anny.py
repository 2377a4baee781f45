"""Largest distance between bodies of `scene.people` and anny's own model, in several poses.

    python tools/compare_anny.py [--motion FILE] [--seed 3]

anny builds its model the first time (minutes, and 0.8 GB in ~/.cache/anny). Prints metres.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from etendue.scene.people.skeleton import Pose, Skeleton

# anny: x left, y back
AXES = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
YOUNG = 2 / 3  # anny counts ages from newborn to old


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--motion", type=Path, help="poses to compare, else random ones")
    parser.add_argument("--seed", type=int, default=3, help="number of the person")
    options = parser.parse_args()
    import anny
    import torch

    from etendue.scene.people import makehuman
    from etendue.scene.people.body import Body
    from etendue.scene.people.person import person
    from etendue.scene.people.skeleton import bones

    model = anny.Anny(
        rig=makehuman.RIG, phenotypes="all", skinning_method="lbs",
        phenotype_blendshapes="original",
    )  # fmt: skip
    who = person(options.seed)
    kind = makehuman.phenotype(who)
    kind["age"] = YOUNG + kind["age"] * (1 - YOUNG)
    used = model.base_mesh_vertex_indices.numpy()
    shape = makehuman.rest_vertices(who)
    skeleton = makehuman._skeleton(shape)
    none = np.zeros((0, 3), np.uint32)
    weights = makehuman._weights(skeleton.names)[used]
    body = Body("anny", skeleton, shape[used], none, weights, none[:, 0])
    rest = model(phenotype_kwargs=kind)
    apart = rest["rest_vertices"][0].numpy() - body.vertices @ AXES.T
    print(f"rest pose: {np.abs(apart).max():.2e} m")
    axes = rest["rest_bone_poses"][0].numpy()[:, :3, :3]
    order = [skeleton.names.index(name) for name in model.bone_labels]
    for number, pose in enumerate(_poses(options.motion, skeleton)):
        turned, heads = bones(skeleton, pose)
        world = np.tile(np.eye(4), (1, len(order), 1, 1))
        world[0, :, :3, :3] = AXES @ turned[order] @ AXES.T @ axes
        world[0, :, :3, 3] = heads[order] @ AXES.T
        theirs = model(
            pose_parameters=torch.tensor(world, dtype=model.dtype), phenotype_kwargs=kind,
            pose_parameterization="world",
        )["vertices"][0].numpy()  # fmt: skip
        print(f"pose {number}: {np.abs(theirs - body.skinned(turned, heads) @ AXES.T).max():.2e} m")


def _poses(path: Path | None, skeleton: Skeleton) -> list[Pose]:
    from etendue.scene.people.motion import load_motion
    from etendue.scene.people.retarget import transferred
    from etendue.scene.people.rotations import matrices
    from etendue.scene.people.skeleton import Pose

    if path is not None:
        motion = transferred(load_motion(path), skeleton)
        return [motion.at(share * motion.duration) for share in np.linspace(0, 1, 5)]
    rng = np.random.default_rng(0)
    turns = rng.normal(size=(5, len(skeleton.names), 4)) * 0.2 + [1, 0, 0, 0]
    return [Pose(matrices(turn), rng.normal(size=3)) for turn in turns]


if __name__ == "__main__":
    main()
