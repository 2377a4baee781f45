"""Fitting: an encoder phase that learns latents as a function of parameters, then direct latents.

Zeltner et al. 2024, sections 4 and 5. Differences: the target is stochastic, so walks are averaged
and the colours' means are matched at the end; several direction pairs share one texel, which makes
the encoder cheap.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


@dataclass
class Fit:
    """A bake in progress."""

    params: Params
    features: Tensor | None  # (texels, K) encoder inputs, None once latents are direct
    optimizer: torch.optim.Optimizer
    step: int
    history: list[list[float]]


class BakeStoppedError(Exception):
    """The user stopped the bake; its checkpoint is on disk."""


def loss_evaluator(value: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of logarithms (Zeltner et al. 2024 take the absolute error).

    Applied to averages of many walks, since a logarithm biases a noisy target low. What bias
    remains is removed by the exported `energy` table.
    """
    return ((value + EPSILON).log() - (target + EPSILON).log()).square().mean()


def loss_sampler(log_q: Tensor, batch: Batch) -> Tensor:
    """KL(f || q) up to a constant: - sum w log q with w = luminance(f) / pdf per texel and view."""
    luminance = batch.f @ batch.f.new_tensor([0.2126, 0.7152, 0.0722])
    weight = luminance / batch.pdf
    weight = weight / (weight.mean() + 1e-8)
    return -(weight.clamp(max=50) * log_q).mean()


def start(settings: BakeSettings, data: Any) -> Fit:
    """Fresh parameters; `data` is the material's parameter texture (R, R, C) or None (constant)."""
    generator = torch.Generator().manual_seed(settings.seed)
    params = init_params(settings.arch, settings.sampler, generator)
    features = None
    if data is not None:
        features = torch.from_numpy(parameter_pyramid(data))
        params |= init_encoder(features.shape[1], generator)
    else:
        texels = level_offsets(settings.resolution)[-1]
        params["latents"] = 0.1 * torch.randn(texels, LATENTS, generator=generator)
    return _fit(settings, params, features)


def _fit(settings: BakeSettings, params: Params, features: Tensor | None) -> Fit:
    for value in params.values():
        value.requires_grad_(True)
    groups = [
        {"params": [v for n, v in params.items() if n != "latents"], "base": settings.lr},
        {"params": [v for n, v in params.items() if n == "latents"], "base": settings.lr_latent},
    ]
    groups = [group for group in groups if group["params"]]
    optimizer = torch.optim.Adam(groups, lr=settings.lr, betas=(0.9, 0.99), eps=1e-8, fused=True)
    return Fit(params, features, optimizer, 0, [])


def drop_encoder(settings: BakeSettings, fit: Fit) -> Fit:
    """Encode every texel once; latents become parameters, all moments start anew."""
    assert fit.features is not None
    with torch.no_grad():
        latents = torch.cat(
            [mlp(rows, fit.params, "encoder") for rows in fit.features.split(65536)]
        )
    kept = {k: v.detach() for k, v in fit.params.items() if not k.startswith("encoder")}
    after = _fit(settings, kept | {"latents": latents}, None)
    after.step, after.history = fit.step, fit.history
    return after


def learning_rate(settings: BakeSettings, step: int) -> float:
    """Warm-up over 100 steps, then cosine from 1 to `lr_end`."""
    share = step / settings.steps
    cosine = 0.5 * (1 + math.cos(math.pi * share))
    return min(1.0, (step + 1) / 100) * (settings.lr_end + (1 - settings.lr_end) * cosine)


