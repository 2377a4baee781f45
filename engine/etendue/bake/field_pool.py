"""What a teacher says along rays and at points, asked once and used for many steps.

Asking the teacher costs as much as teaching the student, and a ray may be shown more than once:
every `EPOCH` steps a fresh pool is made of `SHARE` times the rays of a step. A pool depends on the
seed and on its number only, so an interrupted training meets the same ones again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from etendue.field.base import LOG_SIGMA, Model, Params, density, head
from etendue.field.file import Field
from etendue.field.march import Samples, composite, place, waves
from etendue.field.occupancy import Occupancy
from etendue.field.rays import Rays, sphere
from etendue.field.space import expand

EPOCH = 128  # steps that a pool is used for
SHARE = 32  # rays in a pool, for each ray of a step
POINTS = 2  # points of a step, for each of its rays
POSES = 64  # parts of the sphere of cameras whose errors are told apart
UNSEEN = 1e-3  # light that reaches a point, below which rays ask nothing there
CHUNK = 4096  # rays asked about at a time


@dataclass(frozen=True)
class Answer:
    """What a field says at points."""

    features: Tensor  # (m, 16), or log sigma alone where there are none
    rgb: Tensor  # (m, 3)
    log_sigma: Tensor  # (m,)

    def rows(self, index: Tensor) -> Answer:
        """The chosen ones."""
        return Answer(self.features[index], self.rgb[index], self.log_sigma[index])


def joined(*parts: Answer) -> Answer:
    """One after the other."""
    return Answer(*(_joined(list(parts), n) for n in ("features", "rgb", "log_sigma")))


@dataclass(frozen=True)
class Pool:
    """Samples of rays, sorted by ray, and single points, with the teacher's answers."""

    samples: Samples
    answers: Answer
    starts: Tensor  # (rays + 1,)
    pose: Tensor  # (rays,) part of the sphere that the camera of each is in
    x: Tensor  # (points, 3)
    d: Tensor
    told: Answer


@dataclass(frozen=True)
class Lesson:
    """What a step is taught: `count` rays, and points beside them."""

    count: int
    pose: Tensor  # (count,)
    samples: Samples
    answers: Answer
    x: Tensor
    d: Tensor
    told: Answer


def ask(model: Model, params: Params, x: Tensor, d: Tensor, *, features: bool) -> Answer:
    """The answers at points (m, 3) in directions (m, 3)."""
    if not features:
        rgb, log_sigma = model.query(params, x, d)
        return Answer(log_sigma[:, None], rgb, log_sigma)
    found = model.features(params, x)
    return Answer(found, head(params, found, d), found[:, 0])


def random_rays(
    count: int,
    occupancy: Occupancy,
    distance: float,
    generator: torch.Generator,
    poses: Tensor | None = None,
) -> Rays:
    """Rays of cameras all around, `distance` from the cube's middle, towards filled cells.

    With `poses` (POSES,) half of the cameras stand by these weights of the sphere's parts.
    """
    away = directions(count, generator)
    if poses is not None:
        offered = directions(4 * count, generator)
        chosen = torch.multinomial(poses[pose_of(offered)], count // 2, True, generator=generator)
        away[: count // 2] = offered[chosen]
    origin = 0.5 + (distance if occupancy.contracted else max(distance, 0.9)) * away
    to = occupancy.points(count, generator)
    to = expand(to) if occupancy.contracted else to
    return Rays(origin, torch.nn.functional.normalize(to - origin, dim=-1))


def pose_of(away: Tensor) -> Tensor:
    """The part of the sphere that unit vectors (n, 3) are in: the nearest of a lattice."""
    return (away @ torch.from_numpy(sphere(POSES)).float().T).argmax(-1)


def directions(count: int, generator: torch.Generator) -> Tensor:
    """Uniform unit vectors (count, 3)."""
    return torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=-1)


@torch.no_grad()
def fill(
    teacher: Field,
    rays: int,
    seed: int,
    epoch: int,
    *,
    features: bool,
    poses: Tensor | None = None,
) -> Pool:
    """Pool number `epoch` for steps of `rays` rays; `poses` as in `random_rays`."""
    generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch * 15_485_863 + 7) % 2**63)
    count = SHARE * rays
    seen = random_rays(count, teacher.occupancy, teacher.distance, generator, poses)
    jitter = torch.rand(count, generator=generator) - 0.5
    parts = [
        _reached(teacher, seen.rows(part), jitter[part], int(part[0]), features=features)
        for part in torch.arange(count).split(CHUNK)
    ]
    samples = Samples(*(_joined([p[0] for p in parts], n) for n in ("ray", "x", "d", "t", "dt")))
    found = joined(*(p[1] for p in parts))
    here = torch.bincount(samples.ray, minlength=count)
    starts = torch.cat([here.new_zeros(1), here.cumsum(0)])
    x = teacher.occupancy.points(POINTS * count, generator)
    d = directions(POINTS * count, generator)
    told = [
        ask(teacher.model, teacher.params, x[part], d[part], features=features)
        for part in torch.arange(len(x)).split(16 * CHUNK)
    ]
    pose = pose_of(torch.nn.functional.normalize(seen.origin - 0.5, dim=-1))
    return Pool(samples, found, starts, pose, x, d, joined(*told))


