"""Shared material stacks and an independent oracle: a NumPy walk that only samples.

The oracle shares no code with the package. It draws visible normals by Heitz 2018, follows photons
of basic radiance from the viewer through the stack until they leave, and weighs them by
G2 / G1, so the histogram of its exit directions is f cos integrated over each bin.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from etendue.scene.material import Layer, LayeredMaterial, LayerKind, Stack

GREY = (1.0, 1.0, 1.0)
DIFFUSE, CONDUCTOR, DIELECTRIC = LayerKind.DIFFUSE, LayerKind.CONDUCTOR, LayerKind.DIELECTRIC


@pytest.fixture(scope="session")
def mi() -> Any:
    """Mitsuba with the default variant."""
    from etendue.device.drjit import activate

    return activate()


def single(*layers: Layer, name: str = "stack") -> LayeredMaterial:
    """One stack of all `layers`."""
    return LayeredMaterial(name, layers, (Stack(GREY, tuple(range(len(layers)))),))


def build_stacks() -> dict[str, LayeredMaterial]:
    """Representative stacks, from simple to everything at once."""
    coat = Layer(DIELECTRIC, alpha=(0.1, 0.1))
    metal = Layer(CONDUCTOR, alpha=(0.08, 0.3), f0=(0.9, 0.7, 0.4))
    inner = Layer(DIELECTRIC, alpha=(0.25, 0.15), eta=1.3, tau_absorb=(0.05, 0.2, 0.5))
    foggy = Layer(DIELECTRIC, alpha=(0.1, 0.2), tau_scatter=0.4, g=0.4, tau_absorb=(0.1, 0, 0))
    paint = Layer(DIFFUSE, albedo=(0.8, 0.5, 0.2), roughness=0.4)
    tilted = Layer(CONDUCTOR, alpha=(0.2, 0.2), f0=(0.9, 0.8, 0.7), normal=(0.15, -0.25))
    tinted = Layer(DIELECTRIC, alpha=(0.2, 0.2), eta=0.8, reflect_tint=(0.9, 0.8, 0.7))
    wavy = Layer(DIELECTRIC, alpha=(0.1, 0.2), normal=(-0.2, 0.1), tangent=(0.6, 0.8))
    mixed = LayeredMaterial(
        "mix of stacks",
        (coat, paint, tilted, inner, metal),
        (
            Stack((0.5, 0.5, 0.5), (0, 1)),
            Stack((0.2, 0.1, 0.1), (2,)),
            Stack((0.2, 0.2, 0.3), (0, 3, 4), sheen_color=(0.2, 0.3, 0.4)),
        ),
    )
    return {
        "coat on paint": single(coat, paint),
        "coat on brushed metal": single(coat, metal),
        "rough coat on polished metal": single(
            Layer(DIELECTRIC, alpha=(0.4, 0.4), transmit_tint=(0.9, 0.9, 0.8)),
            Layer(CONDUCTOR, alpha=(0.05, 0.05)),
        ),
        "two interfaces on paint": single(coat, inner, paint),
        "two media on metal": single(foggy, inner, metal),
        "three interfaces": single(coat, inner, tinted, metal),
        "tilted layers": single(wavy, tilted),
        "tilted, two interfaces": single(wavy, inner, tilted),
        "nearly matched interface": single(
            Layer(DIELECTRIC, alpha=(0.2, 0.2), eta=1.02, tau_absorb=(0.3, 0.1, 0.0)), coat, metal
        ),
        "mix of stacks": mixed,
    }


@pytest.fixture(scope="session")
def stacks() -> dict[str, LayeredMaterial]:
    """See `build_stacks`."""
    return build_stacks()


@dataclass
class Walkers:
    """Photons in flight: travel direction, position, depth in the slab, weight."""

    d: np.ndarray
    k: np.ndarray
    depth: np.ndarray
    weight: np.ndarray


def frame(layer: Layer) -> np.ndarray:
    """Rows s, t, n."""
    n = np.array([*layer.normal, 1.0], float)
    n /= np.linalg.norm(n)
    s = np.array([*layer.tangent, 0.0], float)
    s -= n * (n @ s)
    s /= np.linalg.norm(s)
    return np.stack([s, np.cross(n, s), n])


def shadow(w: np.ndarray, layer: Layer) -> np.ndarray:
    """Smith Lambda."""
    ax, ay = layer.alpha
    t2 = ((ax * w[:, 0]) ** 2 + (ay * w[:, 1]) ** 2) / np.maximum(w[:, 2] ** 2, 1e-18)
    return 0.5 * (np.sqrt(1 + t2) - 1)


def visible_normal(w: np.ndarray, layer: Layer, rng: np.random.Generator) -> np.ndarray:
    """Heitz 2018, "Sampling the GGX distribution of visible normals"."""
    ax, ay = layer.alpha
    v = w * [ax, ay, 1.0]
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    planar = np.hypot(v[:, 0], v[:, 1])
    safe = np.maximum(planar, 1e-12)
    t1 = np.where(
        (planar > 1e-9)[:, None],
        np.stack([-v[:, 1] / safe, v[:, 0] / safe, 0 * safe], 1),
        [1.0, 0.0, 0.0],
    )
    t2 = np.cross(v, t1)
    r, phi = np.sqrt(rng.random(len(w))), 2 * np.pi * rng.random(len(w))
    a, b = r * np.cos(phi), r * np.sin(phi)
    s = 0.5 * (1 + v[:, 2])
    b = (1 - s) * np.sqrt(1 - a * a) + s * b
    c = np.sqrt(np.maximum(0, 1 - a * a - b * b))
    m = a[:, None] * t1 + b[:, None] * t2 + c[:, None] * v
    m = np.stack([ax * m[:, 0], ay * m[:, 1], np.maximum(0, m[:, 2])], 1)
    return m / np.linalg.norm(m, axis=1, keepdims=True)


def dielectric_reflectance(c: np.ndarray, eta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fresnel reflectance and refracted cosine (0 under total reflection)."""
    ct2 = 1 - (1 - c * c) / eta**2
    ct = np.sqrt(np.maximum(ct2, 0))
    rs = (c - eta * ct) / (c + eta * ct)
    rp = (c * eta - ct) / (c * eta + ct)
    return np.where(ct2 <= 0, 1.0, 0.5 * (rs**2 + rp**2)), ct


