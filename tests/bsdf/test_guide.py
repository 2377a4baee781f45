"""Albedo guides against the mean weight of many samples, which is the true directional albedo."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from etendue.bsdf.neural_numpy import albedo, guide_features

COUNT, SAMPLES = 512, 256


def points(mi: Any) -> tuple[Any, np.ndarray]:
    """Shading points with cosines from 0.1 to 1, and those cosines."""
    from etendue.bsdf.base import ShadingPoint

    rng = np.random.default_rng(5)
    cosine = np.linspace(0.1, 1.0, COUNT, dtype=np.float32)
    phi = rng.uniform(0, 2 * np.pi, COUNT)
    sine = np.sqrt(1 - cosine * cosine)
    wi = mi.Vector3f(
        *(mi.Float(v.astype(np.float32)) for v in (sine * np.cos(phi), sine * np.sin(phi), cosine))
    )
    uv = mi.Point2f(*(mi.Float(v.astype(np.float32)) for v in rng.random((2, COUNT))))
    return ShadingPoint(uv, wi, mi.Float(np.zeros(COUNT, np.float32))), cosine


def truth(mi: Any, material: Any, p: Any) -> np.ndarray:
    """Mean weight of `SAMPLES` draws at each point (COUNT, 3)."""
    import drjit as dr

    from etendue.bsdf.base import ShadingPoint

    lane = dr.arange(mi.UInt, COUNT * SAMPLES)
    at = lane // SAMPLES
    uv, wi = dr.gather(mi.Point2f, p.uv, at), dr.gather(mi.Vector3f, p.wi, at)
    rng = mi.PCG32(initstate=mi.UInt64(mi.sample_tea_64(lane, mi.UInt(3))))
    u = mi.Point3f(rng.next_float32(), rng.next_float32(), rng.next_float32())
    many = ShadingPoint(uv, wi, dr.zeros(mi.Float, COUNT * SAMPLES))
    weight = material.sample(many, u, rng, mi.Bool(True)).weight
    return np.stack([dr.block_sum(c, SAMPLES).numpy() for c in weight], -1) / SAMPLES


@pytest.mark.parametrize("name", ["coat on brushed metal", "two media on metal", "mix of stacks"])
def test_the_ratio_brings_layered_guides_to_the_true_level(
    mi: Any, stacks: dict[str, Any], name: str
) -> None:
    from etendue.bsdf.guide import albedo_ratio, corrected
    from etendue.bsdf.layered import Layered

    material = Layered(stacks[name])
    p, cosine = points(mi)
    exact = truth(mi, material, p)
    table = mi.Float(albedo_ratio(material).ravel())
    raw = mi.Color3f(material.albedo(p, mi.Bool(True)))
    guide = np.broadcast_to(np.array(corrected(raw, table, p.wi.z)).T, exact.shape)
    for low in (0.1, 0.4, 0.7):  # level at every incidence, not just on average
        here = (cosine >= low) & (cosine < low + 0.3)
        np.testing.assert_allclose(guide[here].mean(0), exact[here].mean(0), rtol=0.06, atol=0.01)
    before = np.abs(np.broadcast_to(np.array(raw).T, exact.shape) - exact).mean()
    assert np.abs(guide - exact).mean() < 0.7 * before


def test_the_neural_guide_equals_its_twin(mi: Any) -> None:
    import torch

    from etendue.artifact import Artifact
    from etendue.bake import network
    from etendue.bsdf.neural import NeuralBSDF

    rng = np.random.default_rng(2)
    params = network.init_params("2x16", "2x16", torch.Generator().manual_seed(1))
    tensors: dict[str, Any] = {k: v.numpy() for k, v in params.items()}
    tensors["latents"] = rng.normal(size=(1, 8)).astype(np.float16)
    tensors["energy"] = np.ones((33, 3), np.float32)
    for columns in (9, 12):
        tensors["albedo"] = (0.2 * rng.normal(size=(3, columns))).astype(np.float32)
        material = NeuralBSDF(Artifact({"kind": "material", "lod": {"resolution": 1}}, tensors))
        p, cosine = points(mi)
        found = np.array(material.albedo(p, mi.Bool(True))).T
        latent = np.repeat(tensors["latents"].astype(np.float64), COUNT, 0)
        expected = albedo(latent, cosine.astype(np.float64), tensors["albedo"])
        np.testing.assert_allclose(np.broadcast_to(found, expected.shape), expected, atol=2e-5)


def test_features_of_normal_incidence_are_latents_and_one() -> None:
    latent = np.arange(8.0)[None]
    np.testing.assert_array_equal(guide_features(latent, np.ones(1))[0], [*range(8), 1, 0, 0, 0])
    np.testing.assert_array_equal(guide_features(latent, np.zeros(1))[0, 8:], 1)
