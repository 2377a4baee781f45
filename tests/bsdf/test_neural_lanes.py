"""Weights of each lane against uniform ones: the same bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from etendue.artifact import Artifact
from etendue.bake import network
from etendue.bsdf.base import ShadingPoint
from etendue.bsdf.pyramid import level_offsets


def artifact(seed: int, side: int, evaluator: str = "2x32", reciprocal: bool = False) -> Artifact:
    """Random networks over a pyramid of random latents."""
    generator = torch.Generator().manual_seed(seed)
    params = network.init_params(evaluator, "2x16", generator, reciprocal)
    tensors: dict[str, Any] = {k: v.numpy() for k, v in params.items()}
    rng = np.random.default_rng(seed)
    tensors["latents"] = rng.normal(size=(level_offsets(side)[-1], 8)).astype(np.float16)
    tensors["energy"] = rng.uniform(0.7, 1.0, (33, 3)).astype(np.float32)
    tensors["albedo"] = rng.normal(size=(3, 9)).astype(np.float32)
    header = {"kind": "material", "lod": {"resolution": side}, "arch": {"reciprocal": reciprocal}}
    return Artifact(header, tensors)


@pytest.mark.parametrize("reciprocal", [False, True])
def test_every_lane_gets_the_numbers_of_its_material(mi: Any, reciprocal: bool) -> None:
    import drjit as dr

    from etendue.bsdf.neural import NeuralBSDF
    from etendue.bsdf.neural_lanes import NeuralLanes

    members = [
        NeuralBSDF(artifact(k, side, "3x20", reciprocal), exact=True)
        for k, side in enumerate((1, 8, 16))
    ]
    count, rng = 4096, np.random.default_rng(1)
    number = mi.UInt(rng.integers(0, 3, count).astype(np.uint32))
    directions = rng.normal(size=(2, 3, count)).astype(np.float32)
    directions[:, 2] = np.abs(directions[:, 2]) + 0.05
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    directions[1, 2, ::7] *= -1  # light from below
    wi, wo = (mi.Vector3f(d) for d in directions)
    uv = mi.Point2f(rng.uniform(-1, 2, (2, count)).astype(np.float32))
    p = ShadingPoint(uv, wi, mi.Float(rng.uniform(0, 0.5, count).astype(np.float32)))
    u = mi.Point3f(rng.random((3, count)).astype(np.float32))

    def flat(bsdf: Any) -> np.ndarray:
        value, pdf, s = bsdf.eval_pdf_sample(p, wo, u, mi.PCG32(size=count), mi.Bool(True))
        return np.array([*value, pdf, *s.wo, s.pdf, *s.weight])

    got = flat(NeuralLanes(members).at(number, True))
    for k, member in enumerate(members):
        here = np.array(number) == k
        np.testing.assert_array_equal(got[:, here], flat(member)[:, here])
    assert (got[3] > 0).mean() > 0.5 and dr.width(number) == count


def test_members_must_be_alike(mi: Any) -> None:
    from etendue.bsdf.neural import NeuralBSDF
    from etendue.bsdf.neural_lanes import NeuralLanes

    with pytest.raises(ValueError, match="different architectures"):
        NeuralLanes([NeuralBSDF(artifact(0, 1)), NeuralBSDF(artifact(1, 1, "2x16"))])