def metal_reflectance(c: np.ndarray, layer: Layer) -> np.ndarray:
    """Schlick with F82."""
    f0, f82, f90 = (np.array(x) for x in (layer.f0, layer.f82, layer.f90))
    c = c[:, None]
    schlick = f0 + (f90 - f0) * (1 - c) ** 5
    at = f0 + (f90 - f0) * (6 / 7) ** 5
    b = at * (1 - f82) / ((1 / 7) * (6 / 7) ** 6)
    return np.clip(schlick - b * c * (1 - c) ** 6, 0, 1)


def paint_weight(w: np.ndarray, o: np.ndarray, layer: Layer) -> np.ndarray:
    """f pi of EON with the albedo integral of the paper's polynomial fit."""
    r, rho = layer.roughness, np.array(layer.albedo)
    a = 1 / (1 + (0.5 - 2 / (3 * np.pi)) * r)

    def e(mu: np.ndarray) -> np.ndarray:
        x = 1 - mu
        g = x * (0.0571085289 + x * (0.491881867 + x * (-0.332181442 + x * 0.0714429953)))
        return a * (1 + r * g)

    mu_w, mu_o = w[:, 2], o[:, 2]
    s = (w * o).sum(1) - mu_w * mu_o
    st = np.where(s > 0, s / np.maximum(mu_w, mu_o), s)
    mean = a * (1 + (2 / 3 - 28 / (15 * np.pi)) * r)
    ms = rho**2 * mean / (1 - rho * (1 - mean))
    lost = (1 - e(mu_w)) * (1 - e(mu_o)) / max(1e-7, 1 - mean)
    return rho * (a * (1 + r * st))[:, None] + ms * lost[:, None]


