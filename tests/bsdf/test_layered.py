"""The layered reference against an independent forward walk, and its own laws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from etendue.bsdf.layered import Layered
from etendue.scene.material import Layer, LayeredMaterial, LayerKind, Stack

GREY = (1.0, 1.0, 1.0)
RINGS, SECTORS = 6, 8
NAMES = (
    "coat on paint",
    "coat on brushed metal",
    "rough coat on polished metal",
    "two interfaces on paint",
    "two media on metal",
    "three interfaces",
    "tilted layers",
    "tilted, two interfaces",
    "nearly matched interface",
)


def histogram(d: np.ndarray, w: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Energy per bin of (cosine, azimuth) and its standard error, per channel."""
    ring = np.minimum((d[:, 2] * RINGS).astype(int), RINGS - 1)
    sector = (np.arctan2(d[:, 1], d[:, 0]) / (2 * np.pi) % 1 * SECTORS).astype(int) % SECTORS
    index = ring * SECTORS + sector
    size = RINGS * SECTORS

    def bins(x: np.ndarray) -> np.ndarray:
        return np.stack([np.bincount(index, x[:, c], size) for c in range(3)], 1) / n

    mean = bins(w)
    return mean, np.sqrt(np.maximum(bins(w * w) - mean * mean, 1e-16) / n)


@pytest.mark.parametrize("name", NAMES)
def test_equals_forward_walk(
    name: str, stacks: dict, walk_forward: Callable, probe: Any, polar: Callable
) -> None:
    """f cos integrated over 48 bins equals where photons go, in every channel.

    Bins that few photons reach are pooled, for their own spread says nothing of their error.
    """
    material, wi, n = stacks[name], polar(0.6, 1.0), 1 << 19
    photons = n // 2
    d, w = walk_forward(material, wi, photons, seed=11)
    wo, weight, pdf = probe.sample(Layered(material), wi, n, seed=5)
    ok = pdf > 0
    a, sa = histogram(d, w, photons)
    b, sb = histogram(wo[ok], weight[ok], n)
    z = (a - b) / np.hypot(sa, sb)
    common = np.minimum((a / sa).min(1), (b / sb).min(1)) > 16
    assert common.sum() >= 20
    rare = (a - b)[~common].sum(0) / np.maximum(
        np.sqrt((sa**2 + sb**2)[~common].sum(0)), 1e-3 * b.sum(0)
    )
    total = (a - b).sum(0) / np.sqrt((sa**2 + sb**2).sum(0))
    assert np.sqrt(np.mean(z[common] ** 2)) < 1.3
    assert np.abs(z[common]).max() < 4.5
    assert np.abs(rare).max() < 4.5
    assert np.abs(total).max() < 4
    assert a.sum(0) == pytest.approx(b.sum(0), rel=0.02)


def test_sum_of_stacks(stacks: dict, probe: Any, polar: Callable) -> None:
    """The estimate of a mixture equals the weighted sum of its stacks."""
    material = stacks["mix of stacks"]
    plain = replace(
        material, stacks=tuple(replace(s, sheen_color=(0.0, 0.0, 0.0)) for s in material.stacks)
    )
    wi, wo = polar(0.7, 0.5), np.tile(polar(0.5, 2.8), (1 << 17, 1))
    total, variance = np.zeros(3), np.zeros(3)
    for stack in plain.stacks:
        alone = replace(plain, stacks=(replace(stack, weight=GREY),))
        values = probe.eval(Layered(alone), wi, wo) * np.array(stack.weight)
        total += values.mean(0)
        variance += values.var(0) / len(wo)
    mixed = probe.eval(Layered(plain), wi, wo)
    z = (mixed.mean(0) - total) / np.sqrt(variance + mixed.var(0) / len(wo))
    assert np.abs(z).max() < 4
    assert total.min() > 0.01


def lossless(kind: LayerKind, **fields: Any) -> Layer:
    if kind == LayerKind.DIFFUSE:
        return Layer(kind, albedo=GREY, **fields)
    return Layer(kind, **fields)


FURNACES = {
    "coat on white": (
        lossless(LayerKind.DIELECTRIC, alpha=(0.1, 0.1)),
        lossless(LayerKind.DIFFUSE),
    ),
    "coat on silver": (
        lossless(LayerKind.DIELECTRIC, alpha=(0.3, 0.3)),
        lossless(LayerKind.CONDUCTOR, alpha=(0.2, 0.2)),
    ),
    "two coats and fog on silver": (
        lossless(LayerKind.DIELECTRIC, alpha=(0.2, 0.2), tau_scatter=0.3, g=0.5),
        lossless(LayerKind.DIELECTRIC, alpha=(0.3, 0.3), eta=1.4),
        lossless(LayerKind.CONDUCTOR, alpha=(0.2, 0.2)),
    ),
}


