"""What trains a field, whatever it is trained on: steps, occupancy, checkpoints, early stops."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from etendue.bake import checkpoint as ck
from etendue.bake.train import BakeStoppedError, Progress
from etendue.core.errors import InputError
from etendue.field.base import Model, Params
from etendue.field.file import require_room
from etendue.field.march import STEP
from etendue.field.occupancy import Occupancy, look

POOL = 16  # steps between two looks at occupancy, the clock and the user
RATE_END = 0.05  # learning rate at the end, as a fraction
COPIES = 5  # of the parameters in memory: values, gradients, two moments, and what passes
WARM = 64  # steps in which all cells count

Loss = Callable[[Params, Occupancy, int, torch.Generator], Tensor]


@dataclass(frozen=True)
class FieldSettings:
    """Deterministic plan of a training; a step depends on it and on its number only."""

    steps: int = 2000
    rays: int = 1024  # per step
    seed: int = 0
    rate: float = 1.0  # of the model's learning rate

    def check(self) -> None:
        """Raise `InputError` for values that cannot be."""
        for name, value, most in (
            ("--steps", self.steps, 10**7), ("--rays", self.rays, 1 << 20)
        ):  # fmt: skip
            if not 1 <= value <= most:
                raise InputError(name, "is out of range", got=value, expected=f"1..{most}")
        if not 0 <= self.seed < 1 << 32:
            raise InputError("--seed", "is out of range", got=self.seed, expected="0..4294967295")
        if not 0 < self.rate <= 100:
            raise InputError("--rate", "is out of range", got=self.rate, expected="> 0")


@dataclass
class FieldFit:
    """A training in progress."""

    model: Model
    params: Params
    optimizer: torch.optim.Optimizer
    occupancy: Occupancy
    watches: bool  # whether occupancy follows the model
    rate: float  # learning rate at the beginning
    step: int = 0
    history: list[list[float]] = field(default_factory=list)
    extra: Params = field(default_factory=dict)  # what the loss remembers between steps


def begin(
    model: Model,
    settings: FieldSettings,
    *,
    params: Params | None = None,
    occupancy: Occupancy | None = None,
    unbounded: bool = False,
    prepare: Callable[[Params], Params] | None = None,
) -> FieldFit:
    """A fresh fit; a teacher's `occupancy` is kept as it is, else it is that of an `unbounded` one.

    `prepare` makes what is learned with of what is learned.
    """
    require_room(model, COPIES)
    generator = torch.Generator().manual_seed(settings.seed)
    own = model.init(generator) | {n: v.clone() for n, v in (params or {}).items()}
    own = own if prepare is None else prepare(own)
    for value in own.values():
        value.requires_grad_(True)
    watches = occupancy is None
    found = Occupancy.full(STEP, contracted=unbounded) if occupancy is None else occupancy
    rate = settings.rate * (model.rate if watches else model.taught_rate)
    decay: dict[str, float] = getattr(model, "decay", {}) if watches else {}
    return FieldFit(model, own, _adam(own, decay), found, watches, rate)


def _adam(params: Params, decay: Mapping[str, float]) -> torch.optim.Optimizer:
    groups = [{"params": [v], "weight_decay": decay.get(n, 0.0)} for n, v in params.items()]
    return torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.99), eps=1e-15, fused=True)


def run(
    fit: FieldFit,
    settings: FieldSettings,
    loss: Loss,
    *,
    progress: Progress,
    save: Callable[[FieldFit], None],
    stop: Callable[[], bool],
) -> FieldFit:
    """Train to `settings.steps`; `save` is offered the state after every `POOL` steps."""
    recent = fit.history[-1][1] if fit.history else 0.0
    while fit.step < settings.steps:
        generator = generator_of(settings.seed, fit.step)
        value = loss(fit.params, fit.occupancy, fit.step, generator)
        fit.optimizer.zero_grad(set_to_none=True)
        value.backward()
        share = fit.step / settings.steps
        cosine = RATE_END + (1 - RATE_END) * 0.5 * (1 + math.cos(math.pi * share))
        for group in fit.optimizer.param_groups:
            group["lr"] = fit.rate * cosine * min(1.0, (fit.step + 1) / 20)
        fit.optimizer.step()
        now = float(value.detach())
        if not math.isfinite(now):
            raise InputError("training", "has diverged", got=f"loss {now} at step {fit.step}",
                             fix="Try another --seed or a smaller --rate")  # fmt: skip
        recent = 0.9 * recent + 0.1 * now if recent else now
        fit.step += 1
        if fit.step % POOL and fit.step < settings.steps:
            continue
        if fit.watches and fit.step >= WARM:
            fit.occupancy = look(
                fit.occupancy, lambda x: fit.model.log_density(fit.params, x), generator
            )
        fit.history.append([fit.step, recent])
        progress(fit.step, settings.steps, recent)
        save(fit)
        if stop():
            raise BakeStoppedError
    return fit


def generator_of(seed: int, step: int) -> torch.Generator:
    """Random numbers of a step."""
    return torch.Generator().manual_seed((seed * 1_000_003 + step * 7_919 + 1) & (2**63 - 1))


def identity(
    model: Model, settings: FieldSettings, source: str, extra: dict[str, Any]
) -> dict[str, Any]:
    """What must be equal for a checkpoint to fit."""
    sizes = {"kind": model.kind, **dataclasses.asdict(model)}  # type: ignore[call-overload]
    return {
        "of": "a training on something else",
        "material": source,
        "settings": {**dataclasses.asdict(settings), "model": sizes, **extra},
    }


def to_checkpoint(fit: FieldFit, identity: dict[str, Any]) -> ck.Checkpoint:
    """Snapshot for a file."""
    names = {id(v): n for n, v in fit.params.items()}
    tensors = {f"param/{n}": v for n, v in fit.params.items()}
    tensors |= ck.adam_tensors(fit.optimizer, names)
    tensors["occupancy"] = fit.occupancy.sigma
    tensors |= {f"extra/{n}": v for n, v in fit.extra.items()}
    return ck.Checkpoint(fit.step, identity, tensors, fit.history)


def from_checkpoint(path: Path, fit: FieldFit, identity: dict[str, Any]) -> FieldFit:
    """Go on where the file stopped; `fit` is what `begin` gave for the same plan."""
    saved = ck.load_checkpoint(path, identity)
    for name, value in fit.params.items():
        value.data.copy_(saved.tensors[f"param/{name}"])
    ck.restore_adam(fit.optimizer, {id(v): n for n, v in fit.params.items()}, saved.tensors)
    fit.occupancy = dataclasses.replace(fit.occupancy, sigma=saved.tensors["occupancy"])
    for name, value in fit.extra.items():
        value.copy_(saved.tensors[f"extra/{name}"])
    fit.step, fit.history = saved.step, saved.history
    return fit
