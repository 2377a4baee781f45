"""Any field into any other: progressive volume distillation (Fang et al. 2023).

The student learns from the teacher in three stages, from shallow to deep: features, then densities
and colours, then rendered colours too. Nothing but the teacher is needed: rays go through its cube
at random. The first stage is left out where a side has no features.

Differences from the paper's program. Points are those of the marcher in the cells that the teacher
fills and that its light reaches, and others in filled cells, so that teacher and student are asked
about the same ones; answers are used more than once (`field_pool`). Losses are means, not norms
whose weight grows with the number of points. Logarithms of densities are compared within
`LOG_SIGMA`, and shading and occupancy take the same density as the loss. A student with a colour
head begins with the teacher's, because features say nothing without it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from etendue.artifact import digest
from etendue.bake.field_fit import (
    FieldSettings,
    Loss,
    begin,
    identity,
    run,
)
from etendue.bake.field_hard import Watch
from etendue.bake.field_judge import agreement
from etendue.bake.field_pool import EPOCH, Answer, Lesson, Pool, ask, draw, fill, joined
from etendue.bake.field_train import finished, resumed, saver, with_info
from etendue.bake.material import checkpoint_path
from etendue.bake.threads import one_thread
from etendue.bake.train import Progress
from etendue.core.errors import EtendueError
from etendue.field.base import LOG_SIGMA, Model, Params, density, head
from etendue.field.file import OCCUPANCY, Field, write_field
from etendue.field.march import composite
from etendue.field.occupancy import Occupancy, pack

WEIGHTS = {"features": 2e-3, "sigma": 1e-2, "rgb": 1e-2}  # beside rendered colours
FADE = 0.995  # of the weight of features, per step
FEATURES_END, VOLUME_END = 1 / 15, 1 / 5  # shares of the steps after which a stage is over


class NotGoodEnoughError(EtendueError):
    """A converted field differs more from its teacher than was asked for."""


@dataclass(frozen=True)
class Stages:
    """First steps of the second and third stage."""

    volume: int
    rendered: int

    @classmethod
    def of(cls, steps: int, *, features: bool) -> Stages:
        """At 1/15 and 1/5 of them (published: 1/6); no features where there are none."""
        return cls(round(FEATURES_END * steps) if features else 0, round(VOLUME_END * steps))

    @classmethod
    def between(cls, teacher: Model, student: Model, steps: int) -> Stages:
        """Those of a pair; a student that begins with samples has learned the volume already."""
        if hasattr(student, "sampled"):
            return cls(0, 0)
        return cls.of(steps, features=student.has_features and teacher.has_features)


@one_thread()
def convert(
    teacher: Field,
    model: Model,
    settings: FieldSettings,
    output: Path,
    *,
    min_psnr: float | None = None,
    stages: Stages | None = None,
    hard: int = 1,
    resume: bool = False,
    progress: Progress = lambda step, total, loss: None,
    stop: Callable[[], bool] = lambda: False,
) -> Field:
    """Teach `model` what `teacher` holds and write `output`.

    `hard` > 1: as many times the rays and points of a step are looked at, the worst are half of
    what is learned from, and half of the rays come from where the student errs (`field_hard`).

    Raises `NotGoodEnoughError` when its PSNR against the teacher is below `min_psnr`; no file is
    left then, since the plan of more steps is another one from the first step on.
    """
    settings.check()
    shared = model.has_features and teacher.model.has_features
    plan = stages or Stages.between(teacher.model, model, settings.steps)
    key = identity(
        model, settings, _digest(teacher), {"stages": [plan.volume, plan.rendered], "hard": hard}
    )
    start = first_guess(teacher, model)
    fit = begin(model, settings, params=start, occupancy=teacher.occupancy)
    watch = Watch(hard) if hard > 1 else None
    fit.extra = {} if watch is None else watch.tensors
    fit = resumed(fit, output, key, resume)
    began = time.monotonic()
    loss = teacher_loss(teacher, model, settings, plan, features=shared, watch=watch)
    fit = run(fit, settings, loss, progress=progress, save=saver(output, key, stop), stop=stop)
    made = finished(fit, teacher.cube, teacher.name, teacher.distance, settings)
    quality = agreement(teacher, made, settings.seed)
    made = with_info(made, {
        "teacher": teacher.model.kind, "seconds": round(time.monotonic() - began, 1), **quality
    })  # fmt: skip
    if min_psnr is not None and quality["psnr_teacher_db"] < min_psnr:
        checkpoint_path(output).unlink(missing_ok=True)
        raise NotGoodEnoughError(
            output, "is too far from its teacher and was not written",
            got=f"{quality['psnr_teacher_db']} dB", expected=f">= {min_psnr} dB",
            fix="Give more --steps, or larger sizes",
        )  # fmt: skip
    write_field(output, made)
    checkpoint_path(output).unlink(missing_ok=True)
    return made


def first_guess(teacher: Field, model: Model) -> Params:
    """Parameters that a student begins with: samples of the teacher, or its colour head."""
    sampled = getattr(model, "sampled", None)
    if sampled is None:
        shared = model.has_features and teacher.model.has_features
        return {n: v for n, v in teacher.params.items() if shared and n.startswith("head.")}
    near = teacher.occupancy.grown()

    def log_density(x: Tensor) -> Tensor:
        found, here = torch.full((len(x),), LOG_SIGMA[0] - 1), near.at(x)
        found[here] = teacher.model.log_density(teacher.params, x[here])
        return found

    def colors(x: Tensor, d: Tensor) -> Tensor:
        every = d.repeat(len(x), 1)
        if teacher.model.has_features:
            found = teacher.model.features(teacher.params, x).repeat_interleave(len(d), 0)
            rgb = head(teacher.params, found, every)
        else:
            rgb, _ = teacher.model.query(teacher.params, x.repeat_interleave(len(d), 0), every)
        return rgb.reshape(len(x), len(d), 3)

    return sampled(log_density, colors)


def _digest(teacher: Field) -> str:
    tensors = {n: v.numpy() for n, v in teacher.params.items()}
    tensors[OCCUPANCY] = pack(teacher.occupancy)
    said = {"model": repr(teacher.model), "distance": teacher.distance, **teacher.cube.record()}
    return digest(said, tensors)


def teacher_loss(
    teacher: Field,
    model: Model,
    settings: FieldSettings,
    plan: Stages | None,
    *,
    features: bool,
    watch: Watch | None = None,
) -> Loss:
    """The sum of the losses of the stage that a step is in; without a plan rendered colours alone.

    `features`: whether both sides have them. With a `watch` the worst of more rays and points
    are taken.
    """
    pools: dict[int, Pool] = {}

    def loss(params: Params, occupancy: Occupancy, step: int, generator: torch.Generator) -> Tensor:
        epoch = step // EPOCH
        if epoch not in pools:
            pools.clear()
            pools[epoch] = fill(
                teacher, settings.rays, settings.seed, epoch, features=features,
                poses=None if watch is None or epoch == 0 else watch.poses(epoch),
            )  # fmt: skip
        count = settings.rays * (1 if watch is None else watch.times)
        lesson = draw(pools[epoch], count, generator)
        if watch is not None:
            lesson = watch.choose(model, params, lesson, settings.rays)
        backs = torch.rand(settings.rays, 3, generator=generator)
        if plan is None:
            return _pictures_error(_along(model, params, lesson), lesson, backs)
        x = torch.cat([lesson.samples.x, lesson.x])
        d = torch.cat([lesson.samples.d, lesson.d])
        told = ask(model, params, x, d, features=features)
        asked = joined(lesson.answers, lesson.told)
        total = torch.zeros(())
        if features:
            weight = WEIGHTS["features"] * FADE ** max(0, step - plan.volume)
            total = total + weight * _features_error(told.features, asked.features)
        if step >= plan.volume:
            total = total + WEIGHTS["sigma"] * _log_error(told.log_sigma, asked.log_sigma)
            total = total + WEIGHTS["rgb"] * _color_error(told.rgb, asked)
        if step >= plan.rendered:
            along = told.rows(torch.arange(len(lesson.samples.t)))
            total = total + _pictures_error(along, lesson, backs)
        return total

    return loss


def _along(model: Model, params: Params, lesson: Lesson) -> Answer:
    return ask(model, params, lesson.samples.x, lesson.samples.d, features=False)


def _pictures_error(told: Answer, lesson: Lesson, backs: Tensor) -> Tensor:
    """Mean squared error of what rays bring before backgrounds."""
    pictures = [
        composite(lesson.samples, lesson.count, a.rgb, density(a.log_sigma)).over(backs)
        for a in (told, lesson.answers)
    ]
    return (pictures[0] - pictures[1]).square().mean()


def _features_error(told: Tensor, asked: Tensor) -> Tensor:
    first = _log_error(told[:, 0], asked[:, 0])
    return first + (told[:, 1:] - asked[:, 1:]).square().mean()


def _log_error(told: Tensor, asked: Tensor) -> Tensor:
    """Squares of differences of log sigma where either side is within the range."""
    wanted = asked.clamp(*LOG_SIGMA)
    low = torch.where(asked < LOG_SIGMA[0], told.clamp(min=LOG_SIGMA[0]), told)
    both = torch.where(asked > LOG_SIGMA[1], low.clamp(max=LOG_SIGMA[1]), low)
    return (both - wanted).square().mean()


def _color_error(told: Tensor, asked: Answer) -> Tensor:
    """Squares of differences of colour; what is transparent has none."""
    weight = torch.sigmoid(asked.log_sigma)[:, None]
    return (weight * (told - asked.rgb).square()).sum() / (3 * weight.sum()).clamp(min=1.0)
