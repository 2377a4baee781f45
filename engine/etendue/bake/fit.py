"""What is trained: one decoder, and the latents (first an encoder) of one or several materials.

Every tensor lies in one flat dict. The decoder's have the artifact's names; those of a material
begin with its key, which is empty for a material that is baked alone: `latents`, `0/latents`, ...
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from etendue.bake import checkpoint as ck
from etendue.bake.latents import lookup, parameter_pyramid
from etendue.bake.network import Params, encode, init_encoder, init_params
from etendue.bake.settings import BakeSettings
from etendue.bake.target import Batch
from etendue.bsdf.base import InlineBSDF
from etendue.bsdf.neural_numpy import LATENTS
from etendue.bsdf.pyramid import level_offsets


@dataclass(frozen=True)
class Subject:
    """A material in training."""

    reference: InlineBSDF
    resolution: int  # texels per side
    data: Any = None  # parameter texture (R, R, C), None for a constant material
    key: str = ""  # what the names of its tensors begin with
    seed: int = 0  # of its directions and texels
    device: str = "cpu"  # where torch has its tensors


@dataclass(frozen=True)
class Decoder:
    """Networks that are taken over, and where latents on them begin."""

    tensors: Mapping[str, np.ndarray]  # frames, evaluator, sampler
    starts: Mapping[str, np.ndarray]  # by key (8,)
    spread: np.ndarray  # (8,) deviation of the latents that the decoder was trained with


@dataclass
class Fit:
    """One network in training."""

    params: Params
    features: dict[str, Tensor]  # by key (texels, K): encoder inputs, none once latents are direct
    optimizer: torch.optim.Optimizer
    smooth: float = 0.0  # running mean of the loss, 0 before the first step


@dataclass
class Training:
    """A bake in progress."""

    fit: Fit
    step: int = 0
    history: list[list[float]] = field(default_factory=list)
    landing: tuple[int, int] | None = None  # first and last step of an early end


def start(
    settings: BakeSettings,
    subjects: Sequence[Subject],
    decoder: Decoder | None = None,
) -> Training:
    """A fresh fit; the tensors of `decoder` take the place of frames, evaluator and sampler and
    stay as they are, and latents begin where it says.
    """
    features = _features(subjects)
    generator = torch.Generator().manual_seed(settings.seed)
    params = init_params(settings.arch, settings.sampler, generator, settings.reciprocal)
    for name, value in decoder.tensors.items() if decoder is not None else ():
        params[name] = torch.from_numpy(np.array(value, np.float32))
    for subject in subjects:
        if subject.key in features:
            inputs = features[subject.key].shape[1]
            own = init_encoder(inputs, generator)
        else:
            texels = level_offsets(subject.resolution)[-1]
            own = {"latents": 0.1 * torch.randn(texels, LATENTS, generator=generator)}
        if decoder is not None:
            _begin(own, decoder.starts[subject.key], decoder.spread)
        params |= {subject.key + name: value for name, value in own.items()}
    return Training(make_fit(settings, on(subjects[0].device, params), features))


def _features(subjects: Sequence[Subject]) -> dict[str, Tensor]:
    return {
        s.key: torch.from_numpy(parameter_pyramid(s.data)).to(s.device)
        for s in subjects
        if s.data is not None
    }


def on(device: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`tensors` in the memory of `device`."""
    return {name: value.to(device) for name, value in tensors.items()}


def _begin(own: Params, latent: np.ndarray, spread: np.ndarray) -> None:
    """Let an encoder's or direct latents begin around `latent`."""
    at = torch.from_numpy(latent.astype(np.float32))
    if "latents" in own:
        own["latents"][:] = at
        return
    last = max(name for name in own if name.startswith("encoder.w"))
    for name in (last, "encoder.linear"):
        own[name] *= torch.from_numpy(spread.astype(np.float32))[:, None]
    own[last.replace(".w", ".b")][:] = at


def is_decoder(name: str) -> bool:
    """Whether the tensor `name` belongs to what materials can share."""
    return name.partition(".")[0] in ("frames", "evaluator", "sampler")


