"""Neural materials that transmit: charts, densities over the sphere, the numpy twin."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from etendue.artifact import Artifact, read_artifact, write_artifact
from etendue.core.errors import InputError
from etendue.scene.material import (
    Channel,
    Interior,
    Layer,
    LayeredMaterial,
    LayerKind,
    ParameterTexture,
    Stack,
)

GREY = (1.0, 1.0, 1.0)
INCIDENCES = ((0.95, 0.3), (0.5, 2.0), (0.1, 4.0), (-0.9, 1.0), (-0.4, 5.0))


def random_artifact(*, two_sided: bool, eta: float = 1.5, delta: bool = False) -> Artifact:
    """Untrained networks of the right shapes: laws must hold whatever was learned."""
    import torch

    from etendue.bake.network import init_params
    from etendue.bsdf.transmission_artifact import KNOTS, describe_delta, lobes_of

    rng = np.random.default_rng(3)
    tensors: dict[str, np.ndarray] = {}
    for n, lobe in enumerate(lobes_of(two_sided)):
        generator = torch.Generator().manual_seed(n)
        own = {k: v.numpy() for k, v in init_params("2x16", "2x16", generator).items()}
        own["latents"] = rng.normal(size=(1, 8)).astype(np.float16)
        own["energy"] = np.ones((33, 3), np.float32)
        own["albedo"] = np.zeros((3, 9), np.float32)
        own["scale"] = rng.uniform(0.2, 0.5, (KNOTS, 3)).astype(np.float32)
        tensors |= {f"{lobe.name}.{k}": v for k, v in own.items()}
    for side in ("above", "below"):
        chance = rng.uniform(0.2, 0.8, (KNOTS, 1))
        table = np.concatenate([chance, np.full((KNOTS, 2), 0.6)], 1)
        tensors[f"share.{side}"] = table.astype(np.float32)
    described: dict[str, Any] = {}
    if delta:
        described, texture = describe_delta(filmed(solid=not two_sided))
        tensors |= texture
    about = {
        "two_sided": two_sided, "neural": True, "eta": eta, "absorption": [0.1, 0.2, 0.3],
        "delta": described or None,
    }  # fmt: skip
    header = {"kind": "material", "name": "r", "lod": {"resolution": 1}, "transmission": about}
    return Artifact(header, tensors)


def filmed(solid: bool) -> LayeredMaterial:
    """A smooth film whose thickness is textured, beside rough glass."""
    data = np.linspace(100, 600, 2 * 64, dtype=np.float32).reshape(8, 8, 2)
    film = Layer(
        LayerKind.DIELECTRIC, eta=1.5 if solid else 1.0, smooth=True, film_eta=1.33,
        film_thickness=Channel(1),
    )  # fmt: skip
    rough = Layer(LayerKind.DIELECTRIC, eta=1.5)
    half = (0.4, 0.4, 0.4)
    return LayeredMaterial(
        "film", (film, rough, Layer(LayerKind.OPEN)), (Stack(half, (0, 2)), Stack(half, (1, 2))),
        ParameterTexture(("unused", "thickness"), data), interior=Interior() if solid else None,
    )  # fmt: skip


CASES = {
    "solid": {"two_sided": False},
    "wall": {"two_sided": True, "eta": 1.0},
    "solid with film": {"two_sided": False, "delta": True},
    "wall with film": {"two_sided": True, "eta": 1.0, "delta": True},
}


def views(name: str) -> list[tuple[float, float]]:
    return [x for x in INCIDENCES if x[0] > 0 or not CASES[name]["two_sided"]]


def test_charts_invert_each_other(mi: Any, probe: Any, polar: Callable) -> None:
    """True directions come back, straight transmission is a mirror image, Jacobians are right."""
    import drjit as dr

    from etendue.bsdf.hemispheres import Chart
    from etendue.bsdf.transmission_artifact import lobes_of

    rng = np.random.default_rng(0)
    for eta in (1.5, 1 / 1.5, 1.0):
        for lobe in lobes_of(False):
            chart = Chart(lobe, eta)
            side = 1 if lobe.above else -1
            wi = rng.normal(size=(200, 3))
            wi[:, 2] = side * (np.abs(wi[:, 2]) + 0.05)
            wi /= np.linalg.norm(wi, axis=1, keepdims=True)
            w = mi.Vector3f(np.ascontiguousarray(wi.T.astype(np.float32)))
            np.testing.assert_allclose(chart.true_wi(chart.wi(w)).numpy().T, wi, atol=2e-3)
            out = wi * [1, 1, -1 if lobe.through else 1]
            o = mi.Vector3f(np.ascontiguousarray(out.T.astype(np.float32)))
            back, ok = chart.true_wo(chart.wo(o))
            np.testing.assert_allclose(back.numpy().T, out, atol=2e-3)
            assert dr.all(ok)
            if lobe.through:
                bent = np.stack([-wi[:, 0] / eta, -wi[:, 1] / eta], 1)
                keep = (bent**2).sum(1) < 0.98
                z = -side * np.sqrt(1 - (bent[keep] ** 2).sum(1))
                straight = np.column_stack([bent[keep], z]).astype(np.float32)
                b = chart.wo(mi.Vector3f(np.ascontiguousarray(straight.T))).numpy()
                a = chart.wi(w).numpy()[:, keep]
                np.testing.assert_allclose(b, a * [[-1], [-1], [1]], atol=2e-3)
            # area of the chart = integral of the Jacobian over the true hemisphere
            z = (np.arange(20_000) + 0.5) / 20_000
            across = np.stack([np.sqrt(1 - z * z), 0 * z, z * (back.numpy()[2, 0] > 0 or -1)])
            area = chart.jacobian(mi.Vector3f(across.astype(np.float32))).numpy().mean()
            assert area == pytest.approx(1 - np.sqrt(1 - min(chart.far, 1.0) ** 2), rel=2e-2)


@pytest.mark.parametrize("name", CASES)
def test_chi_square_over_the_sphere(name: str, mi: Any, probe: Any, polar: Callable) -> None:
    """What is not a delta follows `pdf`, whose integral is the share of such draws."""
    import drjit as dr
    from mitsuba.chi2 import ChiSquareTest, SphericalDomain

    from etendue.bsdf.neural_transmission import NeuralTransmission

    bsdf = NeuralTransmission(random_artifact(**CASES[name]))
    cases = views(name)
    for cosine, azimuth in cases:
        wi = polar(abs(cosine), azimuth) * [1, 1, np.sign(cosine)]

        def sample(u: Any, wi: np.ndarray = wi) -> Any:
            n = dr.width(u)
            s = bsdf.sample(probe.point(wi, n), u, mi.PCG32(size=n), mi.Bool(True))
            return s.wo, dr.select((s.pdf > 0) & ~s.delta, mi.Float(1), 0)

        def pdf(wo: Any, wi: np.ndarray = wi) -> Any:
            return bsdf.pdf(probe.point(wi, dr.width(wo)), wo, mi.Bool(True))

        test: Any = ChiSquareTest(
            SphericalDomain(), sample, pdf, sample_dim=3, sample_count=200_000, res=60, ires=32
        )
        test._dump_tables = lambda: None
        assert test.run(significance_level=0.01 / len(cases), quiet=True), test.messages


@pytest.mark.parametrize("name", CASES)
def test_numpy_twin(name: str, mi: Any, probe: Any) -> None:
    """Value, density, and draws of the twin, deltas included."""
    from etendue.bsdf.neural_transmission import NeuralTransmission
    from etendue.render.build_twin_transmission import TransmissionTwin

    artifact = random_artifact(**CASES[name])
    fast, slow = NeuralTransmission(artifact), TransmissionTwin(artifact)
    rng, n = np.random.default_rng(1), 100
    wi, wo = (rng.normal(size=(n, 3)) for _ in range(2))
    wi, wo = (w / np.linalg.norm(w, axis=1, keepdims=True) for w in (wi, wo))
    if fast.two_sided:
        wi[:, 2] = np.abs(wi[:, 2])
    u, uv = rng.random((n, 3)), np.array([0.3, 0.7])
    p = probe.point(wi[0], n)

    def vector(x: np.ndarray) -> Any:
        return mi.Vector3f(np.ascontiguousarray(x.T.astype(np.float32)))

    p.wi = vector(wi)
    value = fast.eval(p, vector(wo), mi.PCG32(size=n), mi.Bool(True)).numpy().T
    density = fast.pdf(p, vector(wo), mi.Bool(True)).numpy()
    drawn = fast.sample(p, mi.Point3f(*vector(u)), mi.PCG32(size=n), mi.Bool(True))
    joint = fast.eval_pdf_sample(
        p, vector(wo), mi.Point3f(*vector(u)), mi.PCG32(size=n), mi.Bool(True)
    )
    np.testing.assert_allclose(joint[0].numpy().T, value, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(joint[1].numpy(), density, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(joint[2].wo.numpy(), drawn.wo.numpy(), atol=1e-5)
    theirs = [slow.draw(uv, wi[i], u[i], 0.0, rng) for i in range(n)]
    np.testing.assert_allclose(
        value, [slow.eval(uv, wi[i], wo[i], 0.0, rng) for i in range(n)], rtol=5e-3, atol=1e-4
    )
    np.testing.assert_allclose(
        density, [slow.pdf(uv, wi[i], wo[i], 0.0) for i in range(n)], rtol=5e-3, atol=1e-4
    )
    pdf = np.array([d.pdf for d in theirs])
    both = (pdf > 0) & (drawn.pdf.numpy() > 0)
    assert ((pdf > 0) == (drawn.pdf.numpy() > 0)).mean() > 0.98
    same = both & (np.array([d.delta for d in theirs]) == drawn.delta.numpy())
    directions = np.array([d.wo for d in theirs])
    close = np.abs(drawn.wo.numpy().T - directions).max(1) < 1e-3
    assert (same & close).sum() > 0.97 * both.sum()  # u at the edge of two parts may differ
    keep = same & close
    weights = np.array([d.weight for d in theirs])[keep]
    np.testing.assert_allclose(drawn.weight.numpy().T[keep], weights, rtol=0.05, atol=2e-2)
    if CASES[name].get("delta"):
        assert drawn.delta.numpy().any()
        assert not drawn.delta.numpy().all()


def test_all_delta_needs_no_network(mi: Any, probe: Any, polar: Callable, tmp_path: Path) -> None:
    """A bubble's artifact is its film; reading it back draws what the reference draws."""
    from dataclasses import replace

    from etendue.bake.material import bake
    from etendue.bake.settings import BakeSettings
    from etendue.bsdf.neural_transmission import NeuralTransmission
    from etendue.bsdf.transmission import Transmissive

    material = filmed(solid=False)
    material = replace(material, stacks=(Stack(GREY, (0, 2)),))
    settings = BakeSettings(resolution=8, steps=1)
    bake(material, settings, tmp_path / "bubble.eta")
    artifact = read_artifact(tmp_path / "bubble.eta", kind="material")
    assert set(artifact.tensors) == {"delta.texture"}
    assert artifact.tensors["delta.texture"].shape == (8, 8, 1)
    wi = polar(0.4, 1.0)
    ours, theirs = NeuralTransmission(artifact), Transmissive(material)
    for a, b in zip(
        probe.sample(ours, wi, 4096, 1), probe.sample(theirs, wi, 4096, 1), strict=True
    ):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_incomplete_artifacts_are_rejected(tmp_path: Path) -> None:
    from etendue.bsdf.neural_transmission import NeuralTransmission

    whole = random_artifact(two_sided=False)
    lacking = {k: v for k, v in whole.tensors.items() if k != "transmit.below.scale"}
    with pytest.raises(InputError, match=r"transmit\.below\.scale"):
        NeuralTransmission(Artifact(whole.header, lacking))
    for about in ({}, {"two_sided": 1}, {**whole.header["transmission"], "eta": "x"}):
        with pytest.raises(InputError, match="describes no transmission"):
            NeuralTransmission(Artifact({**whole.header, "transmission": about}, whole.tensors))
    bad = {**whole.header["transmission"], "delta": {"layers": [{"kind": 3}], "stacks": []}}
    with pytest.raises(InputError, match="delta parts"):
        NeuralTransmission(Artifact({**whole.header, "transmission": bad}, whole.tensors))
    write_artifact(tmp_path / "w.eta", whole)
    assert NeuralTransmission.load(tmp_path / "w.eta").eta == 1.5
