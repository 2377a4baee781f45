"""Texture lookups, frames and validation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from etendue.bsdf.layered import Layered
from etendue.core.errors import InputError
from etendue.scene.material import (
    Channel,
    Layer,
    LayeredMaterial,
    LayerKind,
    ParameterTexture,
    Stack,
)

GREY = (1.0, 1.0, 1.0)


def textured(data: np.ndarray, *layers: Layer) -> LayeredMaterial:
    names = tuple(f"c{i}" for i in range(data.shape[2]))
    stack = Stack(GREY, tuple(range(len(layers))))
    return LayeredMaterial("textured", layers, (stack,), ParameterTexture(names, data))


def bilinear(data: np.ndarray, u: float, v: float) -> np.ndarray:
    """The contract in plain words: texel centres at (i + 0.5) / N, both axes wrap."""
    h, w, _ = data.shape
    x, y = u * w - 0.5, v * h - 0.5
    x0, y0 = int(np.floor(x)), int(np.floor(y))
    out = np.zeros(data.shape[2])
    for dy in (0, 1):
        for dx in (0, 1):
            weight = (1 - abs(x - x0 - dx)) * (1 - abs(y - y0 - dy))
            out += weight * data[(y0 + dy) % h, (x0 + dx) % w]
    return out


@pytest.mark.parametrize("channels", [1, 2, 3, 8, 11, 17])
def test_lookup(mi: Any, channels: int) -> None:
    """Every channel of every packing equals the plain bilinear lookup, wrapping included."""
    from etendue.bsdf.texels import Texels

    rng = np.random.default_rng(channels)
    data = rng.random((3, 5, channels)).astype(np.float32)
    uv = np.concatenate([rng.uniform(-2, 2, (64, 2)), [[0, 0], [1, 1], [0.1, 0.5]]])
    found = Texels([data]).lookup(mi.Point2f(uv.T.astype(np.float32)), mi.Bool(True))
    expected = np.array([bilinear(data, u, v) for u, v in uv])
    for c in range(channels):
        np.testing.assert_allclose(found[c].numpy(), expected[:, c], atol=2e-5)


@pytest.mark.parametrize("shape", [(8, 8), (5, 3), (1, 6), (1, 1)])
def test_levels_keep_the_mean(mi: Any, shape: tuple[int, int]) -> None:
    """The last level is one texel; for powers of two it is the mean, and levels can be read."""
    from etendue.bsdf.texels import Texels, averaged_levels

    data = np.random.default_rng(0).random((*shape, 3)).astype(np.float32)
    levels = averaged_levels(data)
    assert levels[-1].shape == (1, 1, 3)
    if shape == (8, 8):
        np.testing.assert_allclose(levels[-1][0, 0], data.mean((0, 1)), rtol=1e-5)
    texels = Texels(levels)
    for k, level in enumerate(levels):
        found = texels.lookup(mi.Point2f(0.37, 0.81), mi.Bool(True), mi.UInt(k))
        expected = bilinear(level, 0.37, 0.81)
        np.testing.assert_allclose([c.numpy()[0] for c in found], expected, atol=1e-5)


def test_footprint_averages(mi: Any, probe: Any, polar: Callable) -> None:
    """A footprint of one texel period returns the mean colour, and zero the texel's own."""
    data = np.array([[[0.2], [0.8]]], np.float32)
    white = Layer(LayerKind.DIFFUSE, albedo=(Channel(0),) * 3)
    bsdf, n = Layered(textured(data, white)), 1 << 16
    point = probe.point(polar(0.9, 0.0), n, uv=(0.25, 0.5))
    wo = mi.Vector3f(0.0, 0.6, 0.8)
    rng = mi.PCG32(size=n)
    sharp = bsdf.eval(point, wo, rng, mi.Bool(True)).numpy()[0] * np.pi / 0.8
    np.testing.assert_allclose(sharp, 0.2, rtol=1e-4)
    point.footprint = mi.Float(1.0)
    blurred = bsdf.eval(point, wo, rng, mi.Bool(True)).numpy()[0] * np.pi / 0.8
    assert blurred.mean() == pytest.approx(0.5, abs=0.005)


def test_layer_frame(mi: Any) -> None:
    """Normal and tangent as the data model says, right-handed and orthonormal."""
    from etendue.bsdf.layered_params import frame_of

    frame = frame_of((mi.Float(0.3), mi.Float(-0.4)), (mi.Float(0.6), mi.Float(0.8)))
    axes = np.stack([x.numpy()[:, 0] for x in (frame.s, frame.t, frame.n)])
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-6)
    assert np.linalg.det(axes) == pytest.approx(1, abs=1e-5)
    expected = np.array([0.3, -0.4, 1.0])
    np.testing.assert_allclose(axes[2], expected / np.linalg.norm(expected), atol=1e-6)
    assert axes[0] @ [0.6, 0.8, 0] > 0.9


