"""How far a field is from another, and what both look like."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from etendue.bake.field_pool import random_rays
from etendue.bake.threads import one_thread
from etendue.field.base import LOG_SIGMA, density
from etendue.field.file import Field
from etendue.field.march import Samples, render, waves
from etendue.field.rays import Cube, View, look_at, sphere

UNIT = Cube((0.5, 0.5, 0.5), 1.0)
VIEWS, SIZE = 4, 96  # pictures that a copy is judged by
LOWEST = -0.2  # of their cameras' height, in distances
RAYS = 1 << 13  # along which densities are compared


def around(field: Field, count: int, size: int, lowest: float = LOWEST) -> list[View]:
    """Cameras around the unit cube that see all of it."""
    focal = size / 2 * field.distance / 0.75
    return [
        View(look_at(0.5 + field.distance * direction, (0.5, 0.5, 0.5)),
             size, size, (focal, focal), (size / 2, size / 2))
        for direction in sphere(count, lowest)
    ]  # fmt: skip


def picture(field: Field, view: View) -> Tensor:
    """What a camera of the unit cube sees before white (height, width, 3)."""
    seen = render(field.model, field.params, view.rays(UNIT), field.occupancy)
    return seen.over(torch.ones(3)).reshape(view.height, view.width, 3)


@one_thread()
def show(field: Field, count: int = 4, size: int = 96) -> list[Any]:
    """`count` pictures (size, size, 3) of a field from around, before white."""
    return [picture(field, view).numpy() for view in around(field, count, size, 0.0)]


def psnr_between(teacher: Field, student: Field, count: int = VIEWS, size: int = SIZE) -> float:
    """PSNR in dB over all pixels of pictures from around, of which none was a lesson."""
    pairs = [(picture(teacher, v), picture(student, v)) for v in around(teacher, count, size)]
    error = sum(float((a - b).square().mean()) for a, b in pairs) / len(pairs)
    return -10 * math.log10(max(error, 1e-12))


@torch.no_grad()
def agreement(teacher: Field, student: Field, seed: int) -> dict[str, float]:
    """PSNR in dB of pictures from around, and errors of density where the teacher's light gets.

    `density_error` is the mean of |difference of sigma| over the mean of sigma, each counted by the
    light that reaches its point on random rays, within the range in which densities are told apart;
    `opacity_error` is the same of what a marching step absorbs.
    """
    generator = torch.Generator().manual_seed(seed + 900_001)
    rays = random_rays(RAYS, teacher.occupancy, teacher.distance, generator)

    def ask(samples: Samples) -> tuple[Tensor, Tensor]:
        told = teacher.model.log_density(teacher.params, samples.x)
        return told, density(told)

    wrong, whole = torch.zeros(2), torch.zeros(2)
    for samples, told, _, light in waves(rays, teacher.occupancy, ask):
        found = student.model.log_density(student.params, samples.x)
        a, b = (density(t.clamp(*LOG_SIGMA)) for t in (told, found))
        thin = [-torch.expm1(-density(t) * samples.dt) for t in (told, found)]
        wrong += torch.stack([(light * (a - b).abs()).sum(),
                              (light * (thin[0] - thin[1]).abs()).sum()])  # fmt: skip
        whole += torch.stack([(light * a).sum(), (light * thin[0]).sum()])
    off = (wrong / whole.clamp(min=1e-9)).tolist()
    return {
        "psnr_teacher_db": round(psnr_between(teacher, student), 3),
        "density_error": round(off[0], 4),
        "opacity_error": round(off[1], 4),
    }
