"""Emission and absorption along rays (Max 1995; Mildenhall et al. 2020, Eq. 3).

A ray's way through the cube is cut into equal steps of at most the marching step, so that they
fill it exactly; in the contracted space of an unbounded field they grow with the distance beyond
the cube (`space`), and points are those of that space. A step absorbs alpha = 1 - exp(-sigma dt);
what comes out is sum_k T_k alpha_k c_k with T_k = exp(-sum_{j<k} sigma_j dt_j).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from etendue.field.base import Model, Params, density
from etendue.field.occupancy import Occupancy
from etendue.field.rays import Rays
from etendue.field.space import bend, contract, ends, stretched

STEPS = 128  # along the cube's diagonal
STEP = 3**0.5 / STEPS
STOP = 1e-3  # a ray ends when it lets no more than this through
WAVE = 16  # steps between two looks at which rays go on
SHOWN = 5e-3  # of a pixel's light, from which on a cell counts as shown by it
CHUNK = 8192  # rays at a time

Query = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Samples:
    """Points on rays, sorted by ray and distance."""

    ray: Tensor  # (m,)
    x: Tensor  # (m, 3)
    d: Tensor  # (m, 3)
    t: Tensor  # (m,)
    dt: Tensor  # (m,)

    def rows(self, index: Tensor) -> Samples:
        """The chosen points."""
        return Samples(self.ray[index], self.x[index], self.d[index], self.t[index], self.dt[index])


@dataclass(frozen=True)
class Marched:
    """What n rays bring: light, opacity, and distance weighted by what absorbs."""

    rgb: Tensor  # (n, 3), over black
    alpha: Tensor  # (n,)
    depth: Tensor  # (n,), of what is opaque; in sides of the cube

    def over(self, background: Tensor) -> Tensor:
        """rgb (n, 3) before a background."""
        return self.rgb + (1 - self.alpha)[:, None] * background


def span(rays: Rays) -> tuple[Tensor, Tensor]:
    """Where rays enter and leave the unit cube; the same twice for those that miss it."""
    d = torch.where(rays.direction.abs() < 1e-9, torch.full_like(rays.direction, 1e-9),
                    rays.direction)  # fmt: skip
    a, b = (0 - rays.origin) / d, (1 - rays.origin) / d
    near = torch.minimum(a, b).amax(-1).clamp(min=0)
    far = torch.maximum(a, b).amin(-1)
    return near, torch.maximum(near, far)


def _way(rays: Rays, occupancy: Occupancy) -> tuple[Tensor, Tensor, Tensor | None]:
    """Places (n,) at which the steps of rays begin and end, and where these cease to be equal."""
    if not occupancy.contracted:
        near, far = span(rays)
        return near, far, None
    bent = bend(rays.origin, rays.direction)
    return torch.zeros_like(bent), ends(bent), bent


def place(
    rays: Rays,
    occupancy: Occupancy,
    jitter: Tensor | None = None,
    window: tuple[int, int] | None = None,
) -> Samples:
    """The middles of the steps that lie in cells that count, moved by `jitter` (n,) in +-0.5 steps.

    With a `window` only the steps from its first to before its last.
    """
    near, far, bent = _way(rays, occupancy)
    count = torch.ceil((far - near) / occupancy.step - 1e-4).long().clamp(min=0)
    dt = (far - near) / count.clamp(min=1)
    first, last = window if window is not None else (0, int(count.max()) if len(count) else 0)
    here = (count.clamp(max=last) - first).clamp(min=0)
    ray = torch.repeat_interleave(torch.arange(len(rays)), here)
    starts = torch.cumsum(here, 0) - here
    k = torch.arange(len(ray)) - starts[ray] + first
    offset = 0.5 if jitter is None else 0.5 + jitter[ray]
    start, length = near[ray] + k * dt[ray], dt[ray]
    t = start + offset * length
    if bent is not None:
        own = bent[ray]
        t, length = stretched(t, own), stretched(start + length, own) - stretched(start, own)
    x = rays.origin[ray] + t[:, None] * rays.direction[ray]
    x = contract(x) if occupancy.contracted else x
    kept = occupancy.at(x)
    ray = ray[kept]
    return Samples(ray, x[kept], rays.direction[ray], t[kept], length[kept])


def through(samples: Samples, count: int, sigma: Tensor) -> Tensor:
    """What of `count` rays reaches each of their samples (m,) through densities (m,)."""
    thick = (sigma * samples.dt).double()
    total = torch.cumsum(thick, 0) - thick
    here = torch.bincount(samples.ray, minlength=count)
    starts = torch.cumsum(here, 0) - here
    before = torch.cat([total, total.new_zeros(1)])[starts.clamp(max=len(total))]
    return torch.exp(-(total - before[samples.ray])).to(sigma.dtype)


def composite(samples: Samples, count: int, rgb: Tensor, sigma: Tensor) -> Marched:
    """Sums over the samples of `count` rays of colours (m, 3) at densities (m,)."""
    absorbed = -torch.expm1(-(sigma * samples.dt))
    weight = through(samples, count, sigma) * absorbed
    color = rgb.new_zeros(count, 3).index_add(0, samples.ray, weight[:, None] * rgb)
    alpha = rgb.new_zeros(count).index_add(0, samples.ray, weight)
    depth = rgb.new_zeros(count).index_add(0, samples.ray, weight * samples.t)
    return Marched(color, alpha, depth / alpha.clamp(min=1e-6))


def march(query: Query, rays: Rays, occupancy: Occupancy, jitter: Tensor | None = None) -> Marched:
    """All steps at once, for training; the twin of `render`."""
    samples = place(rays, occupancy, jitter)
    rgb, log_sigma = query(samples.x, samples.d)
    return composite(samples, len(rays), rgb, density(log_sigma))


def waves(
    rays: Rays,
    occupancy: Occupancy,
    ask: Callable[[Samples], tuple[Any, Tensor]],
    jitter: Tensor | None = None,
    stop: float = STOP,
) -> Iterator[tuple[Samples, Any, Tensor, Tensor]]:
    """(samples, what was said there, sigma, light that gets there), `WAVE` steps at a time.

    `ask` gives an answer and sigma (m,) at samples. A ray is over when it lets no more than `stop`
    through, so what lies far behind a surface is never asked for.
    """
    near, far, _ = _way(rays, occupancy)
    most = int(torch.ceil(((far - near) / occupancy.step).max())) if len(rays) else 0
    left = torch.ones(len(rays))
    alive = torch.nonzero(far > near)[:, 0]
    for first in range(0, most, WAVE):
        if not len(alive):
            return
        moved = None if jitter is None else jitter[alive]
        samples = place(rays.rows(alive), occupancy, moved, (first, first + WAVE))
        if len(samples.ray):
            answer, sigma = ask(samples)
            light = left[alive][samples.ray] * through(samples, len(alive), sigma)
            yield replace(samples, ray=alive[samples.ray]), answer, sigma, light
            thick = torch.zeros(len(alive)).index_add(0, samples.ray, sigma * samples.dt)
            left[alive] = left[alive] * torch.exp(-thick)
        alive = alive[left[alive] > stop]


@torch.no_grad()
def render(model: Model, params: Params, rays: Rays, occupancy: Occupancy) -> Marched:
    """Chunk by chunk, and rays end when they let nothing through."""
    parts = []
    for chunk in torch.arange(len(rays)).split(CHUNK):
        parts.append(_chunk(lambda x, d: model.query(params, x, d), rays.rows(chunk), occupancy))
    if not parts:
        return Marched(torch.zeros(0, 3), torch.zeros(0), torch.zeros(0))
    return Marched(*(torch.cat([getattr(p, n) for p in parts]) for n in ("rgb", "alpha", "depth")))


def _chunk(query: Query, rays: Rays, occupancy: Occupancy) -> Marched:
    def ask(samples: Samples) -> tuple[Tensor, Tensor]:
        rgb, log_sigma = query(samples.x, samples.d)
        return rgb, density(log_sigma)

    color, alpha, depth = torch.zeros(len(rays), 3), torch.zeros(len(rays)), torch.zeros(len(rays))
    for samples, rgb, sigma, light in waves(rays, occupancy, ask):
        weight = light * -torch.expm1(-sigma * samples.dt)
        color.index_add_(0, samples.ray, weight[:, None] * rgb)
        alpha.index_add_(0, samples.ray, weight)
        depth.index_add_(0, samples.ray, weight * samples.t)
    return Marched(color, alpha, depth / alpha.clamp(min=1e-6))


@torch.no_grad()
def lit(log_density: Callable[[Tensor], Tensor], rays: Rays, occupancy: Occupancy) -> Occupancy:
    """Without the cells that show on none of the rays.

    What photos never showed is arbitrary, like the inside of solids (Fridovich-Keil et al. 2022
    drop it by its weight in the pictures, too).
    """
    most = torch.zeros(occupancy.cells**3)

    def ask(samples: Samples) -> tuple[None, Tensor]:
        return None, density(log_density(samples.x))

    for chunk in torch.arange(len(rays)).split(CHUNK):
        for samples, _, sigma, light in waves(rays.rows(chunk), occupancy, ask):
            weight = light * -torch.expm1(-sigma * samples.dt)
            most.scatter_reduce_(0, occupancy.index(samples.x), weight, "amax")
    return replace(occupancy, sigma=torch.where(most > SHOWN, occupancy.sigma, 0.0))
