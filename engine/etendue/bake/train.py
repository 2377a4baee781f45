"""Fitting: an encoder phase that learns latents as a function of parameters, then direct latents.

Zeltner et al. 2024, sections 4 and 5. Differences: the target is stochastic, so walks are averaged
and the colours' means are matched at the end; several direction pairs share one texel, which makes
the encoder cheap.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from etendue.bake import checkpoint as ck
from etendue.bake.latents import lookup, parameter_pyramid
from etendue.bake.network import (
    Params,
    evaluate,
    init_encoder,
    init_params,
    log_density,
    mlp,
)
from etendue.bake.settings import BakeSettings
from etendue.bake.target import Batch, Launch, launch
from etendue.bsdf.base import InlineBSDF
from etendue.bsdf.neural_numpy import LATENTS
from etendue.bsdf.pyramid import level_offsets

Progress = Callable[[int, int, float], None]
EPSILON = 0.01  # values well below this are dark enough to be anything
CHECKS = 6  # times that a bake with a target looks at itself
LANDING = 10  # the last part of an early end is one in so many of the planned steps
CUBE = 1e-4  # keeps the cube root's slope finite


@dataclass
class Fit:
    """One network in training."""

    params: Params
    features: Tensor | None  # (texels, K) encoder inputs, None once latents are direct
    optimizer: torch.optim.Optimizer
    anchor: Tensor | None = None  # (texels, 8) what the encoder said, once it is gone
    smooth: float = 0.0  # running mean of the loss, 0 before the first step


@dataclass
class Training:
    """A bake in progress: the fits still in the race, one after it."""

    fits: list[Fit]
    step: int = 0
    history: list[list[float]] = field(default_factory=list)
    landing: tuple[int, int] | None = None  # first and last step of an early end


class BakeStoppedError(Exception):
    """The user stopped the bake; its checkpoint is on disk."""


def loss_evaluator(value: Tensor, target: Tensor, kind: str = "log2") -> Tensor:
    """Mean error of logarithms, squared (log2) or absolute (log1, Zeltner et al. 2024), or of cube
    roots (power, Bitterli et al. 2026).

    Applied to averages of many walks, since a logarithm biases a noisy target low. What bias
    remains is removed by the exported `energy` table.
    """
    if kind == "power":
        return (3 * ((value + CUBE).pow(1 / 3) - (target + CUBE).pow(1 / 3))).square().mean()
    error = (value + EPSILON).log() - (target + EPSILON).log()
    return error.square().mean() if kind == "log2" else error.abs().mean()


def loss_sampler(log_q: Tensor, batch: Batch) -> Tensor:
    """KL(f || q) up to a constant: - sum w log q with w = luminance(f) / pdf per texel and view."""
    luminance = batch.f @ batch.f.new_tensor([0.2126, 0.7152, 0.0722])
    weight = luminance / batch.pdf
    weight = weight / (weight.mean() + 1e-8)
    return -(weight.clamp(max=50) * log_q).mean()


def start(
    settings: BakeSettings, data: Any, decoder: Mapping[str, np.ndarray] | None = None
) -> Training:
    """Fresh fits; `data` is the material's parameter texture (R, R, C) or None (constant).

    The tensors of `decoder` take the place of frames, evaluator and sampler and stay as they are.
    """
    features = None if data is None else torch.from_numpy(parameter_pyramid(data))
    fits = [_fresh(settings, features, k, decoder) for k in range(settings.instances)]
    return Training(fits)


def _fresh(
    settings: BakeSettings,
    features: Tensor | None,
    instance: int,
    decoder: Mapping[str, np.ndarray] | None,
) -> Fit:
    generator = torch.Generator().manual_seed(settings.seed + instance * 1_000_003)
    params = init_params(settings.arch, settings.sampler, generator, settings.reciprocal)
    for name, value in (decoder or {}).items():
        params[name] = torch.from_numpy(np.array(value, np.float32))
    if features is not None:
        params |= init_encoder(features.shape[1], generator)
    else:
        texels = level_offsets(settings.resolution)[-1]
        params["latents"] = 0.1 * torch.randn(texels, LATENTS, generator=generator)
    return _fit(settings, params, features)


def is_decoder(name: str) -> bool:
    """Whether the tensor `name` belongs to what materials can share."""
    return name.partition(".")[0] in ("frames", "evaluator", "sampler")


def _fit(settings: BakeSettings, params: Params, features: Tensor | None) -> Fit:
    trained = {n: v for n, v in params.items() if not settings.decoder or not is_decoder(n)}
    for value in trained.values():
        value.requires_grad_(True)
    groups = [
        {"params": [v for n, v in trained.items() if n != "latents"], "base": settings.lr},
        {"params": [v for n, v in trained.items() if n == "latents"], "base": settings.lr_latent},
    ]
    groups = [group for group in groups if group["params"]]
    optimizer = torch.optim.Adam(groups, lr=settings.lr, betas=(0.9, 0.99), eps=1e-8, fused=True)
    return Fit(params, features, optimizer)


def drop_encoder(settings: BakeSettings, fit: Fit) -> Fit:
    """Encode every texel once; latents become parameters, all moments start anew."""
    assert fit.features is not None
    with torch.no_grad():
        latents = torch.cat(
            [mlp(rows, fit.params, "encoder") for rows in fit.features.split(65536)]
        )
    kept = {k: v.detach() for k, v in fit.params.items() if not k.startswith("encoder")}
    after = _fit(settings, kept | {"latents": latents.clone()}, None)
    after.anchor, after.smooth = latents, fit.smooth
    return after


def learning_rate(
    settings: BakeSettings, step: int, landing: tuple[int, int] | None = None
) -> float:
    """Warm-up over 100 steps, then cosine from 1 to `lr_end`; a landing goes there straight."""
    share = step / settings.steps
    cosine = 0.5 * (1 + math.cos(math.pi * share))
    rate = min(1.0, (step + 1) / 100) * (settings.lr_end + (1 - settings.lr_end) * cosine)
    if landing is None:
        return rate
    left = (landing[1] - step) / (landing[1] - landing[0])
    return settings.lr_end + (rate - settings.lr_end) * min(1.0, max(0.0, left))


def train_step(settings: BakeSettings, fit: Fit, batch: Batch, rate: float) -> None:
    """One gradient step at `rate` times the base rates; `fit.smooth` follows the loss."""
    params = fit.params
    if fit.features is not None:
        latent = mlp(fit.features[_texel_index(batch, settings.resolution)], params, "encoder")
    else:
        latent = lookup(params["latents"], batch.uv, batch.level, settings.resolution)
    value = evaluate(latent, batch.wi, batch.wo, params)
    error = loss_evaluator(value, batch.f, settings.loss)
    half = batch.directions(settings.pairs // 2)  # the smaller network needs fewer samples
    spread = loss_sampler(log_density(latent.detach(), half.wi, half.wo, params), half)
    total = error + 0.2 * spread
    if fit.anchor is not None and settings.anchor > 0:
        start = lookup(fit.anchor, batch.uv, batch.level, settings.resolution)
        total = total + settings.anchor * (latent - start).square().mean()
    fit.optimizer.zero_grad(set_to_none=True)
    total.backward()
    for group in fit.optimizer.param_groups:
        group["lr"] = group["base"] * rate
    fit.optimizer.step()
    loss = float(error.detach())
    fit.smooth = 0.95 * fit.smooth + 0.05 * loss if fit.smooth else loss


def _texel_index(batch: Batch, resolution: int) -> Tensor:
    offsets = torch.tensor(level_offsets(resolution)[:-1])
    side = resolution >> batch.level
    xy = torch.floor(batch.uv * side[:, None]).long()
    return offsets[batch.level] + xy[:, 1] * side + xy[:, 0]


def run(
    settings: BakeSettings,
    training: Training,
    reference: InlineBSDF,
    *,
    progress: Progress,
    save: Callable[[Training], None],
    stop: Callable[[], bool],
    reached: Callable[[Fit], bool] | None = None,
) -> Fit:
    """Train from `training.step` to `settings.steps`; `save` is offered the state after every pool.

    `reached` is asked a few times once latents are direct whether the fit is good enough; the rate
    then falls to its end within a tenth of the steps, and the bake ends early.

    A step depends on the settings and its number only, never on time, so that an interrupted and
    resumed run equals an uninterrupted one bit for bit. Torch trains on one thread: these networks
    are too small to share, and the other cores produce the next pool meanwhile.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _run(settings, training, reference, progress, save, stop, reached)
    finally:
        torch.set_num_threads(threads)