@pytest.fixture(scope="module")
def lobe_albedo(mi: Any) -> Callable[[Layer, np.ndarray, np.ndarray], np.ndarray]:
    """Albedo of one layer's single-scattering lobes by quadrature of their values."""
    import drjit as dr

    from etendue.bsdf.dielectric import reflect_lobe, refract_lobe
    from etendue.bsdf.ggx import reflection

    tables: dict[tuple, np.ndarray] = {}
    cosines = np.linspace(0.004, 1, 96)

    def table(kind: LayerKind, alpha: float, eta: float) -> np.ndarray:
        rings, sectors = 1024, 1024
        n = rings * sectors
        i = dr.arange(mi.UInt, n)
        # rings of equal angle: refraction lobes around the pole are narrower than rings in cosine
        s, z = dr.sincos((mi.Float(i // sectors) + 0.5) * (np.pi / 2 / rings))
        phi = (mi.Float(i % sectors) + 0.5) * (2 * np.pi / sectors)
        up = mi.Vector3f(s * dr.cos(phi), s * dr.sin(phi), z)
        down = mi.Vector3f(up.x, up.y, -up.z)
        out = []
        for c in cosines:
            w = mi.Vector3f(mi.Float(np.float32(np.sqrt(1 - c * c))), 0.0, mi.Float(np.float32(c)))
            dr.make_opaque(w)
            if kind == LayerKind.CONDUCTOR:
                value = reflection(w, up, alpha, alpha).value
            else:
                f, r = reflect_lobe(w, up, alpha, alpha, mi.Float(eta))
                t, q = refract_lobe(w, down, alpha, alpha, mi.Float(eta))
                value = f * r.value + t * q.value
            out.append(float(dr.mean(value * s)[0]) * np.pi**2)
        return np.array(out)

    def albedo(layer: Layer, w: np.ndarray, below: np.ndarray) -> np.ndarray:
        if layer.kind == LayerKind.DIFFUSE:
            return np.ones(len(w))
        out = np.empty(len(w))
        for side in (False, True):
            eta = 1 / layer.eta if side else layer.eta
            key = (layer.kind, layer.alpha[0], eta)
            if (below == side).any() and key not in tables:
                tables[key] = table(*key)
            if (below == side).any():
                out[below == side] = np.interp(w[below == side, 2], cosines, tables[key])
        return out

    return albedo


@pytest.mark.parametrize("name", FURNACES)
@pytest.mark.parametrize("cosine", [1.0, 0.9, 0.75, 0.6, 0.4, 0.25, 0.15, 0.08])
def test_white_furnace(
    name: str,
    cosine: float,
    lobe_albedo: Callable,
    walk_forward: Callable,
    probe: Any,
    polar: Callable,
) -> None:
    """What a lossless stack does not return is the stated single-scattering loss of its lobes."""
    layers = FURNACES[name]
    material = LayeredMaterial("furnace", layers, (Stack(GREY, tuple(range(len(layers)))),))
    wi, n, lost = polar(cosine, 0.4), 1 << 16, [0.0]

    def ledger(layer: Layer, w: np.ndarray, below: np.ndarray, weight: np.ndarray) -> None:
        lost[0] += float(np.sum(weight[:, 0] * (1 - lobe_albedo(layer, w, below))))

    _, weight = walk_forward(material, wi, n, seed=3, ledger=ledger)
    out = weight[:, 0].sum() / n
    assert out + lost[0] / n == pytest.approx(1.0, abs=0.005)
    _, value, _ = probe.sample(Layered(material), wi, 1 << 20, seed=8)
    error = value[:, 0].std() / 1024 + weight[:, 0].std() / np.sqrt(n)
    assert value[:, 0].mean() == pytest.approx(out, abs=0.002 + 3 * error)


@pytest.mark.parametrize("base", [LayerKind.DIFFUSE, LayerKind.CONDUCTOR])
def test_identity_interfaces_change_nothing(base: LayerKind, probe: Any, polar: Callable) -> None:
    """Matched interfaces of any roughness over a base are exactly that base."""
    opaque = Layer(base, alpha=(0.1, 0.3), f0=(0.9, 0.6, 0.3), normal=(0.1, 0.2), roughness=0.5)
    matched = Layer(LayerKind.DIELECTRIC, alpha=(0.4, 0.2), eta=1.0, normal=(-0.2, 0.1))
    bare = LayeredMaterial("bare", (opaque,), (Stack(GREY, (0,)),))
    wi = polar(0.5, 2.0)
    rng = np.random.default_rng(0)
    wo = rng.normal(size=(2000, 3))
    wo[:, 2] = np.abs(wo[:, 2])
    wo /= np.linalg.norm(wo, axis=1, keepdims=True)
    expected = probe.eval(Layered(bare), wi, wo)
    assert expected.max() > 0.1
    for count in (1, 2):
        layers = (*(matched,) * count, opaque)
        stack = LayeredMaterial("stack", layers, (Stack(GREY, tuple(range(count + 1))),))
        # interreflection with a matched interface is impossible, so one walk is exact
        np.testing.assert_allclose(
            probe.eval(Layered(stack), wi, wo), expected, rtol=2e-3, atol=1e-5
        )


@pytest.mark.parametrize("name", ["coat on brushed metal", "two media on metal", "mix of stacks"])
def test_reciprocity(name: str, stacks: dict, probe: Any, polar: Callable) -> None:
    """f(wi, wo) = f(wo, wi) within statistical error where all layers lie in one frame."""
    material = stacks[name]
    level = tuple(replace(layer, normal=(0.0, 0.0)) for layer in material.layers)
    bsdf = Layered(replace(material, layers=level))
    n = 1 << 17
    for a, b in ((polar(0.8, 0.2), polar(0.6, 3.0)), (polar(0.3, 1.0), polar(0.9, 5.0))):
        forth = probe.eval(bsdf, a, np.tile(b, (n, 1)), seed=1) / b[2]
        back = probe.eval(bsdf, b, np.tile(a, (n, 1)), seed=2) / a[2]
        z = (forth.mean(0) - back.mean(0)) / np.sqrt((forth.var(0) + back.var(0)) / n)
        assert np.abs(z).max() < 4.5
        assert forth.mean(0) == pytest.approx(back.mean(0), rel=0.05)


@pytest.mark.parametrize("cosine", [1.0, 0.7, 0.3, 0.05])
def test_albedo_below_one(cosine: float, stacks: dict, probe: Any, polar: Callable) -> None:
    """Directional albedo stays at or below one, in every channel."""
    for name in ("coat on paint", "mix of stacks", "three interfaces"):
        _, weight, _ = probe.sample(Layered(stacks[name]), polar(cosine, 1.0), 1 << 17, seed=2)
        error = weight.std(0).max() / np.sqrt(1 << 17)
        assert weight.mean(0).max() <= 1 + 4 * error


def test_walks_average(stacks: dict, probe: Any, polar: Callable) -> None:
    """`walks` keeps the mean and divides the variance."""
    material = stacks["coat on brushed metal"]
    wi, wo = polar(0.8, 0.2), np.tile(polar(0.7, 3.4), (1 << 15, 1))
    one = probe.eval(Layered(material), wi, wo, seed=1)[:, 0]
    many = probe.eval(Layered(material, walks=16), wi, wo, seed=2)[:, 0]
    error = np.sqrt((one.var() + many.var()) / len(wo))
    assert abs(one.mean() - many.mean()) < 4 * error
    assert many.var() < one.var() / 10


def test_joint_call_equals_single_calls(mi: Any, stacks: dict, probe: Any, polar: Callable) -> None:
    """`eval_pdf_sample` has the pdf and direction of the single calls and the same means."""
    bsdf, n = Layered(stacks["two media on metal"]), 1 << 17
    wi, target = polar(0.6, 0.0), polar(0.8, 3.0)
    rng = mi.PCG32(size=n, initseq=4)
    u = mi.Point3f(rng.next_float32(), rng.next_float32(), rng.next_float32())
    p, wo = probe.point(wi, n), mi.Vector3f(*(float(x) for x in target))
    value, pdf, drawn = bsdf.eval_pdf_sample(p, wo, u, rng, mi.Bool(True))
    alone = bsdf.sample(p, u, rng, mi.Bool(True))
    np.testing.assert_array_equal(drawn.wo.numpy(), alone.wo.numpy())
    np.testing.assert_allclose(drawn.pdf.numpy(), alone.pdf.numpy(), rtol=1e-6)
    expected = probe.pdf(bsdf, wi, target[None])[0]
    np.testing.assert_allclose(pdf.numpy(), expected, rtol=1e-5)
    single = probe.eval(bsdf, wi, np.tile(target, (n, 1)), seed=9)
    joint = value.numpy().T
    z = (single.mean(0) - joint.mean(0)) / np.sqrt((single.var(0) + joint.var(0)) / n)
    assert np.abs(z).max() < 4.5
    a, b = drawn.weight.numpy().T, alone.weight.numpy().T
    z = (a.mean(0) - b.mean(0)) / np.sqrt((a.var(0) + b.var(0)) / n)
    assert np.abs(z).max() < 4.5
