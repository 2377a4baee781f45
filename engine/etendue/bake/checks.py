"""Statistical checks of a baked material that a report lists."""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from etendue.bsdf.base import InlineBSDF, ShadingPoint
from etendue.bsdf.neural import NeuralBSDF

HORIZON = 1e-6  # draws nearer to it round into the histogram's cells below
ALBEDO_SAMPLES = 1024  # of each direction and texel
AGAIN = 32  # so many of the largest are measured again, with as many times more samples
INCIDENCES = (0.0, 20.0, 40.0, 50.0, 60.0, 70.0, 80.0, 85.0)  # degrees from the normal


def direction(degrees: float, azimuth: float = 0.7) -> tuple[float, float, float]:
    """Unit vector at `degrees` from +z."""
    theta = np.radians(degrees)
    x, y = np.sin(theta) * np.cos(azimuth), np.sin(theta) * np.sin(azimuth)
    return float(x), float(y), float(np.cos(theta))


def point(
    uv: tuple[float, float], wi: tuple[float, float, float], lanes: int, footprint: float = 0.0
) -> ShadingPoint:
    """The same shading point on every lane."""
    zero = dr.zeros(mi.Float, lanes)
    at = mi.Point2f(uv[0] + zero, uv[1] + zero)
    return ShadingPoint(at, mi.Vector3f(*wi) + zero, zero + footprint)


def sideways() -> Any:
    """The sphere for `mitsuba.chi2`, with its poles at +-x.

    A pole's cell is wide: a lobe of a few degrees around +z would be lost between the points of
    its quadrature. The horizon stays a border of cells.
    """
    from mitsuba.chi2 import SphericalDomain

    class Sideways(SphericalDomain):
        def map_forward(self, p: Any) -> Any:
            v = super().map_forward(p)
            return mi.Vector3f(v.z, v.x, v.y)

        def map_backward(self, p: Any) -> Any:
            return super().map_backward(mi.Vector3f(p.y, p.z, p.x))

    return Sideways()


def chi_squared(
    bsdf: InlineBSDF,
    uv: tuple[float, float],
    degrees: float,
    samples: int = 200_000,
    footprint: float = 0.0,
) -> bool:
    """`mitsuba.chi2` of sample against pdf at one point, footprint and incidence.

    Incidences beyond 90 degrees look from below. Delta directions have no density and do not count.
    """
    from mitsuba.chi2 import ChiSquareTest

    wi = direction(degrees)

    def sample(u: Any, *_: Any) -> tuple[Any, Any]:
        lanes = dr.width(u)
        order = mi.Point3f(u[2], u[0], u[1])
        found = bsdf.sample(
            point(uv, wi, lanes, footprint), order, mi.PCG32(size=lanes), mi.Bool(True)
        )
        clear = (found.pdf > 0) & (dr.abs(found.wo.z) > HORIZON)
        if found.delta is not None:
            clear &= ~found.delta
        # a lost draw may be any vector
        return dr.select(clear, found.wo, mi.Vector3f(0, 0, 1)), dr.select(clear, 1.0, 0.0)

    def density(wo: Any) -> Any:
        return bsdf.pdf(point(uv, wi, dr.width(wo), footprint), wo, mi.Bool(True))

    test: Any = ChiSquareTest(
        domain=sideways(),
        sample_func=sample,
        pdf_func=density,
        sample_dim=3,
        sample_count=samples,
        res=60,
        ires=64,  # coarser quadrature rejects correct densities of narrow lobes at grazing views
    )
    test._dump_tables = lambda: None  # otherwise a failure leaves a file in the working folder
    return bool(test.run(significance_level=0.01 / len(INCIDENCES), quiet=True))


def chi_squared_table(bsdf: InlineBSDF, uv: tuple[float, float]) -> list[dict[str, Any]]:
    """`chi_squared` at every incidence."""
    return [{"degrees": d, "passed": chi_squared(bsdf, uv, d)} for d in INCIDENCES]


def chi_squared_mips(neural: NeuralBSDF, uv: tuple[float, float]) -> list[dict[str, Any]]:
    """How many of the incidences pass `chi_squared` on each coarser level."""
    resolution, rows = neural.pyramid.resolution, []
    for level in range(1, neural.pyramid.levels):
        size = 2.0**level / resolution
        passed = [chi_squared(neural, uv, d, 50_000, size) for d in INCIDENCES]
        rows.append({"level": level, "passed": sum(passed), "of": len(passed)})
    return rows


