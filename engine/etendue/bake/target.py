"""Reference samples for the bake: Dr.Jit walks the layered material, torch consumes the batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from etendue.bsdf.base import InlineBSDF, ShadingPoint
from etendue.bsdf.pyramid import level_sizes

REFERENCE_SHARE = 0.6  # of the outgoing directions follow the reference's own lobes


@dataclass(frozen=True)
class Batch:
    """n texels with d direction pairs each."""

    uv: Tensor  # (n, 2)
    level: Tensor  # (n,) int64
    wi: Tensor  # (n, d, 3)
    wo: Tensor  # (n, d, 3)
    f: Tensor  # (n, d, 3) estimates of f |cos theta_o|
    pdf: Tensor  # (n, d) density with which wo was drawn

    def rows(self, index: Tensor) -> Batch:
        """The chosen texels."""
        return Batch(*(getattr(self, name)[index] for name in self.__dataclass_fields__))

    def directions(self, count: int) -> Batch:
        """The first `count` direction pairs of every texel."""
        wi, wo, f, pdf = (a[:, :count] for a in (self.wi, self.wo, self.f, self.pdf))
        return Batch(self.uv, self.level, wi, wo, f, pdf)


def draw_levels(count: int, resolution: int, generator: np.random.Generator) -> np.ndarray:
    """Mip levels with probability proportional to 0.75^level: fine ones often, all of them some.

    Coarse texels are few, but each stands for many lobes: with 2^-level they end further off.
    """
    weights = 0.75 ** np.arange(len(level_sizes(resolution)))
    return generator.choice(len(weights), size=count, p=weights / weights.sum())


@dataclass(frozen=True)
class Launch:
    """A batch that the Dr.Jit threads may still be working on; `collect` waits for it."""

    uv: np.ndarray
    level: np.ndarray
    pairs: int
    arrays: tuple[Any, Any, Any, Any]  # wi, wo, f, pdf

    def collect(self, device: str = "cpu") -> Batch:
        """Wait and hand over to torch; on "cuda" nothing passes through the host's memory."""
        rows = _rows if device == "cpu" else _rows_on_device
        wi, wo, f, pdf = (rows(array) for array in self.arrays)
        shape = (len(self.uv), self.pairs, 3)
        return Batch(
            uv=torch.from_numpy(self.uv.astype(np.float32)).to(device),
            level=torch.from_numpy(self.level.astype(np.int64)).to(device),
            wi=wi.reshape(shape),
            wo=wo.reshape(shape),
            f=f.reshape(shape),
            pdf=pdf.reshape(shape[:2]),
        )


def launch(
    reference: InlineBSDF,
    count: int,
    pairs: int,
    resolution: int,
    seed: int,
    index: int,
    *,
    at_centres: bool,
    level: np.ndarray | None = None,
) -> Launch:
    """Start `count` texels x `pairs` directions of reference values, without waiting.

    The result is a pure function of the arguments. Texels are drawn exponentially over levels, or
    are on the `level` (count,) of each;
    `at_centres` snaps them to texel centres. The truth of a coarse texel is the mean over its
    footprint (the reference jitters inside it).
    """
    import drjit as dr
    import mitsuba as mi

    generator = np.random.default_rng([seed, index])
    if level is None:
        level = draw_levels(count, resolution, generator)
    side = (resolution >> level)[:, None]
    uv = generator.random((count, 2))
    if at_centres:
        uv = (np.floor(uv * side) + 0.5) / side
    footprint = np.where(level > 0, 1.0 / side[:, 0], 0.0)
    lanes = np.repeat(np.arange(count), pairs)
    lane = dr.arange(mi.UInt, count * pairs)
    # hashed: generators with one state and consecutive increments are correlated
    key = dr.opaque(mi.UInt, (seed * 1_000_003 + index) & 0xFFFFFFFF)
    start, stream = mi.sample_tea_32(key, lane)
    rng = mi.PCG32(initstate=mi.UInt64(start), initseq=mi.UInt64(stream))
    dr.eval(rng)  # a literal state would make every batch a new kernel
    wi = _upper(mi, rng)
    wi = getattr(reference, "view", lambda w: w)(wi)  # charts, see `bsdf.hemispheres`
    p = ShadingPoint(
        uv=mi.Point2f(*_columns(uv[lanes])),
        wi=wi,
        footprint=mi.Float(footprint[lanes].astype(np.float32)),
    )
    wo, pdf = _outgoing(mi, reference, p, rng)
    f = reference.eval(p, wo, rng, mi.Bool(True))
    dr.eval(wi, wo, f, pdf)
    return Launch(uv, level, pairs, (wi, wo, f, pdf))


def produce(
    reference: InlineBSDF,
    count: int,
    pairs: int,
    resolution: int,
    seed: int,
    index: int,
    *,
    at_centres: bool,
    level: np.ndarray | None = None,
) -> Batch:
    """`launch` and wait."""
    options: dict[str, Any] = {"at_centres": at_centres, "level": level}
    return launch(reference, count, pairs, resolution, seed, index, **options).collect()


def _upper(mi: Any, rng: Any) -> Any:
    """`wi` uniform over the hemisphere, kept a hair above the horizon."""
    import drjit as dr

    w = mi.warp.square_to_uniform_hemisphere(mi.Point2f(rng.next_float32(), rng.next_float32()))
    return dr.normalize(mi.Vector3f(w.x, w.y, dr.maximum(w.z, 0.01)))


def _outgoing(mi: Any, reference: InlineBSDF, p: ShadingPoint, rng: Any) -> tuple[Any, Any]:
    """Mixture of the reference's lobes and a uniform hemisphere, with its density.

    Where a draw fails a uniform direction stands in, with density infinity: it
    counts for the evaluator and has no weight in the sampler's importance-weighted loss.
    """
    import drjit as dr

    pick = rng.next_float32() < REFERENCE_SHARE
    u = mi.Point3f(rng.next_float32(), rng.next_float32(), rng.next_float32())
    glossy = reference.sample(p, u, rng, pick)
    lost = pick & (glossy.pdf <= 0)
    wo = mi.Vector3f(mi.warp.square_to_uniform_hemisphere(mi.Point2f(u.y, u.z)))
    wo = mi.Vector3f(dr.select(pick & (glossy.pdf > 0), glossy.wo, wo))
    wo = dr.normalize(mi.Vector3f(wo.x, wo.y, dr.maximum(wo.z, 1e-3)))
    density = REFERENCE_SHARE * reference.pdf(p, wo, mi.Bool(True))
    density += (1 - REFERENCE_SHARE) * dr.inv_two_pi
    return wo, dr.select(lost, dr.inf, density)


def _columns(rows: np.ndarray) -> list[np.ndarray]:
    return [np.ascontiguousarray(c, np.float32) for c in rows.T]


def _rows(vector: Any) -> Tensor:
    return torch.from_numpy(np.array(vector.numpy().T, order="C"))


def _rows_on_device(vector: Any) -> Tensor:
    import drjit as dr

    shared = vector.torch()  # the same memory, (3, n) or (n,)
    dr.sync_thread()  # Dr.Jit's stream is not torch's
    rows = shared.T.contiguous() if shared.ndim > 1 else shared.clone()
    torch.cuda.current_stream().synchronize()  # before Dr.Jit takes its memory back
    return rows


def training_device() -> str:
    """Where torch trains beside the active variant: with CUDA arrays on their device."""
    import mitsuba as mi

    return "cuda" if str(mi.variant()).startswith("cuda") and torch.cuda.is_available() else "cpu"
