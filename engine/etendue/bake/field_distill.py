"""Any field into any other: progressive volume distillation (Fang et al. 2023).

The student learns from the teacher in three stages, from shallow to deep: features, then densities
and colours, then rendered colours too. Nothing but the teacher is needed: rays go through its cube
at random. The first stage is left out where a side has no features.

Differences from the paper's program. Points are those of the marcher in the cells that the teacher
fills, so that teacher and student are asked about the same ones. Losses are means, not norms whose
weight grows with the number of points. Logarithms of densities are compared within `LOG_SIGMA`, and
shading and occupancy take the same density as the loss. A student with a colour head begins with
the teacher's, because features say nothing without it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

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
from etendue.bake.field_train import finished, resumed, saver, with_info
from etendue.bake.material import checkpoint_path
from etendue.bake.train import Progress
from etendue.core.errors import EtendueError
from etendue.field.base import LOG_SIGMA, Model, Params, density, head
from etendue.field.file import OCCUPANCY, Field, write_field
from etendue.field.march import Samples, composite, place, render, through
from etendue.field.occupancy import Occupancy, pack
from etendue.field.rays import Rays, sphere

WEIGHTS = {"features": 2e-3, "sigma": 2e-3, "rgb": 2e-3}  # beside rendered colours, as published
FADE = 0.995  # of the weight of features, per step
FEATURES_END, VOLUME_END = 1 / 15, 1 / 6  # shares of the steps after which a stage is over
UNSEEN = 1e-3  # light that reaches a point, below which nothing is asked there
JUDGES = 4096  # rays that the student is judged by


class NotGoodEnoughError(EtendueError):
    """A converted field differs more from its teacher than was asked for."""


@dataclass(frozen=True)
class Stages:
    """First steps of the second and third stage."""

    volume: int
    rendered: int

    @classmethod
    def of(cls, steps: int, *, features: bool) -> Stages:
        """As in the paper: 2000 and 5000 of 30000 steps; none for features where there are none."""
        return cls(round(FEATURES_END * steps) if features else 0, round(VOLUME_END * steps))


def convert(
    teacher: Field,
    model: Model,
    settings: FieldSettings,
    output: Path,
    *,
    min_psnr: float | None = None,
    stages: Stages | None = None,
    resume: bool = False,
    progress: Progress = lambda step, total, loss: None,
    stop: Callable[[], bool] = lambda: False,
) -> Field:
    """Teach `model` what `teacher` holds and write `output`.

    Raises `NotGoodEnoughError` when its PSNR against the teacher is below `min_psnr`; no file is
    left then, since the plan of more steps is another one from the first step on.
    """
    settings.check()
    shared = model.has_features and teacher.model.has_features
    plan = stages or Stages.of(settings.steps, features=shared)
    key = identity(model, settings, _digest(teacher), {"stages": [plan.volume, plan.rendered]})
    start = {n: v for n, v in teacher.params.items() if shared and n.startswith("head.")}
    fit = begin(model, settings, params=start, occupancy=teacher.occupancy)
    fit = resumed(fit, output, key, resume)
    began = time.monotonic()
    loss = teacher_loss(teacher, model, settings.rays, plan, features=shared)
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


def _digest(teacher: Field) -> str:
    tensors = {n: v.numpy() for n, v in teacher.params.items()}
    tensors[OCCUPANCY] = pack(teacher.occupancy)
    said = {"kind": teacher.model.kind, "distance": teacher.distance, **teacher.cube.record()}
    return digest(said, tensors)


def random_rays(
    count: int, occupancy: Occupancy, distance: float, generator: torch.Generator
) -> Rays:
    """Rays of cameras all around, `distance` from the cube's middle, towards filled cells."""
    eyes = torch.randn(count, 3, generator=generator)
    origin = 0.5 + max(distance, 0.9) * torch.nn.functional.normalize(eyes, dim=-1)
    to = occupancy.points(count, generator)
    return Rays(origin, torch.nn.functional.normalize(to - origin, dim=-1))


def teacher_loss(
    teacher: Field, model: Model, rays: int, plan: Stages | None, *, features: bool
) -> Loss:
    """The sum of the losses of the stage that a step is in; without a plan rendered colours alone.

    `features`: whether both sides have them.
    """

    def loss(params: Params, occupancy: Occupancy, step: int, generator: torch.Generator) -> Tensor:
        rendered = plan is None or step >= plan.rendered
        seen = random_rays(rays, occupancy, teacher.distance, generator)
        jitter = torch.rand(rays, generator=generator) - 0.5
        samples = place(seen, occupancy, jitter)
        with torch.no_grad():
            samples, asked = _reached(samples, rays, teacher, features=features)
        told = _ask(model, params, samples, features=features)
        total = torch.zeros(())
        if features and plan is not None:
            weight = WEIGHTS["features"] * FADE ** max(0, step - plan.volume)
            total = total + weight * _features_error(told.features, asked.features)
        if plan is not None and step >= plan.volume:
            total = total + WEIGHTS["sigma"] * _log_error(told.log_sigma, asked.log_sigma)
            total = total + WEIGHTS["rgb"] * _color_error(told.rgb, asked)
        if rendered:
            backs = torch.rand(rays, 3, generator=generator)
            pictures = [
                composite(samples, rays, a.rgb, density(a.log_sigma)).over(backs)
                for a in (told, asked)
            ]
            total = total + (pictures[0] - pictures[1]).square().mean()
        return total

    return loss