def albedo_grid(neural: NeuralBSDF, texels: int, seed: int = 11, side: int = 64) -> np.ndarray:
    """Directional albedo (texel, incidence, RGB) of `side` random texels by as many incidences.

    Each texel is seen from its own azimuth; cosines run evenly from grazing to 1. The largest are
    measured again with more samples, so that the maximum is not one of noise.
    """
    rng = np.random.default_rng(seed)
    chosen = np.repeat(rng.integers(0, texels, side).astype(np.uint32), side)
    z = np.tile(np.maximum(np.linspace(0, 1, side), 0.01), side)
    phi = np.repeat(rng.uniform(0, 2 * np.pi, side), side)
    r = np.sqrt(1 - z * z)
    wi = np.stack([r * np.cos(phi), r * np.sin(phi), z]).astype(np.float32)

    def measured(lanes: np.ndarray, samples: int, seed: int) -> np.ndarray:
        seen = mi.Vector3f(*(np.ascontiguousarray(v) for v in wi[:, lanes]))
        stream = mi.PCG32(size=len(lanes), initstate=dr.opaque(mi.UInt64, seed))
        found = neural.reflectance(mi.UInt(chosen[lanes]), seen, samples, stream, steady=True)
        return found.numpy().T

    grid = measured(np.arange(len(z)), ALBEDO_SAMPLES, seed)
    largest = np.argsort(grid.max(1))[-AGAIN:]
    grid[largest] = measured(largest, ALBEDO_SAMPLES * AGAIN, seed + 1)
    return grid.reshape(side, side, 3)


def albedo_check(neural: NeuralBSDF, texels: int) -> dict[str, Any]:
    """Largest and mean of `albedo_grid`, and both over cos theta_i."""
    grid = albedo_grid(neural, texels)
    return {
        "largest": float(grid.max()),
        "mean": float(grid.mean()),
        "cosines": np.linspace(0, 1, grid.shape[1]).tolist(),
        "largest_by_cosine": grid.max((0, 2)).tolist(),
        "mean_by_cosine": grid.mean((0, 2)).tolist(),
    }


def reciprocity(tensors: dict[str, Any], seed: int = 12, count: int = 4000) -> dict[str, Any]:
    """|f(a, b) - f(b, a)| over f, cosines divided out: mean, largest, mean by |cos a - cos b|."""
    from etendue.bsdf.neural_numpy import evaluate, normalize

    rng = np.random.default_rng(seed)
    latents = tensors["latents"].astype(np.float64)
    latent = latents[rng.integers(0, len(latents), count)]
    a, b = (normalize(np.abs(rng.normal(size=(count, 3))) * [1, 1, 1] + 1e-3) for _ in range(2))
    a[:, :2] *= rng.choice([-1, 1], (count, 2))
    forward = evaluate(latent, a, b, tensors) / b[:, 2:]
    backward = evaluate(latent, b, a, tensors) / a[:, 2:]
    difference, mean = np.abs(forward - backward), 0.5 * (forward + backward)
    apart = np.digitize(np.abs(a[:, 2] - b[:, 2]), np.linspace(0, 0.9, 7)[1:])
    curve = [
        float(difference[apart == k].mean() / mean[apart == k].mean()) if (apart == k).any() else 0
        for k in range(7)
    ]
    return {
        "mean": float(difference.mean() / mean.mean()),
        "largest": float((difference / mean).max()),
        "by_difference_of_cosines": curve,
    }


def polar_curves(
    reference: InlineBSDF, neural: InlineBSDF, uv: tuple[float, float], degrees: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Angles (n,) in the plane of incidence and RGB curves (n, 3) of reference and neural."""
    angles = np.radians(np.linspace(-89.0, 89.0, 357))
    azimuth = 0.7
    wi = direction(degrees, azimuth)
    horizontal = -np.sin(angles)  # positive angles: the mirror side
    wo = mi.Vector3f(
        mi.Float((horizontal * np.cos(azimuth)).astype(np.float32)),
        mi.Float((horizontal * np.sin(azimuth)).astype(np.float32)),
        mi.Float(np.cos(angles).astype(np.float32)),
    )
    curves = []
    for bsdf in (reference, neural):
        rng = mi.PCG32(size=len(angles))
        value = bsdf.eval(point(uv, wi, len(angles)), wo, rng, mi.Bool(True))
        curves.append(np.array(value.numpy()).T)
    return angles, curves[0], curves[1]