def surface(
    w: np.ndarray, layer: Layer, below: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Scatter `w` (away from the surface, z > 0 in the layer's frame): direction and weight."""
    n = len(w)
    if layer.kind == LayerKind.BLACK:
        return w, np.zeros((n, 3))
    if layer.kind == LayerKind.DIFFUSE:
        r, phi = np.sqrt(rng.random(n)), 2 * np.pi * rng.random(n)
        o = np.stack([r * np.cos(phi), r * np.sin(phi), np.sqrt(np.maximum(1e-12, 1 - r * r))], 1)
        return o, paint_weight(w, o, layer)
    m = visible_normal(w, layer, rng)
    c = np.clip((w * m).sum(1), 0, 1)
    mirror = 2 * c[:, None] * m - w
    reflected = (1 + shadow(w, layer)) / (1 + shadow(w, layer) + shadow(mirror, layer))
    reflected = np.where(mirror[:, 2] > 0, reflected, 0)[:, None]
    if layer.kind == LayerKind.CONDUCTOR:
        return mirror, reflected * metal_reflectance(c, layer)
    if layer.eta == 1.0:
        return -w, np.broadcast_to(layer.transmit_tint, (n, 3))
    eta = np.where(below, 1 / layer.eta, layer.eta)
    f, ct = dielectric_reflectance(c, eta)
    bent = m * (c / eta - ct)[:, None] - w / eta[:, None]
    passed = np.where(bent[:, 2] < 0, 1 / (1 + shadow(bent, layer)), 0)[:, None]
    back = rng.random(n) < f
    tints = np.where(back[:, None], layer.reflect_tint, layer.transmit_tint)
    return np.where(back[:, None], mirror, bent), np.where(back[:, None], reflected, passed) * tints


def forward_walk(
    material: LayeredMaterial, wi: np.ndarray, n: int, seed: int, ledger: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """Exit directions and RGB weights of `n` photons through the only stack of `material`.

    Photons leave an open stack below too, and start below when `wi` points there.
    """
    rng = np.random.default_rng(seed)
    layers = [material.layers[i] for i in material.stacks[0].layers]
    layers = [layer for layer in layers if layer.kind != LayerKind.OPEN]
    last = len(layers) - 1
    first = np.full(n, 0 if wi[2] > 0 else last)
    p = Walkers(-np.tile(wi, (n, 1)), first, np.zeros(n), np.ones((n, 3)))
    out_d, out_w = [], []
    for _ in range(400):
        if not len(p.k):
            break
        flown = _fly(p, layers, rng) if out_d else np.full(n, True)  # photons start at a surface
        here = np.where(flown, p.k, -1)
        for k, layer in enumerate(layers):
            at = np.flatnonzero(here == k)
            if len(at):
                _hit(p, at, layer, rng, ledger)
        escaped = ((p.k < 0) | (p.k > last)) & (p.weight.max(1) > 0)
        out_d.append(p.d[escaped])
        out_w.append(p.weight[escaped])
        keep = (p.k >= 0) & (p.k <= last) & (p.weight.max(1) > 1e-5)
        p = Walkers(p.d[keep], p.k[keep], p.depth[keep], p.weight[keep])
    return np.concatenate(out_d), np.concatenate(out_w)


def _hit(p: Walkers, at: np.ndarray, layer: Layer, rng: np.random.Generator, ledger: Any) -> None:
    f = frame(layer)
    below = p.d[at, 2] > 0
    side = np.where(below, -1.0, 1.0)[:, None] * [0, 0, 1] + [1, 1, 0]
    w = (-p.d[at] @ f.T) * side
    ok = w[:, 2] > 0
    w[~ok] = [0, 0, 1]
    before = p.weight[at] * ok[:, None]
    o, weight = surface(w, layer, below, rng)
    if ledger is not None:
        ledger(layer, w, below, before)
    d = (o * side) @ f
    up = (o[:, 2] > 0) ^ below
    weight = before * weight * ((d[:, 2] > 0) == up)[:, None]
    p.weight[at] = weight
    p.d[at] = d / np.linalg.norm(d, axis=1, keepdims=True)
    p.depth[at] = np.where(up, 1.0, 0.0)
    p.k[at] = np.where(up, p.k[at] - 1, p.k[at] + 1)


def _fly(p: Walkers, layers: list[Layer], rng: np.random.Generator) -> np.ndarray:
    """Cross the slab that each photon is in; returns who arrived at the next surface."""
    n = len(p.k)
    down = p.d[:, 2] < 0
    slab = np.where(down, p.k - 1, p.k)
    inside = slab >= 0
    table = [(*x.tau_absorb, x.tau_scatter, x.g) for x in layers]
    values = np.array(table)[np.maximum(slab, 0)] * inside[:, None]
    cos = np.maximum(np.abs(p.d[:, 2]), 1e-9)
    room = np.where(down, 1 - p.depth, p.depth)
    with np.errstate(divide="ignore"):
        free = -np.log1p(-rng.random(n)) * cos / values[:, 3]
    hit = free < room
    step = np.minimum(free, room)
    p.weight *= np.exp(-values[:, :3] * (step / cos)[:, None])
    p.depth = np.where(down, p.depth + step, p.depth - step)
    at = np.flatnonzero(hit)
    if len(at):
        p.d[at] = _turn(p.d[at], values[at, 4], rng)
        p.k[at] = np.where(p.d[at, 2] < 0, slab[at] + 1, slab[at])
    return ~hit


def _turn(d: np.ndarray, g: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Henyey-Greenstein by inversion, azimuth in any frame around `d`."""
    u = 2 * rng.random(len(d)) - 1
    safe = np.where(np.abs(g) < 1e-4, 1.0, g)
    c = np.where(np.abs(g) < 1e-4, u, (1 + g * g - ((1 - g * g) / (1 + g * u)) ** 2) / (2 * safe))
    a = np.where((np.abs(d[:, 0]) > 0.7)[:, None], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0])
    x = np.cross(a, d)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    y = np.cross(d, x)
    phi = 2 * np.pi * rng.random(len(d))
    s = np.sqrt(np.maximum(0, 1 - c * c))
    return (s * np.cos(phi))[:, None] * x + (s * np.sin(phi))[:, None] * y + c[:, None] * d


@pytest.fixture(scope="session")
def walk_forward() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """See `forward_walk`."""
    return forward_walk


def direction(cosine: float, azimuth: float) -> np.ndarray:
    """Unit vector by its cosine to the normal and its azimuth."""
    s = np.sqrt(1 - cosine**2)
    return np.array([s * np.cos(azimuth), s * np.sin(azimuth), cosine])


class Probe:
    """Runs a material on many lanes at one viewing direction."""

    def __init__(self, mi: Any) -> None:
        self.mi = mi

    def point(self, wi: np.ndarray, n: int, uv: tuple[float, float] = (0.3, 0.7)) -> Any:
        """A `ShadingPoint` repeated `n` times."""
        import drjit as dr

        from etendue.bsdf.base import ShadingPoint

        mi = self.mi
        w = mi.Vector3f(*(dr.full(mi.Float, float(x), n) for x in wi))
        return ShadingPoint(mi.Point2f(*(dr.full(mi.Float, x, n) for x in uv)), w, mi.Float(0.0))

    def sample(self, bsdf: Any, wi: np.ndarray, n: int, seed: int) -> tuple[np.ndarray, ...]:
        """wo (n, 3), weight (n, 3) and pdf (n,) of `bsdf.sample`; lost samples weigh 0."""
        mi = self.mi
        rng = mi.PCG32(size=n, initseq=seed)
        u = mi.Point3f(rng.next_float32(), rng.next_float32(), rng.next_float32())
        s = bsdf.sample(self.point(wi, n), u, rng, mi.Bool(True))
        return s.wo.numpy().T, s.weight.numpy().T, s.pdf.numpy()

    def eval(self, bsdf: Any, wi: np.ndarray, wo: np.ndarray, seed: int = 0) -> np.ndarray:
        """f cos (n, 3) at directions `wo` (n, 3)."""
        mi = self.mi
        o = mi.Vector3f(np.ascontiguousarray(wo.T.astype(np.float32)))
        rng = mi.PCG32(size=len(wo), initseq=seed)
        return bsdf.eval(self.point(wi, len(wo)), o, rng, mi.Bool(True)).numpy().T

    def pdf(self, bsdf: Any, wi: np.ndarray, wo: np.ndarray) -> np.ndarray:
        """Density (n,)."""
        mi = self.mi
        o = mi.Vector3f(np.ascontiguousarray(wo.T.astype(np.float32)))
        return bsdf.pdf(self.point(wi, len(wo)), o, mi.Bool(True)).numpy()


@pytest.fixture(scope="session")
def probe(mi: Any) -> Probe:
    """See `Probe`."""
    return Probe(mi)


@pytest.fixture(scope="session")
def polar() -> Callable[[float, float], np.ndarray]:
    """See `direction`."""
    return direction
