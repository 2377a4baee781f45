"""Statistical checks of a baked material that a report lists."""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from etendue.bake.energy import directional_albedo, view_grid
from etendue.bsdf.base import InlineBSDF, ShadingPoint
from etendue.bsdf.neural import NeuralBSDF

HORIZON = 1e-6  # draws nearer to it round into the histogram's cells below
INCIDENCES = (0.0, 20.0, 40.0, 60.0, 75.0, 85.0)  # degrees from the normal


def direction(degrees: float, azimuth: float = 0.7) -> tuple[float, float, float]:
    """Unit vector at `degrees` from +z."""
    theta = np.radians(degrees)
    x, y = np.sin(theta) * np.cos(azimuth), np.sin(theta) * np.sin(azimuth)
    return float(x), float(y), float(np.cos(theta))


def point(uv: tuple[float, float], wi: tuple[float, float, float], lanes: int) -> ShadingPoint:
    """The same shading point on every lane, finest level."""
    zero = dr.zeros(mi.Float, lanes)
    return ShadingPoint(mi.Point2f(uv[0] + zero, uv[1] + zero), mi.Vector3f(*wi) + zero, zero)


def chi_squared(
    bsdf: InlineBSDF, uv: tuple[float, float], degrees: float, samples: int = 200_000
) -> bool:
    """`mitsuba.chi2` of sample against pdf at one texel and incidence."""
    from mitsuba.chi2 import ChiSquareTest, SphericalDomain

    wi = direction(degrees)

    def sample(u: Any, *_: Any) -> tuple[Any, Any]:
        lanes = dr.width(u)
        order = mi.Point3f(u[2], u[0], u[1])
        found = bsdf.sample(point(uv, wi, lanes), order, mi.PCG32(size=lanes), mi.Bool(True))
        clear = (found.pdf > 0) & (found.wo.z > HORIZON)
        return found.wo, dr.select(clear, 1.0, 0.0)

    def density(wo: Any) -> Any:
        return bsdf.pdf(point(uv, wi, dr.width(wo)), wo, mi.Bool(True))

    test: Any = ChiSquareTest(
        domain=SphericalDomain(),
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


def albedo_check(neural: NeuralBSDF, tensors: dict[str, Any], seed: int = 11) -> dict[str, float]:
    """Largest directional albedo over texels and views that the export did not use."""
    rng = np.random.default_rng(seed)
    latents = tensors["latents"].astype(np.float64)
    chosen = rng.integers(0, len(latents), 64)
    views = view_grid(13)
    values = directional_albedo(
        np.repeat(latents[chosen], len(views), 0), np.tile(views, (64, 1)), tensors, 256
    )
    return {"largest": float(values.max()), "mean": float(values.mean())}


def reciprocity_error(tensors: dict[str, Any], seed: int = 12, count: int = 4000) -> float:
    """Mean of |f(a, b) - f(b, a)| over mean of f, cosines divided out."""
    from etendue.bsdf.neural_numpy import evaluate, normalize

    rng = np.random.default_rng(seed)
    latents = tensors["latents"].astype(np.float64)
    latent = latents[rng.integers(0, len(latents), count)]
    a, b = (normalize(np.abs(rng.normal(size=(count, 3))) * [1, 1, 1] + 1e-3) for _ in range(2))
    a[:, :2] *= rng.choice([-1, 1], (count, 2))
    forward = evaluate(latent, a, b, tensors) / b[:, 2:]
    backward = evaluate(latent, b, a, tensors) / a[:, 2:]
    return float(np.abs(forward - backward).mean() / (0.5 * (forward + backward)).mean())


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