def make_fit(settings: BakeSettings, params: Params, features: dict[str, Tensor]) -> Fit:
    """A fit with fresh moments; a decoder that was taken over is not trained."""
    trained = {n: v for n, v in params.items() if not settings.decoder or not is_decoder(n)}
    for value in trained.values():
        value.requires_grad_(True)
    networks = [v for n, v in trained.items() if not n.endswith("latents")]
    latents = [v for n, v in trained.items() if n.endswith("latents")]
    groups = [
        {"params": networks, "base": settings.lr},
        {"params": latents, "base": settings.lr_latent},
    ]
    groups = [group for group in groups if group["params"]]
    optimizer = torch.optim.Adam(groups, lr=settings.lr, betas=(0.9, 0.99), eps=1e-8, fused=True)
    return Fit(params, features, optimizer)


def drop_encoder(settings: BakeSettings, fit: Fit) -> Fit:
    """Encode every texel once; latents become parameters, all moments start anew."""
    kept = {k: v.detach() for k, v in fit.params.items() if "encoder." not in k}
    with torch.no_grad():
        for key, features in fit.features.items():
            encoder = key + "encoder"
            encoded = [encode(rows, fit.params, encoder) for rows in features.split(65536)]
            kept[f"{key}latents"] = torch.cat(encoded)
    after = make_fit(settings, kept, {})
    after.smooth = fit.smooth
    return after


def latent_of(fit: Fit, subject: Subject, batch: Batch) -> Tensor:
    """Latents (n, 8) of a material's texels, by its encoder while it has one."""
    if subject.key in fit.features:
        rows = fit.features[subject.key][texel_index(batch, subject.resolution)]
        return encode(rows, fit.params, subject.key + "encoder")
    latents = fit.params[subject.key + "latents"]
    return lookup(latents, batch.uv, batch.level, subject.resolution)


def texel_index(batch: Batch, resolution: int) -> Tensor:
    """Flat index (n,) of the texel that each row of a batch lies in."""
    offsets = torch.tensor(level_offsets(resolution)[:-1], device=batch.level.device)
    side = resolution >> batch.level
    xy = torch.floor(batch.uv * side[:, None]).long()
    return offsets[batch.level] + xy[:, 1] * side + xy[:, 0]


def to_checkpoint(training: Training, identity: dict[str, Any]) -> ck.Checkpoint:
    """Snapshot for `checkpoint.save_checkpoint`."""
    tensors: dict[str, Tensor] = {}
    if training.landing is not None:
        tensors["landing"] = torch.tensor(training.landing)
    fit = training.fit
    tensors |= {f"param/{n}": v for n, v in fit.params.items()}
    tensors |= ck.adam_tensors(fit.optimizer, {id(v): n for n, v in fit.params.items()})
    tensors["smooth"] = torch.tensor(fit.smooth, dtype=torch.float64)
    return ck.Checkpoint(training.step, identity, tensors, training.history)


def from_checkpoint(
    settings: BakeSettings, saved: ck.Checkpoint, subjects: Sequence[Subject]
) -> Training:
    """Continue where `saved` stopped."""
    encoding = any("encoder." in name for name in saved.tensors)
    features = _features(subjects) if encoding else {}
    params = {n: v.detach().clone() for n, v in below(saved.tensors, "param/").items()}
    fit = make_fit(settings, on(subjects[0].device, params), features)
    ck.restore_adam(fit.optimizer, {id(v): n for n, v in fit.params.items()}, saved.tensors)
    fit.smooth = float(saved.tensors["smooth"])
    first, last = saved.tensors.get("landing", torch.zeros(2)).tolist()
    return Training(fit, saved.step, saved.history, (first, last) if last else None)


def below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Tensors whose names begin with `prefix`, without it."""
    return {n.removeprefix(prefix): v for n, v in tensors.items() if n.startswith(prefix)}


def save_to(path: Path, identity: dict[str, Any]) -> Callable[[Training], None]:
    """A saver for `train.run` that writes `path`."""
    return lambda training: ck.save_checkpoint(path, to_checkpoint(training, identity))