def _reached(
    samples: Samples, rays: int, teacher: Field, *, features: bool
) -> tuple[Samples, _Answer]:
    """The samples that the teacher lets light reach, and what it says there.

    What lies behind is arbitrary: nothing ever showed it.
    """
    found = _ask(teacher.model, teacher.params, samples, features=features)
    kept = through(samples, rays, density(found.log_sigma)) > UNSEEN
    return samples.rows(kept), found.rows(kept)


@dataclass(frozen=True)
class _Answer:
    features: Tensor
    rgb: Tensor
    log_sigma: Tensor

    def rows(self, index: Tensor) -> _Answer:
        """The chosen ones."""
        return _Answer(self.features[index], self.rgb[index], self.log_sigma[index])


def _ask(model: Model, params: Params, samples: Samples, *, features: bool) -> _Answer:
    if not features:
        rgb, log_sigma = model.query(params, samples.x, samples.d)
        return _Answer(log_sigma[:, None], rgb, log_sigma)
    found = model.features(params, samples.x)
    return _Answer(found, head(params, found, samples.d), found[:, 0])


def _features_error(told: Tensor, asked: Tensor) -> Tensor:
    first = _log_error(told[:, 0], asked[:, 0])
    return first + (told[:, 1:] - asked[:, 1:]).square().mean()


def _log_error(told: Tensor, asked: Tensor) -> Tensor:
    """Squares of differences of log sigma where either side is within the range."""
    wanted = asked.clamp(*LOG_SIGMA)
    low = torch.where(asked < LOG_SIGMA[0], told.clamp(min=LOG_SIGMA[0]), told)
    both = torch.where(asked > LOG_SIGMA[1], low.clamp(max=LOG_SIGMA[1]), low)
    return (both - wanted).square().mean()


def _color_error(told: Tensor, asked: _Answer) -> Tensor:
    """Squares of differences of colour; what is transparent has none."""
    weight = torch.sigmoid(asked.log_sigma)[:, None]
    return (weight * (told - asked.rgb).square()).sum() / (3 * weight.sum()).clamp(min=1.0)


def agreement(teacher: Field, student: Field, seed: int) -> dict[str, float]:
    """PSNR in dB of rays that neither was taught by, and the error of density where it matters.

    The latter is the mean of |difference of opacities of a marching step| over their mean, at
    points in filled cells.
    """
    generator = torch.Generator().manual_seed(seed + 900_001)
    seen = random_rays(JUDGES, teacher.distance, generator)
    rgb = [render(f.model, f.params, seen, f.occupancy).over(torch.ones(3))
           for f in (teacher, student)]  # fmt: skip
    error = float((rgb[0] - rgb[1]).square().mean())
    x = torch.rand(1 << 16, 3, generator=generator)
    x = x[teacher.occupancy.at(x)]
    with torch.no_grad():
        a, b = (1 - torch.exp(-density(f.model.log_density(f.params, x)) * teacher.occupancy.step)
                for f in (teacher, student))  # fmt: skip
    off = float((a - b).abs().mean() / a.mean().clamp(min=1e-9)) if len(x) else 0.0
    return {
        "psnr_teacher_db": round(-10 * math.log10(max(error, 1e-12)), 3),
        "opacity_error": round(off, 4),
    }


def show(field: Field, count: int = 4, size: int = 96) -> list[Any]:
    """`count` pictures (size, size, 3) of a field from around, before white."""
    from etendue.field.rays import View, look_at

    pictures = []
    unit = replace(field, cube=type(field.cube)((0.5, 0.5, 0.5), 1.0))
    focal = size / 2 * field.distance / 0.75
    for direction in sphere(count, 0.0):
        pose = look_at(0.5 + field.distance * direction, (0.5, 0.5, 0.5))
        view = View(pose, size, size, (focal, focal), (size / 2, size / 2))
        seen = render(unit.model, unit.params, view.rays(unit.cube), unit.occupancy)
        pictures.append(seen.over(torch.ones(3)).reshape(size, size, 3).numpy())
    return pictures
