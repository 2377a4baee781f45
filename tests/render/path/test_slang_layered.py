"""Layered materials in Slang against Dr.Jit on the same inputs: densities, draws, values."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from etendue.bsdf.base import ShadingPoint
from etendue.bsdf.layered import Layered
from etendue.core.errors import DeviceError, InputError
from etendue.device.slang import load, open_device
from etendue.render.path import slang_layered
from etendue.render.path.slang_neural import DataBuilder
from etendue.scene.material import (
    Channel,
    Layer,
    LayeredMaterial,
    LayerKind,
    ParameterTexture,
    Stack,
)

pytest.importorskip("slangpy", reason="slangpy is not installed: the extra `slang`")
ROOT = Path(__file__).parents[3]
QUERY = np.dtype(
    [
        ("uv", "f4", 2),
        ("footprint", "f4"),
        ("material", "u4"),
        ("wi", "f4", 3),
        ("walks", "u4"),
        ("wo", "f4", 3),
        ("seed", "u4"),
        ("u", "f4", 3),
        ("first", "u4"),
    ]
)
ANSWER = np.dtype(
    [
        ("value", "f4", 3),
        ("pdf", "f4"),
        ("squares", "f4", 3),
        ("wo_pdf", "f4"),
        ("wo", "f4", 3),
        ("unused", "f4"),
        ("weight", "f4", 3),
        ("unused1", "f4"),
    ]
)
DIFFUSE, CONDUCTOR, DIELECTRIC = LayerKind.DIFFUSE, LayerKind.CONDUCTOR, LayerKind.DIELECTRIC


def stack_of(name: str, *layers: Layer) -> LayeredMaterial:
    return LayeredMaterial(name, layers, (Stack((1.0, 1.0, 1.0), tuple(range(len(layers)))),))


def textured() -> LayeredMaterial:
    """Everything at once: three stacks, sheen, a foggy medium, textured normals and weights."""
    rng = np.random.default_rng(4)
    data = rng.uniform(0.05, 0.6, (12, 7, 6)).astype(np.float32)
    data[..., 4:] = rng.uniform(-0.5, 0.5, (12, 7, 2))
    coat = Layer(DIELECTRIC, alpha=(Channel(0), 0.2), normal=(Channel(4), Channel(5)))
    fog = Layer(DIELECTRIC, eta=1.2, tau_scatter=0.4, g=0.4, tau_absorb=(0.1, 0.0, Channel(1)))
    paint = Layer(DIFFUSE, albedo=(0.8, Channel(2), 0.2), roughness=0.4)
    metal = Layer(CONDUCTOR, alpha=(0.08, 0.3), f0=(0.9, 0.7, 0.4), f82=(0.8, 0.9, 1.0))
    return LayeredMaterial(
        "textured",
        (coat, fog, paint, metal),
        (
            Stack((0.4, Channel(3), 0.2), (0, 1, 2)),
            Stack((0.3, 0.2, 0.4), (0, 3), sheen_color=(0.2, 0.3, 0.4)),
            Stack((0.2, 0.1, 0.1), (2,), sheen_color=(0.3, 0.1, 0.1), sheen_roughness=Channel(0)),
        ),
        ParameterTexture(tuple("abcdef"), data),
    )


@cache
def materials() -> tuple[LayeredMaterial, ...]:
    from etendue.scene.materialx import load_material

    coat = Layer(DIELECTRIC, alpha=(0.1, 0.1))
    inner = Layer(DIELECTRIC, alpha=(0.25, 0.15), eta=1.3, tau_absorb=(0.05, 0.2, 0.5))
    matched = Layer(DIELECTRIC, eta=1.0, tau_scatter=0.7, g=-0.3)
    thin = Layer(DIELECTRIC, alpha=(0.2, 0.2), eta=0.8, reflect_tint=(0.9, 0.8, 0.7))
    tilted = Layer(CONDUCTOR, alpha=(0.2, 0.2), f0=(0.9, 0.8, 0.7), normal=(0.3, -0.4))
    return (
        stack_of("coat on paint", coat, Layer(DIFFUSE, albedo=(0.8, 0.5, 0.2), roughness=0.3)),
        stack_of("two interfaces on tilted metal", coat, inner, tilted),
        stack_of("three with a matched one", thin, matched, coat, Layer(DIFFUSE)),
        stack_of("coat on nothing", coat, Layer(LayerKind.BLACK)),
        textured(),
        load_material(ROOT / "assets/materials/pearl_candy.mtlx", resolution=32),
    )


@cache
def program() -> Any:
    """(device, pipeline, buffer, header of each material)."""
    from etendue.render.path.slang_upload import buffer

    try:
        device = open_device("vulkan")
    except DeviceError as error:
        pytest.skip(f"no Vulkan device: {error}")
    builder = DataBuilder()
    builder.add(np.zeros((1, 4), np.float32))
    table = slang_layered.add_sheen(builder)
    headers = [
        slang_layered.add_layered(builder, m, table * slang_layered.has_sheen(m))
        for m in materials()
    ]
    features = slang_layered.layered_features(materials())
    linked = load(
        device,
        "bsdf/query",
        ["query_main"],
        constants={
            "KINDS": 32,
            "LIGHTS": 0,
            "FEATURES": features,
            **slang_layered.layered_constants(materials()),
        },
    )
    kernel = device.raw.create_compute_kernel(linked)
    return device, kernel, buffer(device, builder.data(), 16), headers


def ask(queries: np.ndarray, number: int) -> np.ndarray:
    """Answers of the shaders for material `number`."""
    from etendue.render.path.slang_upload import buffer

    device, kernel, data, headers = program()
    queries["material"] = headers[number]
    out = buffer(device, np.zeros(len(queries), ANSWER), ANSWER.itemsize)
    values = {
        "g_data": data,
        "g_queries": buffer(device, queries, QUERY.itemsize),
        "g_answers": out,
        "g_count": len(queries),
    }
    kernel.dispatch([len(queries), 1, 1], vars=values)
    device.raw.wait()
    return out.to_numpy().view(ANSWER).reshape(-1)


def random_queries(count: int, seed: int) -> np.ndarray:
    rng, queries = np.random.default_rng(seed), np.zeros(count, QUERY)
    for name in ("wi", "wo"):
        z, phi = rng.uniform(0.02, 1.0, count), 2 * np.pi * rng.random(count)
        r = np.sqrt(1 - z * z)
        queries[name] = np.stack([r * np.cos(phi), r * np.sin(phi), z], -1)
    queries["uv"] = rng.uniform(-1.5, 2.5, (count, 2))
    queries["footprint"] = rng.choice([0.0, 0.02, 0.15, 0.7], count)
    queries["u"], queries["walks"], queries["seed"] = rng.random((count, 3)), 1, seed
    return queries


def point(mi: Any, q: np.ndarray) -> tuple[ShadingPoint, Any]:
    p = ShadingPoint(mi.Point2f(q["uv"].T), mi.Vector3f(q["wi"].T), mi.Float(q["footprint"]))
    return p, mi.Vector3f(q["wo"].T)


NUMBERS = range(6)


@pytest.mark.parametrize("number", NUMBERS)
def test_densities_and_draws_are_equal(mi: Any, number: int) -> None:
    queries = random_queries(4000, number)
    got = ask(queries, number)
    bsdf, (p, wo) = Layered(materials()[number]), point(mi, queries)
    pdf = np.array(bsdf.pdf(p, wo, True))
    error = np.abs(got["pdf"] - pdf) / np.maximum(pdf, 1e-7)
    assert np.quantile(error, 0.998) < 1e-5 and error.max() < 1e-3  # both round in float32
    drawn = bsdf.sample(p, mi.Point3f(queries["u"].T), mi.PCG32(size=len(queries)), mi.Bool(True))
    same = np.abs(got["wo"] - np.array(drawn.wo).T).max(1) < 1e-4
    assert same.mean() > 0.999  # a number may fall on either side of a lobe's share
    np.testing.assert_allclose(got["wo_pdf"][same], np.array(drawn.pdf)[same], rtol=2e-3)
    assert np.isfinite(got["weight"]).all() and (got["weight"] >= 0).all()


@pytest.mark.parametrize("number", NUMBERS)
def test_means_of_many_walks_are_equal(mi: Any, number: int) -> None:
    points, copies, walks = 24, 64, 256
    queries = np.repeat(random_queries(points, 50 + number), copies)
    queries["walks"], queries["seed"] = walks, 9
    got = ask(queries, number)["value"].reshape(points, copies, 3).astype(np.float64)
    bsdf, (p, wo) = Layered(materials()[number], walks=walks), point(mi, queries)
    rng = mi.PCG32(size=len(queries), initstate=3)
    twin = np.array(bsdf.eval(p, wo, rng, mi.Bool(True))).T.reshape(points, copies, 3)
    difference = got.mean(1) - twin.mean(1, dtype=np.float64)
    deviation = np.sqrt((got.var(1) + twin.var(1, dtype=np.float64)) / (copies - 1))
    z = difference / np.maximum(deviation, 1e-6 * (1 + np.abs(got.mean(1))))
    assert np.abs(z).max() < 5, z  # 72 numbers
    assert (z**2).mean() < 2.2, z  # channels share walks, so not 1 +- 0.17
    assert got.mean() > 1e-3


@pytest.mark.parametrize("number", [1, 4])
def test_histograms_of_draws_are_equal(mi: Any, number: int) -> None:
    count = 1 << 15
    queries = np.repeat(random_queries(1, 80 + number), count)
    queries["u"] = np.random.default_rng(1).random((count, 3))
    got = ask(queries, number)["wo"]
    bsdf, (p, _) = Layered(materials()[number]), point(mi, queries)
    u = mi.Point3f(np.random.default_rng(2).random((3, count)).astype(np.float32))
    twin = np.array(bsdf.sample(p, u, mi.PCG32(size=count), mi.Bool(True)).wo).T
    edges = [np.linspace(0, 1, 9), np.linspace(-np.pi, np.pi, 13)]

    def bins(wo: np.ndarray) -> np.ndarray:
        upper = wo[wo[:, 2] > 0]
        return np.histogram2d(upper[:, 2], np.arctan2(upper[:, 1], upper[:, 0]), edges)[0].ravel()

    a, b = bins(got), bins(twin)
    used = a + b > 20
    statistic = ((a - b)[used] ** 2 / (a + b)[used]).sum()
    degrees = used.sum()
    assert degrees > 20 and statistic < degrees + 4 * np.sqrt(2 * degrees)
    # the weight is the value over the density: its mean is the reflectance of both
    mean = ask(queries, number)["weight"].astype(np.float64)
    other = np.array(
        bsdf.sample(p, u, mi.PCG32(size=count, initstate=8), mi.Bool(True)).weight
    ).T.astype(np.float64)
    spread = np.sqrt((mean.var(0) + other.var(0)) / count)
    assert (np.abs(mean.mean(0) - other.mean(0)) < 4 * spread).all()


def test_glass_is_refused() -> None:
    glass = stack_of("pane", Layer(DIELECTRIC), Layer(LayerKind.OPEN))
    with pytest.raises(InputError, match=r"pane.*transmits"):
        slang_layered.add_layered(DataBuilder(), glass, 0)


def test_stacks_share_the_lobe_of_what_they_share() -> None:
    lists, places, lobes = slang_layered._positions(textured())
    assert lobes == 3  # the coat, the fog below it, the metal below it
    coat = [p.view(np.uint32)[0, :2].tolist() for p in places]
    assert coat == [[0, 0], [1, 1], [2, 0], [0, 0], [3, 2], [2, 0]]
    assert [x.view(np.uint32)[0, :3].tolist() for x in lists] == [[3, 0, 1], [2, 3, 1], [1, 5, 0]]
