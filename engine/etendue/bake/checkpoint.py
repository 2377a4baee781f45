"""Saving and restoring a bake half way: parameters, optimiser moments, step."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from etendue.artifact import digest
from etendue.core.errors import InputError
from etendue.core.files import atomic_path

KEY = "bake"
_ADVICE = "Discard it with --restart"


@dataclass(frozen=True)
class Checkpoint:
    """Everything that distinguishes step k of a bake from its start."""

    step: int
    identity: dict[str, Any]  # settings and material hash; must match on resume
    tensors: dict[str, Tensor]  # "param/<name>", "adam/<name>/<moment>", ...
    history: list[list[float]]  # [step, loss] pairs


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write through a temporary file, so that a kill leaves the previous checkpoint intact."""
    from safetensors.torch import save_file

    record = {
        "step": checkpoint.step,
        "identity": checkpoint.identity,
        "history": checkpoint.history,
    }
    tensors = {k: v.detach().cpu().contiguous() for k, v in checkpoint.tensors.items()}
    signed = {"sha256": _digest(record, tensors), "record": record}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={KEY: json.dumps(signed)})


def load_checkpoint(path: Path, identity: dict[str, Any]) -> Checkpoint:
    """Read a checkpoint; `InputError` when it is damaged or of another material or settings."""
    record, tensors = _read(path)
    found = record["identity"]
    if found["material"] != identity["material"]:
        what = identity.get("of", "a bake of another material")
        raise InputError(path, f"belongs to {what}", fix=_ADVICE)
    ours, theirs = identity["settings"], found["settings"]
    if other := sorted(k for k in ours.keys() | theirs.keys() if ours.get(k) != theirs.get(k)):
        raise InputError(
            path,
            "belongs to a bake with other settings",
            got=", ".join(f"{k} {theirs.get(k)}" for k in other),
            expected=", ".join(f"{k} {ours.get(k)}" for k in other),
            fix="Resume with those, or discard it with --restart",
        )
    return Checkpoint(record["step"], found, tensors, record["history"])


def planned_steps(path: Path) -> int:
    """Total steps of the unfinished bake in `path`."""
    return int(_read(path)[0]["identity"]["settings"]["steps"])


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Verified record and tensors of a checkpoint file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            signed = json.loads(file.metadata()[KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        record, sha256 = signed["record"], signed["sha256"]
        intact = _digest(record, tensors) == sha256
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(path, f"is not a readable checkpoint ({error})", fix=_ADVICE) from None
    if not intact:
        raise InputError(path, "is damaged (its SHA-256 does not match)", fix=_ADVICE)
    return record, tensors


def _digest(record: dict[str, Any], tensors: dict[str, Tensor]) -> str:
    return digest(record, {name: value.numpy() for name, value in tensors.items()})


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
                optimizer.state[parameter] = {
                    k: v.to(parameter.device, copy=True) for k, v in saved.items()
                }