def train_step(settings: BakeSettings, fit: Fit, batch: Batch) -> float:
    """One gradient step; returns the evaluator's loss."""
    params = fit.params
    if fit.features is not None:
        latent = mlp(fit.features[_texel_index(batch, settings.resolution)], params, "encoder")
    else:
        latent = lookup(params["latents"], batch.uv, batch.level, settings.resolution)
    value = evaluate(latent, batch.wi, batch.wo, params)
    error = loss_evaluator(value, batch.f)
    half = batch.directions(settings.pairs // 2)  # the smaller network needs fewer samples
    spread = loss_sampler(log_density(latent.detach(), half.wi, half.wo, params), half)
    fit.optimizer.zero_grad(set_to_none=True)
    (error + 0.2 * spread).backward()
    for group in fit.optimizer.param_groups:
        group["lr"] = group["base"] * learning_rate(settings, fit.step)
    fit.optimizer.step()
    fit.step += 1
    return float(error.detach())


def _texel_index(batch: Batch, resolution: int) -> Tensor:
    offsets = torch.tensor(level_offsets(resolution)[:-1])
    side = resolution >> batch.level
    xy = torch.floor(batch.uv * side[:, None]).long()
    return offsets[batch.level] + xy[:, 1] * side + xy[:, 0]


def run(
    settings: BakeSettings,
    fit: Fit,
    reference: InlineBSDF,
    *,
    progress: Progress,
    save: Callable[[Fit], None],
    stop: Callable[[], bool],
) -> Fit:
    """Train from `fit.step` to `settings.steps`; `save` is offered the state after every pool.

    A step depends on the settings and its number only, never on time, so that an interrupted and
    resumed run equals an uninterrupted one bit for bit. Torch trains on one thread: these networks
    are too small to share, and the other cores produce the next pool meanwhile.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _run(settings, fit, reference, progress, save, stop)
    finally:
        torch.set_num_threads(threads)


def _run(
    settings: BakeSettings,
    fit: Fit,
    reference: InlineBSDF,
    progress: Progress,
    save: Callable[[Fit], None],
    stop: Callable[[], bool],
) -> Fit:
    per_pool = settings.pool * settings.reuse
    switch = round(settings.encoder_share * settings.steps / per_pool) * per_pool

    def begin(index: int) -> Launch:
        encoding = encoder and index * per_pool < switch
        count = settings.texels * settings.pool
        where = (count, settings.pairs, settings.resolution, settings.seed, index)
        return launch(reference, *where, at_centres=encoding)

    encoder, smooth = fit.features is not None, fit.history[-1][1] if fit.history else 0.0
    following = begin(fit.step // per_pool)
    while fit.step < settings.steps:
        if fit.features is not None and fit.step >= switch:
            fit = drop_encoder(settings, fit)
        index, first = divmod(fit.step, per_pool)
        pool = following.collect()
        following = begin(index + 1)  # Dr.Jit works on it while torch trains
        order = _order(settings, index)
        for k in range(first, min(per_pool, settings.steps - index * per_pool)):
            loss = train_step(settings, fit, pool.rows(order[k]))
            smooth = loss if not smooth else 0.95 * smooth + 0.05 * loss
        fit.history.append([fit.step, smooth])
        progress(fit.step, settings.steps, smooth)
        save(fit)
        if stop():
            raise BakeStoppedError
    return fit


def _order(settings: BakeSettings, index: int) -> Tensor:
    """Rows of the pool that each of its steps visits (steps, texels), shuffled per visit."""
    generator = torch.Generator().manual_seed(settings.seed * 7_919 + index)
    count = settings.texels * settings.pool
    rounds = [torch.randperm(count, generator=generator) for _ in range(settings.reuse)]
    return torch.cat(rounds).reshape(-1, settings.texels)


def to_checkpoint(fit: Fit, identity: dict[str, Any]) -> ck.Checkpoint:
    """Snapshot for `checkpoint.save_checkpoint`."""
    names = {id(v): n for n, v in fit.params.items()}
    tensors = {f"param/{n}": v for n, v in fit.params.items()}
    tensors |= ck.adam_tensors(fit.optimizer, names)
    return ck.Checkpoint(fit.step, identity, tensors, fit.history)


def from_checkpoint(settings: BakeSettings, saved: ck.Checkpoint, data: Any) -> Fit:
    """Continue where `saved` stopped."""
    params = {
        name.removeprefix("param/"): value.clone()
        for name, value in saved.tensors.items()
        if name.startswith("param/")
    }
    encoding = any(n.startswith("encoder") for n in params)
    features = torch.from_numpy(parameter_pyramid(data)) if encoding else None
    fit = _fit(settings, params, features)
    names = {id(v): n for n, v in fit.params.items()}
    ck.restore_adam(fit.optimizer, names, saved.tensors)
    fit.step, fit.history = saved.step, saved.history
    return fit


def save_to(path: Path, identity: dict[str, Any]) -> Callable[[Fit], None]:
    """A saver for `run` that writes `path`."""
    return lambda fit: ck.save_checkpoint(path, to_checkpoint(fit, identity))