def test_visible_slopes(mi: Any) -> None:
    """Slopes that face away are scaled until the viewer is above; others stay."""
    import drjit as dr

    from etendue.bsdf.layered_params import visible_slopes

    w = dr.normalize(mi.Vector3f(1.0, 0.0, 0.1))
    sx, sy = visible_slopes((mi.Float(-1.0), mi.Float(0.5)), w)
    n = np.array([sx[0], sy[0], 1.0])
    assert n @ w.numpy()[:, 0] > 0
    assert sy[0] / sx[0] == pytest.approx(-0.5)
    sx, sy = visible_slopes((mi.Float(1.0), mi.Float(0.5)), w)
    assert (sx[0], sy[0]) == (1.0, 0.5)


UNIT = st.floats(0, 1, width=32)
SHAPE = (4, 8, 14)


@settings(max_examples=12)
@given(arrays(np.float32, SHAPE, elements=UNIT), st.sampled_from([1e-4, 0.01, 0.3, 1.0]))
def test_no_nan_for_any_parameters(raw: np.ndarray, cosine: float) -> None:
    """Extreme parameters and grazing directions give finite, non-negative results."""
    from etendue.device.drjit import activate

    mi = activate()
    low = np.array([0.03, 0.03, -3, -3, 0.5, 0, 0, -0.95, 0.03, 0.03, -3, -3, 0, -1])
    high = np.array([1, 1, 3, 3, 3, 8, 8, 0.95, 1, 1, 3, 3, 1, 1])
    data = (low + (high - low) * raw).astype(np.float32)
    c = [Channel(i) for i in range(14)]
    top = Layer(
        LayerKind.DIELECTRIC,
        alpha=(c[0], c[1]),
        normal=(c[2], c[3]),
        tangent=(c[13], c[7]),
        eta=c[4],
        tau_absorb=(c[5], c[5], 0.0),
        tau_scatter=c[6],
        g=c[7],
    )
    metal = Layer(
        LayerKind.CONDUCTOR,
        alpha=(c[8], c[9]),
        normal=(c[10], c[11]),
        f0=(c[12], 1.0, 0.0),
        f82=(c[12], 0.0, 1.0),
    )
    paint = Layer(LayerKind.DIFFUSE, albedo=(c[12], 1.0, 0.0), roughness=c[12])
    second = replace(top, alpha=(c[1], c[8]), normal=(c[10], c[3]), tau_scatter=0.0)
    material = LayeredMaterial(
        "extreme",
        (top, second, metal, paint),
        (
            Stack((0.3, 0.3, 0.3), (0, 1, 2)),
            Stack((c[12], 0.3, 0.0), (0, 3), sheen_color=(c[12],) * 3, sheen_roughness=c[12]),
        ),
        ParameterTexture(tuple(map(str, range(14))), data),
    )
    from etendue.bsdf.base import ShadingPoint

    n, rng = 1 << 15, np.random.default_rng(0)
    phi = rng.random(n) * 2 * np.pi
    z = np.where(rng.random(n) < 0.5, cosine, rng.random(n) * 0.999 + 1e-6)
    s = np.sqrt(1 - z * z)
    wi = mi.Vector3f(np.stack([s * np.cos(phi), s * np.sin(phi), z]).astype(np.float32))
    uv = mi.Point2f(rng.random((2, n)).astype(np.float32))
    u = mi.Point3f(rng.random((3, n)).astype(np.float32))
    wo = mi.Vector3f(mi.Float(np.roll(wi.x.numpy(), 1)), mi.Float(np.roll(wi.y.numpy(), 1)), 0.0)
    wo.z = mi.Float(np.roll(wi.z.numpy(), 1))
    bsdf = Layered(material)
    point = ShadingPoint(uv, wi, mi.Float(0.0))
    value, pdf, drawn = bsdf.eval_pdf_sample(point, wo, u, mi.PCG32(size=n), mi.Bool(True))
    for x in (value, pdf, drawn.weight, drawn.pdf, bsdf.albedo(point, mi.Bool(True))):
        found = x.numpy()
        assert np.isfinite(found).all()
        assert (found >= 0).all()
    np.testing.assert_allclose(np.linalg.norm(drawn.wo.numpy(), axis=0), 1, atol=1e-3)
    assert bsdf.albedo(point, mi.Bool(True)).numpy().max() <= 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: replace(m, stacks=()), "no stack"),
        (lambda m: replace(m, stacks=(Stack(GREY, ()),)), "no layers"),
        (lambda m: replace(m, stacks=(Stack(GREY, (0, 7)),)), "does not exist"),
        (lambda m: replace(m, stacks=(Stack(GREY, (0,)),)), "opaque"),
        (lambda m: replace(m, stacks=(Stack(GREY, (1, 1)),)), "opaque"),
        (
            lambda m: replace(
                m, texture=ParameterTexture(("a",), np.full((1, 1, 1), np.nan, np.float32))
            ),
            "NaN",
        ),
        (
            lambda m: replace(
                m, layers=(m.layers[0], Layer(LayerKind.DIFFUSE, roughness=Channel(3)))
            ),
            "channel",
        ),
    ],
)
def test_bad_descriptions_are_rejected(mi: Any, change: Callable, words: str) -> None:
    """Each mistake is one clear error."""
    good = LayeredMaterial(
        "m", (Layer(LayerKind.DIELECTRIC), Layer(LayerKind.DIFFUSE)), (Stack(GREY, (0, 1)),)
    )
    Layered(good)
    with pytest.raises(InputError, match=words):
        Layered(change(good))
