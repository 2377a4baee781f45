"""Saving and restoring a bake half way: parameters, optimiser moments, step."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from etendue.core.errors import InputError
from etendue.core.files import atomic_path


@dataclass(frozen=True)
class Checkpoint:
    """Everything that distinguishes step k of a bake from its start."""

    step: int
    identity: dict[str, Any]  # settings and material hash; must match on resume
    tensors: dict[str, Tensor]  # "param/<name>" and "adam/<name>/{exp_avg, exp_avg_sq, step}"
    history: list[list[float]]  # [step, loss] pairs


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write through a temporary file, so that a kill leaves the previous checkpoint intact."""
    from safetensors.torch import save_file

    record = {
        "step": checkpoint.step,
        "identity": checkpoint.identity,
        "history": checkpoint.history,
    }
    tensors = {k: v.detach().contiguous() for k, v in checkpoint.tensors.items()}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={"bake": json.dumps(record)})


def load_checkpoint(path: Path, identity: dict[str, Any]) -> Checkpoint:
    """Read a checkpoint; `InputError` when it is damaged or of another material or settings."""
    from safetensors import SafetensorError, safe_open

    advice = "Delete it, or bake without --resume"
    try:
        with safe_open(path, framework="pt") as file:
            record = json.loads(file.metadata()["bake"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(path, f"is not a readable checkpoint ({error})", fix=advice) from None
    for key, value in identity.items():
        if record["identity"].get(key) != value:
            raise InputError(
                path,
                f"belongs to a bake with another {key}",
                got=record["identity"].get(key),
                expected=value,
                fix=advice,
            )
    return Checkpoint(record["step"], record["identity"], tensors, record["history"])


def adam_tensors(optimizer: torch.optim.Optimizer, names: dict[int, str]) -> dict[str, Tensor]:
    """Moments of every parameter, keyed by `names[id(parameter)]`."""
    found = {}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            for key, value in optimizer.state[parameter].items():
                found[f"adam/{names[id(parameter)]}/{key}"] = value
    return found


def restore_adam(
    optimizer: torch.optim.Optimizer, names: dict[int, str], tensors: dict[str, Tensor]
) -> None:
    """Inverse of `adam_tensors`; parameters without saved moments stay fresh."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            prefix = f"adam/{names[id(parameter)]}/"
            saved = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
            if saved:
                optimizer.state[parameter] = {k: v.clone() for k, v in saved.items()}


def planned_steps(path: Path) -> int:
    """Total steps of the unfinished bake in `path`."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return int(json.loads(file.metadata()["bake"])["identity"]["settings"]["steps"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            path, f"is not a readable checkpoint ({error})", fix="Delete it and bake again"
        ) from None