def _joined(parts: list[Samples] | list[Answer], name: str) -> Tensor:
    return torch.cat([getattr(part, name) for part in parts])


def _reached(
    teacher: Field, rays: Rays, jitter: Tensor, first_ray: int, *, features: bool
) -> tuple[Samples, Answer]:
    """The samples that light still reaches: what lies behind is arbitrary."""

    def say(samples: Samples) -> tuple[Answer, Tensor]:
        found = ask(teacher.model, teacher.params, samples.x, samples.d, features=features)
        return found, density(found.log_sigma)

    nowhere = place(rays.rows(slice(0, 0)), teacher.occupancy)
    parts = [(nowhere, say(nowhere)[0])]
    for samples, found, _, light in waves(rays, teacher.occupancy, say, jitter, UNSEEN):
        kept = light > UNSEEN
        parts.append((samples.rows(kept), found.rows(kept)))
    samples = Samples(*(_joined([p[0] for p in parts], n) for n in ("ray", "x", "d", "t", "dt")))
    order = torch.argsort(samples.ray, stable=True)  # waves are in the order of distance
    own = samples.rows(order)
    return replace(own, ray=own.ray + first_ray), joined(*(p[1] for p in parts)).rows(order)


def ray_errors(lesson: Lesson, told: Answer) -> Tensor:
    """Squared errors (count,) of the pixels that a student's answers at the samples show."""
    a, b = (composite(lesson.samples, lesson.count, x.rgb, density(x.log_sigma))
            for x in (told, lesson.answers))  # fmt: skip
    return (a.rgb - b.rgb).square().sum(-1) + (a.alpha - b.alpha).square()


def point_errors(lesson: Lesson, told: Answer) -> Tensor:
    """Squared errors of a student's answers at the single points, where anything is."""
    wanted, found = (x.log_sigma.clamp(*LOG_SIGMA) for x in (lesson.told, told))
    color = (told.rgb - lesson.told.rgb).square().sum(-1) * torch.sigmoid(wanted)
    return (wanted - found).square() + color


def hardest(lesson: Lesson, rays: Tensor, points: Tensor, count: int) -> Lesson:
    """`count` rays of a lesson, and its share of points: for one half those of the worst errors.

    The other half is any (after Fang et al. 2023b, PVD-AL).
    """
    return _only(lesson, _worst(rays, count), _worst(points, POINTS * count))


def _worst(errors: Tensor, count: int) -> Tensor:
    order = torch.argsort(errors, descending=True, stable=True)
    half = count // 2
    return torch.cat([order[:half], order[half:].sort().values[: count - half]])


def _only(lesson: Lesson, rays: Tensor, points: Tensor) -> Lesson:
    """Some of the rays, and some of the points."""
    number = torch.full((lesson.count,), -1, dtype=torch.long)
    number[rays] = torch.arange(len(rays))
    kept = torch.nonzero(number[lesson.samples.ray] >= 0)[:, 0]
    order = torch.argsort(number[lesson.samples.ray[kept]], stable=True)
    rows = kept[order]
    samples = lesson.samples.rows(rows)
    return Lesson(
        len(rays), lesson.pose[rays], replace(samples, ray=number[samples.ray]),
        lesson.answers.rows(rows), lesson.x[points], lesson.d[points], lesson.told.rows(points),
    )  # fmt: skip


def draw(pool: Pool, rays: int, generator: torch.Generator) -> Lesson:
    """`rays` rays of a pool with all their samples, and points."""
    chosen = torch.randint(len(pool.starts) - 1, (rays,), generator=generator)
    here = pool.starts[chosen + 1] - pool.starts[chosen]
    ray = torch.repeat_interleave(torch.arange(rays), here)
    before = torch.cumsum(here, 0) - here
    index = torch.arange(len(ray)) - before[ray] + pool.starts[chosen][ray]
    s = pool.samples.rows(index)
    at = torch.randint(len(pool.x), (POINTS * rays,), generator=generator)
    return Lesson(
        rays, pool.pose[chosen], Samples(ray, s.x, s.d, s.t, s.dt), pool.answers.rows(index),
        pool.x[at], pool.d[at], pool.told.rows(at),
    )  # fmt: skip
