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
SLOPES = (0.003, 3.0)  # range of the half vectors' slopes drawn log-uniformly


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
    """Mip levels with probability proportional to 2^-level: fine ones often, all of them some."""
    weights = 0.5 ** np.arange(len(level_sizes(resolution)))
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
    blur: float = 0.0,
    half: float = 0.0,
    level: np.ndarray | None = None,
) -> Launch:
    """Start `count` texels x `pairs` directions of reference values, without waiting.

    The result is a pure function of the arguments. Texels are drawn exponentially over levels, or
    are on the `level` (count,) of each;
    `at_centres` snaps them to texel centres. The truth of a coarse texel is the mean over its
    footprint (the reference jitters inside it). `blur` (rad) turns the directions that the
    reference sees by up to that angle, so that narrow lobes start wide (mollification; Zeltner et
    al. 2024, section 5). `half` is the share of directions drawn by half vector.
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
    wo, pdf = _outgoing(mi, reference, p, rng, half)
    seen = _jittered(mi, wo, blur, rng) if blur > 0 else wo
    f = reference.eval(p, seen, rng, mi.Bool(True)) * (wo.z / seen.z if blur > 0 else 1.0)
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
    blur: float = 0.0,
    half: float = 0.0,
    level: np.ndarray | None = None,
) -> Batch:
    """`launch` and wait."""
    options: dict[str, Any] = {"at_centres": at_centres, "blur": blur, "half": half, "level": level}
    return launch(reference, count, pairs, resolution, seed, index, **options).collect()


def _upper(mi: Any, rng: Any) -> Any:
    """`wi` uniform over the hemisphere, kept a hair above the horizon."""
    import drjit as dr

    w = mi.warp.square_to_uniform_hemisphere(mi.Point2f(rng.next_float32(), rng.next_float32()))
    return dr.normalize(mi.Vector3f(w.x, w.y, dr.maximum(w.z, 0.01)))


def _jittered(mi: Any, wo: Any, blur: float, rng: Any) -> Any:
    """`wo` turned by an angle of up to `blur`, evenly over the disk, above the horizon."""
    import drjit as dr

    disk = mi.warp.square_to_uniform_disk(mi.Point2f(rng.next_float32(), rng.next_float32()))
    disk *= dr.opaque(mi.Float, float(np.tan(blur)))
    t, b = mi.coordinate_system(wo)
    turned = wo + disk.x * t + disk.y * b
    return dr.normalize(mi.Vector3f(turned.x, turned.y, dr.maximum(turned.z, 1e-3)))


def _outgoing(
    mi: Any, reference: InlineBSDF, p: ShadingPoint, rng: Any, half: float
) -> tuple[Any, Any]:
    """Mixture of the reference's lobes, half vectors and a uniform hemisphere, with its density.

    Where a draw fails a uniform direction stands in, with density infinity: it
    counts for the evaluator and has no weight in the sampler's importance-weighted loss.
    """
    import drjit as dr

    chance = rng.next_float32()
    pick, by_half = chance < REFERENCE_SHARE, chance > 1 - half
    u = mi.Point3f(rng.next_float32(), rng.next_float32(), rng.next_float32())
    glossy = reference.sample(p, u, rng, pick)
    lost = pick & (glossy.pdf <= 0)
    wo = mi.Vector3f(mi.warp.square_to_uniform_hemisphere(mi.Point2f(u.y, u.z)))
    if half > 0:
        mirrored = _by_half_vector(mi, p.wi, u)
        wo = dr.select(by_half & (mirrored.z > 0), mirrored, wo)
        lost |= by_half & (mirrored.z <= 0)
    wo = mi.Vector3f(dr.select(pick & (glossy.pdf > 0), glossy.wo, wo))
    wo = dr.normalize(mi.Vector3f(wo.x, wo.y, dr.maximum(wo.z, 1e-3)))
    density = REFERENCE_SHARE * reference.pdf(p, wo, mi.Bool(True))
    density += (1 - REFERENCE_SHARE - half) * dr.inv_two_pi
    if half > 0:
        density += half * _half_vector_density(mi, p.wi, wo)
    return wo, dr.select(lost, dr.inf, density)


def _by_half_vector(mi: Any, wi: Any, u: Any) -> Any:
    """`wi` mirrored at a half vector whose slope is log-uniform in `SLOPES`."""
    import drjit as dr

    slope = SLOPES[0] * dr.exp(u.y * float(np.log(SLOPES[1] / SLOPES[0])))
    s, c = dr.sincos(dr.two_pi * u.z)
    h = dr.normalize(mi.Vector3f(slope * c, slope * s, 1))
    return 2 * dr.dot(wi, h) * h - wi


def _half_vector_density(mi: Any, wi: Any, wo: Any) -> Any:
    """Density of `_by_half_vector`; directions it loses below the horizon are left out."""
    import drjit as dr

    h = dr.normalize(wi + wo)
    slope2 = (1 - h.z * h.z) / (h.z * h.z)
    inside = (slope2 > SLOPES[0] ** 2) & (slope2 < SLOPES[1] ** 2)
    flat = 1 / (2 * np.pi * float(np.log(SLOPES[1] / SLOPES[0])) * dr.maximum(slope2, 1e-12))
    return dr.select(inside, flat / (h.z * h.z * h.z) / (4 * dr.abs_dot(wi, h)), 0)


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
