"""Fields from photos, and how well they show what no training photo does."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from etendue.bake import checkpoint as ck
from etendue.bake.field_fit import (
    FieldFit,
    FieldSettings,
    begin,
    from_checkpoint,
    identity,
    run,
    to_checkpoint,
)
from etendue.bake.material import checkpoint_path
from etendue.bake.threads import one_thread
from etendue.bake.train import Progress
from etendue.core.errors import InputError
from etendue.field.base import Model, Params
from etendue.field.data import Dataset, Photos, Pixels, pixels
from etendue.field.file import Field, write_field
from etendue.field.march import STEP, Marched, lit, march, render
from etendue.field.occupancy import Occupancy, survey
from etendue.field.rays import Cube, View

LOOKED_AT = 1 << 16  # pixels from which the cells that photos show are found
EVERY_S = 10.0  # between two checkpoints


@one_thread()
def train(
    data: Dataset,
    model: Model,
    settings: FieldSettings,
    output: Path,
    *,
    name: str = "field",
    unbounded: bool = False,
    resume: bool = False,
    progress: Progress = lambda step, total, loss: None,
    stop: Callable[[], bool] = lambda: False,
) -> Field:
    """Fit `model` to the training photos and write `output`.

    `unbounded`: photos that show more than the cube, whose surroundings are learned too.

    An interrupted training leaves a checkpoint, from which `resume` goes on to the same field.
    """
    settings.check()
    own = pixels(data.train, data.cube)
    key = identity(model, settings, digest(own), {"unbounded": unbounded})
    prepare = getattr(model, "learning", None)
    fit = begin(model, settings, prepare=prepare, unbounded=unbounded)
    fit = resumed(fit, output, key, resume)
    began = time.monotonic()
    fit = run(
        fit,
        settings,
        photo_loss(model, own, settings.rays),
        progress=progress,
        save=saver(output, key, stop),
        stop=stop,
    )
    seconds = round(time.monotonic() - began, 1)
    made = _shown(finished(fit, data.cube, name, data.distance, settings), own)
    made = with_info(made, {
        "photos": len(data.train), "seconds": seconds, "psnr_test_db": psnr(made, data.test)
    })  # fmt: skip
    write_field(output, made)
    checkpoint_path(output).unlink(missing_ok=True)
    return made


def photo_loss(
    model: Model, own: Pixels, rays: int
) -> Callable[[Params, Occupancy, int, torch.Generator], Tensor]:
    """Mean squared error of random pixels before random backgrounds."""

    def loss(params: Params, occupancy: Occupancy, step: int, generator: torch.Generator) -> Tensor:
        chosen = torch.randint(len(own.alpha), (rays,), generator=generator)
        jitter = torch.rand(rays, generator=generator) - 0.5
        background = torch.rand(rays, 3, generator=generator)
        seen = march(
            lambda x, d: model.query(params, x, d), own.rays.rows(chosen), occupancy, jitter
        )
        wanted = own.color[chosen] + (1 - own.alpha[chosen])[:, None] * background
        return (seen.over(background) - wanted).square().mean()

    return loss


def finished(
    fit: FieldFit, cube: Cube, name: str, distance: float, settings: FieldSettings
) -> Field:
    """The field of a fit, with what of it is empty."""
    params = {n: v.detach() for n, v in fit.params.items()}
    learned = getattr(fit.model, "learned", None)
    params = params if learned is None else learned(params)
    found = fit.occupancy
    if fit.watches:
        found = survey(
            lambda x: fit.model.log_density(params, x),
            STEP,
            settings.seed,
            contracted=fit.occupancy.contracted,
        )
    info = {"steps": fit.step, "seed": settings.seed, "rays": settings.rays}
    return Field(fit.model, params, cube, found, name, distance, info)


def _shown(made: Field, own: Pixels) -> Field:
    """The same without cells that no photo shows."""
    generator = torch.Generator().manual_seed(int(made.info["seed"]))
    chosen = torch.randint(len(own.alpha), (min(LOOKED_AT, len(own.alpha)),), generator=generator)
    found = lit(lambda x: made.model.log_density(made.params, x), own.rays.rows(chosen),
                made.occupancy)  # fmt: skip
    return replace(made, occupancy=found)


def with_info(made: Field, info: dict[str, Any]) -> Field:
    """The same with more known about it."""
    return Field(made.model, made.params, made.cube, made.occupancy, made.name, made.distance,
                 {**made.info, **info})  # fmt: skip


def look_through(made: Field, view: View) -> Marched:
    """What a camera sees of a field, every pixel by rows."""
    return render(made.model, made.params, view.rays(made.cube), made.occupancy)


def psnr(made: Field, photos: Photos) -> float:
    """Peak signal-to-noise ratio in dB over all pixels of all photos, before white."""
    total, count = 0.0, 0
    for view, picture in zip(photos.views, photos.pictures, strict=True):
        seen = look_through(made, view).over(torch.ones(3)).numpy()
        flat = picture.reshape(-1, 4)
        wanted = flat[:, :3] * flat[:, 3:] + 1 - flat[:, 3:]
        total += float(np.square(seen - wanted).sum())
        count += wanted.size
    return round(-10 * float(np.log10(max(total / max(count, 1), 1e-12))), 3)


def digest(own: Pixels) -> str:
    """SHA-256 of rays and colours."""
    state = hashlib.sha256()
    for part in (own.rays.origin, own.rays.direction, own.color, own.alpha):
        state.update(part.numpy().tobytes())
    return state.hexdigest()


def resumed(fit: FieldFit, output: Path, key: dict[str, Any], resume: bool) -> FieldFit:
    """The fit, where its checkpoint stopped if it is to go on."""
    path = checkpoint_path(output)
    if resume and path.is_file():
        return from_checkpoint(path, fit, key)
    if path.is_file():
        raise InputError(path, "is the state of an unfinished training",
                         fix="Go on with --resume, or discard it with --restart")  # fmt: skip
    return fit


def saver(
    output: Path, key: dict[str, Any], stop: Callable[[], bool]
) -> Callable[[FieldFit], None]:
    """Writes a checkpoint every `EVERY_S`, and when it is asked to stop."""
    last = [time.monotonic()]

    def save(fit: FieldFit) -> None:
        if stop() or time.monotonic() - last[0] >= EVERY_S:
            ck.save_checkpoint(checkpoint_path(output), to_checkpoint(fit, key))
            last[0] = time.monotonic()

    return save
