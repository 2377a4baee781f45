"""Fitting: an encoder phase that learns latents as a function of parameters, then direct latents.

Zeltner et al. 2024, sections 4 and 5. Differences: the target is stochastic, so walks are averaged
and the colours' means are matched at the end; several direction pairs share one texel, which makes
the encoder cheap; several materials may share the decoder, each step then sees some of each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from etendue.bake.fit import Fit, Subject, Training, drop_encoder, latent_of
from etendue.bake.network import evaluate, log_density
from etendue.bake.settings import BakeSettings
from etendue.bake.target import Batch, Launch, launch
from etendue.bake.threads import one_thread

Progress = Callable[[int, int, float], None]
Batches = Sequence[Batch]  # one per material
EPSILON = 0.01  # values well below this are dark enough to be anything
CHECKS = 6  # times that a bake with a target looks at itself
LANDING = 10  # the last part of an early end is one in so many of the planned steps


class BakeStoppedError(Exception):
    """The user stopped the bake; its checkpoint is on disk."""


def loss_evaluator(value: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error of logarithms (Zeltner et al. 2024).

    Applied to averages of many walks, since a logarithm biases a noisy target low. What bias
    remains is removed by the exported `energy` table.
    """
    return log_error(value, target).abs().mean()


def log_error(value: Tensor, target: Tensor) -> Tensor:
    """Difference of logarithms, smaller where both are dark."""
    return (value + EPSILON).log() - (target + EPSILON).log()


def loss_sampler(log_q: Tensor, batch: Batch) -> Tensor:
    """KL(f || q) up to a constant: - sum w log q with w = luminance(f) / pdf per texel and view."""
    luminance = batch.f @ batch.f.new_tensor([0.2126, 0.7152, 0.0722])
    weight = luminance / batch.pdf
    weight = weight / (weight.mean() + 1e-8)
    return -(weight.clamp(max=50) * log_q).mean()


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


def train_step(
    settings: BakeSettings, fit: Fit, subjects: Sequence[Subject], batches: Batches, rate: float
) -> None:
    """One gradient step at `rate` times the base rates; `fit.smooth` follows the loss."""
    latents = [latent_of(fit, s, b) for s, b in zip(subjects, batches, strict=True)]
    latent, batch = torch.cat(latents), _joined(batches)
    error = loss_evaluator(evaluate(latent, batch.wi, batch.wo, fit.params), batch.f)
    half = batch.directions(settings.pairs // 2)  # the smaller network needs fewer samples
    log_q = log_density(latent.detach(), half.wi, half.wo, fit.params)
    parts = zip(log_q.split([len(z) for z in latents]), batches, strict=True)
    spread = [loss_sampler(q, b.directions(settings.pairs // 2)) for q, b in parts]
    total = error + 0.2 * torch.stack(spread).mean()
    fit.optimizer.zero_grad(set_to_none=True)
    total.backward()
    for group in fit.optimizer.param_groups:
        group["lr"] = group["base"] * rate
    fit.optimizer.step()
    loss = float(error.detach())
    fit.smooth = 0.95 * fit.smooth + 0.05 * loss if fit.smooth else loss


def _joined(batches: Batches) -> Batch:
    """One batch of all rows; the places of its texels are each in its own material."""
    if len(batches) == 1:
        return batches[0]
    return Batch(*(torch.cat([getattr(b, n) for b in batches]) for n in Batch.__dataclass_fields__))


def run(
    settings: BakeSettings,
    training: Training,
    subjects: Sequence[Subject],
    *,
    progress: Progress,
    save: Callable[[Training], None],
    stop: Callable[[], bool],
    reached: Callable[[Fit], bool] | None = None,
) -> Fit:
    """Train from `training.step` to `settings.steps`; `save` is offered the state after every pool.

    `reached` is asked a few times once latents are direct whether the fit is good enough; the rate
    then falls to its end within a tenth of the steps, and the bake ends early.

    Every step takes an equal share of its texels from each of the `subjects`, which have the keys
    that `training` was started with.

    A step depends on the settings and its number only, never on time, so that an interrupted and
    resumed run equals an uninterrupted one bit for bit. Torch trains on one thread: these networks
    are too small to share, and the other cores produce the next pool meanwhile.
    """
    with one_thread():
        return _run(settings, training, subjects, progress, save, stop, reached)


def _run(
    settings: BakeSettings,
    training: Training,
    subjects: Sequence[Subject],
    progress: Progress,
    save: Callable[[Training], None],
    stop: Callable[[], bool],
    reached: Callable[[Fit], bool] | None,
) -> Fit:
    per_pool = settings.pool * settings.reuse
    switch = round(settings.encoder_share * settings.steps / per_pool) * per_pool
    encoder = bool(training.fit.features)
    shares = [len(rows) for rows in torch.arange(settings.texels).tensor_split(len(subjects))]

    def begin(index: int) -> list[Launch]:
        first = index * per_pool
        return [
            launch(
                subject.reference,
                share * settings.pool,
                settings.pairs,
                subject.resolution,
                subject.seed,
                index,
                at_centres=encoder and first < switch,
            )
            for subject, share in zip(subjects, shares, strict=True)
        ]

    following = begin(training.step // per_pool)
    while training.step < _end(settings, training):
        if training.fit.features and training.step >= switch:
            training.fit = drop_encoder(settings, training.fit)
        index, first = divmod(training.step, per_pool)
        pools = [w.collect(s.device) for w, s in zip(following, subjects, strict=True)]
        following = begin(index + 1)  # Dr.Jit works on it while torch trains
        orders = [
            [rows.to(s.device) for rows in _order(settings, index, share)]
            for s, share in zip(subjects, shares, strict=True)
        ]
        for k in range(first, min(per_pool, _end(settings, training) - index * per_pool)):
            rows = [pool.rows(order[k]) for pool, order in zip(pools, orders, strict=True)]
            rate = learning_rate(settings, training.step, training.landing)
            train_step(settings, training.fit, subjects, rows, rate)
            training.step += 1
        if reached is not None and _asks(settings, training, switch if encoder else 0, per_pool):
            if reached(training.fit):
                length = -(-settings.steps // (LANDING * per_pool)) * per_pool
                training.landing = (training.step, training.step + length)
        loss = training.fit.smooth
        training.history.append([training.step, loss])
        progress(training.step, _end(settings, training), loss)
        save(training)
        if stop():
            raise BakeStoppedError
    return training.fit


def _end(settings: BakeSettings, training: Training) -> int:
    return settings.steps if training.landing is None else training.landing[1]


def _asks(settings: BakeSettings, training: Training, switch: int, per_pool: int) -> bool:
    """Whether this pool ends one of `CHECKS` equal parts of the phase of direct latents."""
    if training.landing is not None or training.step <= switch:
        return False
    part = max(per_pool, (settings.steps - switch) // CHECKS)
    done = training.step - switch
    last = settings.steps - training.step <= settings.steps // LANDING
    return not last and done // part > (done - per_pool) // part


def _order(settings: BakeSettings, index: int, texels: int) -> Tensor:
    """Rows of a pool that each of its steps visits (steps, texels), shuffled per visit."""
    generator = torch.Generator().manual_seed(settings.seed * 7_919 + index)
    count = texels * settings.pool
    rounds = [torch.randperm(count, generator=generator) for _ in range(settings.reuse)]
    return torch.cat(rounds).reshape(-1, texels)
