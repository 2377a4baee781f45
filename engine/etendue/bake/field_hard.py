"""Where a student errs, so that more is asked there (after Fang et al. 2023b, PVD-AL).

Rays and points are chosen among those of a step (`field_pool.hardest`), poses from one pool to the
next: by the mean error of the rays of each part of the sphere of cameras. What was seen is part of
a checkpoint, so an interrupted conversion goes on with the same poses.
"""

from __future__ import annotations

import torch
from torch import Tensor

from etendue.bake.field_pool import POSES, Lesson, ask, hardest, point_errors, ray_errors
from etendue.field.base import Model, Params

LEAST = 0.1  # of the mean error, which no pose falls below


class Watch:
    """Errors since the last pool was made, and the weights that it was made with.

    `times` as many rays and points are looked at as are learned from.
    """

    def __init__(self, times: int) -> None:
        self.times = times
        self.tensors: Params = {
            "errors": torch.zeros(POSES),
            "counts": torch.zeros(POSES),
            "poses": torch.ones(POSES),
            "epoch": torch.zeros(1),
        }

    def poses(self, epoch: int) -> Tensor:
        """Weights (POSES,) for the pool number `epoch`; the same ones when it is made again."""
        own = self.tensors
        if int(own["epoch"]) != epoch:
            own["poses"].copy_(weights(own["errors"], own["counts"]))
            own["errors"].zero_()
            own["counts"].zero_()
            own["epoch"].fill_(epoch)
        return own["poses"]

    @torch.no_grad()
    def choose(self, model: Model, params: Params, lesson: Lesson, count: int) -> Lesson:
        """`count` rays of a lesson, and points: half of them the worst for the student."""
        s = lesson.samples
        rays = ray_errors(lesson, ask(model, params, s.x, s.d, features=False))
        told = ask(model, params, lesson.x, lesson.d, features=False)
        self.tensors["errors"].index_add_(0, lesson.pose, rays)
        self.tensors["counts"].index_add_(0, lesson.pose, torch.ones(len(rays)))
        return hardest(lesson, rays, point_errors(lesson, told), count)


def weights(errors: Tensor, counts: Tensor) -> Tensor:
    """Mean errors by pose; the mean of all where none was seen, and never next to nothing."""
    mean = float(errors.sum() / counts.sum().clamp(min=1.0))
    if mean <= 0.0:
        return torch.ones_like(errors)
    own = torch.where(counts > 0, errors / counts.clamp(min=1.0), mean)
    return own.clamp(min=LEAST * mean) / mean
