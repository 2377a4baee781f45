"""The decoder inside Dr.Jit kernels against its numpy twin, chi-squared, levels, bad files."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from etendue.artifact import Artifact
from etendue.bake import network
from etendue.bsdf import neural_numpy
from etendue.bsdf.base import ShadingPoint
from etendue.bsdf.neural import NeuralBSDF
from etendue.bsdf.pyramid import level_offsets
from etendue.core.errors import InputError
from etendue.device.drjit import activate

RESOLUTION = 16


def make_artifact(
    seed: int = 0, resolution: int = RESOLUTION, reciprocal: bool = False
) -> Artifact:
    generator = torch.Generator().manual_seed(seed)
    params = network.init_params("2x32", "2x16", generator, reciprocal)
    tensors: dict[str, Any] = {
        k: (v + 0.1 * torch.randn(v.shape, generator=generator)).numpy() for k, v in params.items()
    }
    rng = np.random.default_rng(seed)
    texels = level_offsets(resolution)[-1]
    tensors["latents"] = (0.5 * rng.normal(size=(texels, 8))).astype(np.float16)
    tensors["energy"] = rng.uniform(0.7, 1.0, (33, 3)).astype(np.float32)
    tensors["albedo"] = (0.1 * rng.normal(size=(3, 9))).astype(np.float32)
    header = {
        "kind": "material",
        "lod": {"resolution": resolution},
        "arch": {"reciprocal": reciprocal},
    }
    return Artifact(header, tensors)


def _numpy_latent(artifact: Artifact, uv: np.ndarray) -> np.ndarray:
    side = RESOLUTION
    level0 = artifact.tensors["latents"][: side * side].reshape(side, side, 8).astype(np.float64)
    q = uv * side - 0.5
    c = np.floor(q).astype(int)
    t = q - c
    total = np.zeros((len(uv), 8))
    for dy in (0, 1):
        for dx in (0, 1):
            w = (t[:, 0] if dx else 1 - t[:, 0]) * (t[:, 1] if dy else 1 - t[:, 1])
            total += w[:, None] * level0[(c[:, 1] + dy) % side, (c[:, 0] + dx) % side]
    return total


def _columns(mi_type: Any, rows: np.ndarray) -> Any:
    return mi_type(*np.ascontiguousarray(rows.T, np.float32))


def _hemisphere(rng: np.random.Generator, n: int) -> np.ndarray:
    w = rng.normal(size=(n, 3))
    w[:, 2] = np.abs(w[:, 2]) + 0.02
    return neural_numpy.normalize(w)


@pytest.mark.parametrize("reciprocal", [False, True])
@pytest.mark.parametrize("seed", [0, 1])
def test_kernel_equals_numpy(seed: int, reciprocal: bool) -> None:
    mi, rng, n = activate(), np.random.default_rng(seed), 2000
    artifact = make_artifact(seed, reciprocal=reciprocal)
    uv, wi, wo = 3 * rng.random((n, 2)) - 1, _hemisphere(rng, n), _hemisphere(rng, n)
    u = rng.random((n, 3))
    p = ShadingPoint(_columns(mi.Point2f, uv), _columns(mi.Vector3f, wi), mi.Float([0.0] * n))
    f, pdf, s = NeuralBSDF(artifact, exact=True).eval_pdf_sample(
        p, _columns(mi.Vector3f, wo), _columns(mi.Point3f, u), mi.PCG32(size=n), mi.Bool(True)
    )
    latent = _numpy_latent(artifact, uv)
    lobe = neural_numpy.lobes(latent, wi, artifact.tensors)
    expected = neural_numpy.evaluate(latent, wi, wo, artifact.tensors)
    np.testing.assert_allclose(f.numpy().T, expected, rtol=2e-5)
    np.testing.assert_allclose(pdf.numpy(), neural_numpy.density(lobe, wi, wo), rtol=1e-4)
    drawn = neural_numpy.draw(lobe, wi, u)
    clear = np.abs(u[:, 0] - lobe.specular) > 1e-4
    np.testing.assert_allclose(s.wo.numpy().T[clear], drawn[clear], atol=2e-5)
    up = clear & (drawn[:, 2] > 1e-3)
    weight = neural_numpy.evaluate(latent, wi, drawn, artifact.tensors)[up]
    weight /= neural_numpy.density(lobe, wi, drawn)[up, None]
    np.testing.assert_allclose(s.weight.numpy().T[up], weight, rtol=5e-3)
    assert (s.weight.numpy().T[drawn[:, 2] < -1e-4] == 0).all()


def test_reciprocal_kernel_exchanges_directions() -> None:
    """|f(a, b) - f(b, a)| <= 1e-6 f, cosines divided out, in the kernel."""
    mi, rng, n = activate(), np.random.default_rng(9), 5000
    bsdf = NeuralBSDF(make_artifact(4, reciprocal=True))
    a, b = _hemisphere(rng, n), _hemisphere(rng, n)
    uv, zero = _columns(mi.Point2f, rng.random((n, 2))), mi.Float([0.0] * n)

    def f(wi: np.ndarray, wo: np.ndarray) -> np.ndarray:
        p = ShadingPoint(uv, _columns(mi.Vector3f, wi), zero)
        value = bsdf.eval(p, _columns(mi.Vector3f, wo), mi.PCG32(size=n), mi.Bool(True))
        return value.numpy().T / wo[:, 2:].astype(np.float32)

    np.testing.assert_allclose(f(a, b), f(b, a), rtol=1e-6)


@pytest.mark.parametrize("cos_i", [0.99, 0.8, 0.6, 0.4, 0.2, 0.05])
def test_chi_squared(cos_i: float) -> None:
    mi = activate()
    from mitsuba.chi2 import ChiSquareTest, SphericalDomain

    bsdf = NeuralBSDF(make_artifact(2))
    sin_i = float(np.sqrt(1 - cos_i**2))

    def point(n: int) -> ShadingPoint:
        import drjit as dr

        wi = mi.Vector3f(sin_i * 0.6, sin_i * 0.8, cos_i)
        return ShadingPoint(
            mi.Point2f(0.31, 0.77) + dr.zeros(mi.Point2f, n), wi, dr.zeros(mi.Float, n)
        )

    def sample(sample: Any, *rest: Any) -> Any:
        import drjit as dr

        n = dr.width(sample)
        u = mi.Point3f(sample[2], sample[0], sample[1])
        s = bsdf.sample(point(n), u, mi.PCG32(size=n), mi.Bool(True))
        return s.wo, dr.select(s.pdf > 0, 1.0, 0.0)

    def pdf(wo: Any) -> Any:
        import drjit as dr

        return bsdf.pdf(point(dr.width(wo)), wo, mi.Bool(True))

    test = ChiSquareTest(
        domain=SphericalDomain(),
        sample_func=sample,
        pdf_func=pdf,
        sample_dim=3,
        sample_count=200_000,
        res=81,
        ires=16,
    )
    assert test.run(), test.messages


def test_stochastic_level_has_the_trilinear_mean() -> None:
    """Mean over random level picks = lerp of the two adjacent levels' values (z-test)."""
    mi = activate()
    import drjit as dr

    bsdf, n = NeuralBSDF(make_artifact(3)), 200_000
    wi, wo = mi.Vector3f(0.3, 0.2, 0.9327379), mi.Vector3f(-0.5, 0.1, 0.8602325)
    lanes = dr.zeros(mi.Point2f, n) + mi.Point2f(0.4, 0.6)
    share = 0.3
    footprint = 2 ** (1 + share) / RESOLUTION
    p = ShadingPoint(lanes, wi, dr.full(mi.Float, footprint, n))
    seen = bsdf.eval(p, wo, mi.PCG32(size=n), mi.Bool(True)).numpy()[0]
    ends = []
    for level in (1, 2):
        q = ShadingPoint(mi.Point2f(0.4, 0.6), wi, mi.Float(2.0**level / RESOLUTION))
        ends.append(float(bsdf.eval(q, wo, mi.PCG32(size=1), mi.Bool(True)).numpy()[0][0]))
    expected = (1 - share) * ends[0] + share * ends[1]
    assert len(np.unique(seen.round(6))) == 2
    assert abs(seen.mean() - expected) < 4.5 * seen.std() / np.sqrt(n) + 1e-6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": np.zeros((12, 7), np.float32)}, "frames does not fit"),
        ({"latents": np.zeros((10, 8), np.float16)}, "latents does not fit"),
        ({"evaluator.b0": np.zeros(31, np.float32)}, r"evaluator\.b0 does not fit"),
        ({"sampler.w2": None}, "sampler network is incomplete"),
        ({"evaluator.w0": np.zeros((32, 26), np.float32)}, r"evaluator\.w0 does not fit"),
    ],
)
def test_wrong_tensors_are_named(change: dict[str, Any], message: str) -> None:
    artifact = make_artifact()
    tensors = {k: v for k, v in {**artifact.tensors, **change}.items() if v is not None}
    with pytest.raises(InputError, match=message):
        NeuralBSDF(Artifact(artifact.header, tensors))


def test_wrong_resolution() -> None:
    artifact = make_artifact()
    with pytest.raises(InputError, match="power of two"):
        NeuralBSDF(Artifact({"lod": {"resolution": 12}}, artifact.tensors))