def _run(
    settings: BakeSettings,
    training: Training,
    reference: InlineBSDF,
    progress: Progress,
    save: Callable[[Training], None],
    stop: Callable[[], bool],
    reached: Callable[[Fit], bool] | None,
) -> Fit:
    per_pool = settings.pool * settings.reuse
    switch = round(settings.encoder_share * settings.steps / per_pool) * per_pool
    encoder = training.fits[0].features is not None

    def begin(index: int) -> Launch:
        first = index * per_pool
        return launch(
            reference,
            settings.texels * settings.pool,
            settings.pairs,
            settings.resolution,
            settings.seed,
            index,
            at_centres=encoder and first < switch,
            blur=blur(settings, first),
            half=settings.half,
        )

    following = begin(training.step // per_pool)
    while training.step < _end(settings, training):
        cull(settings, training)
        if training.fits[0].features is not None and training.step >= switch:
            training.fits = [drop_encoder(settings, fit) for fit in training.fits]
        index, first = divmod(training.step, per_pool)
        pool = following.collect()
        following = begin(index + 1)  # Dr.Jit works on it while torch trains
        order = _order(settings, index)
        for k in range(first, min(per_pool, _end(settings, training) - index * per_pool)):
            _step(settings, training, pool.rows(order[k]))
        if reached is not None and _asks(settings, training, switch if encoder else 0, per_pool):
            if reached(training.fits[0]):
                length = -(-settings.steps // (LANDING * per_pool)) * per_pool
                training.landing = (training.step, training.step + length)
        best = min(fit.smooth for fit in training.fits)
        training.history.append([training.step, best])
        progress(training.step, _end(settings, training), best)
        save(training)
        if stop():
            raise BakeStoppedError
    return min(training.fits, key=lambda fit: fit.smooth)


def _end(settings: BakeSettings, training: Training) -> int:
    return settings.steps if training.landing is None else training.landing[1]


def _asks(settings: BakeSettings, training: Training, switch: int, per_pool: int) -> bool:
    """Whether this pool ends one of `CHECKS` equal parts of the phase of direct latents."""
    if training.landing is not None or len(training.fits) > 1 or training.step <= switch:
        return False
    part = max(per_pool, (settings.steps - switch) // CHECKS)
    done = training.step - switch
    last = settings.steps - training.step <= settings.steps // LANDING
    return not last and done // part > (done - per_pool) // part


def _step(settings: BakeSettings, training: Training, batch: Batch) -> None:
    """Every fit of the race takes its share of the batch, another one every step."""
    count = len(training.fits)
    shares = torch.arange(len(batch.uv)).tensor_split(count)
    rate = learning_rate(settings, training.step, training.landing)
    for k, fit in enumerate(training.fits):
        rows = batch if count == 1 else batch.rows(shares[(k + training.step) % count])
        train_step(settings, fit, rows, rate)
    training.step += 1


def survivors(settings: BakeSettings, step: int) -> int:
    """Fits that go on at `step`: half of them fall out after each of equal rounds of the race."""
    rounds = (settings.instances - 1).bit_length()
    done = rounds * step / max(1.0, settings.race_share * settings.steps)
    return max(1, -(-settings.instances >> min(rounds, int(done))))


def cull(settings: BakeSettings, training: Training) -> None:
    """Keep the fits with the least loss (Bitterli et al. 2026); the data of a step is shared."""
    keep = survivors(settings, training.step)
    if keep < len(training.fits):
        training.fits = sorted(training.fits, key=lambda fit: fit.smooth)[:keep]


def blur(settings: BakeSettings, step: int) -> float:
    """Mollification angle at `step` (rad), falling linearly to zero."""
    return settings.blur * max(0.0, 1 - step / max(1.0, settings.blur_share * settings.steps))


def _order(settings: BakeSettings, index: int) -> Tensor:
    """Rows of the pool that each of its steps visits (steps, texels), shuffled per visit."""
    generator = torch.Generator().manual_seed(settings.seed * 7_919 + index)
    count = settings.texels * settings.pool
    rounds = [torch.randperm(count, generator=generator) for _ in range(settings.reuse)]
    return torch.cat(rounds).reshape(-1, settings.texels)


def to_checkpoint(training: Training, identity: dict[str, Any]) -> ck.Checkpoint:
    """Snapshot for `checkpoint.save_checkpoint`."""
    tensors: dict[str, Tensor] = {}
    if training.landing is not None:
        tensors["landing"] = torch.tensor(training.landing)
    for k, fit in enumerate(training.fits):
        names = {id(v): f"{k}/{n}" for n, v in fit.params.items()}
        tensors |= {f"param/{k}/{n}": v for n, v in fit.params.items()}
        tensors |= ck.adam_tensors(fit.optimizer, names)
        tensors[f"smooth/{k}"] = torch.tensor(fit.smooth, dtype=torch.float64)
        if fit.anchor is not None:
            tensors[f"anchor/{k}"] = fit.anchor
    return ck.Checkpoint(training.step, identity, tensors, training.history)


def from_checkpoint(settings: BakeSettings, saved: ck.Checkpoint, data: Any) -> Training:
    """Continue where `saved` stopped."""
    encoding = any("/encoder." in name for name in saved.tensors)
    features = torch.from_numpy(parameter_pyramid(data)) if encoding else None
    fits: list[Fit] = []
    while f"smooth/{len(fits)}" in saved.tensors:
        k = len(fits)
        params = {
            name.removeprefix(f"param/{k}/"): value.detach().clone()
            for name, value in saved.tensors.items()
            if name.startswith(f"param/{k}/")
        }
        fit = _fit(settings, params, features)
        names = {id(v): f"{k}/{n}" for n, v in fit.params.items()}
        ck.restore_adam(fit.optimizer, names, saved.tensors)
        fit.anchor = saved.tensors.get(f"anchor/{k}")
        fit.smooth = float(saved.tensors[f"smooth/{k}"])
        fits.append(fit)
    first, last = saved.tensors.get("landing", torch.zeros(2)).tolist()
    return Training(fits, saved.step, saved.history, (first, last) if last else None)


def save_to(path: Path, identity: dict[str, Any]) -> Callable[[Training], None]:
    """A saver for `run` that writes `path`."""
    return lambda training: ck.save_checkpoint(path, to_checkpoint(training, identity))
