"""Checkpoints: exact round trip, and one clear error for everything that can be wrong with one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from etendue.bake.checkpoint import (
    Checkpoint,
    adam_tensors,
    load_checkpoint,
    planned_steps,
    restore_adam,
    save_checkpoint,
)
from etendue.core.errors import InputError

IDENTITY: dict[str, Any] = {"material": "abc", "settings": {"steps": 40, "seed": 3, "lr": 0.1}}


def _sample() -> Checkpoint:
    tensors = {
        "param/evaluator.w0": torch.linspace(-1, 1, 12).reshape(3, 4),
        "adam/evaluator.w0/step": torch.tensor(7.0),
        "adam/evaluator.w0/exp_avg": torch.full((3, 4), 0.25),
    }
    return Checkpoint(8, IDENTITY, tensors, [[4, 0.123456789012345], [8, 1 / 3]])


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_checkpoint(tmp_path / "x.eta.checkpoint", _sample())
    return tmp_path / "x.eta.checkpoint"


def test_round_trip_is_exact(saved: Path) -> None:
    back = load_checkpoint(saved, IDENTITY)
    assert (back.step, back.identity, back.history) == (8, IDENTITY, _sample().history)
    assert back.tensors.keys() == _sample().tensors.keys()
    for name, value in _sample().tensors.items():
        assert back.tensors[name].shape == value.shape
        assert torch.equal(back.tensors[name], value)
    assert planned_steps(saved) == 40


def test_saving_replaces_and_leaves_nothing_else(saved: Path) -> None:
    before = saved.read_bytes()
    save_checkpoint(saved, _sample())
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_a_failed_save_keeps_the_previous_checkpoint(saved: Path) -> None:
    before = saved.read_bytes()
    broken = Checkpoint(9, {"unwritable": object()}, {}, [])
    with pytest.raises(TypeError):
        save_checkpoint(saved, broken)
    assert saved.read_bytes() == before and list(saved.parent.iterdir()) == [saved]


@pytest.mark.parametrize("part", [k / 24 for k in range(24)])
def test_every_damage_is_found(saved: Path, part: float) -> None:
    blob = bytearray(saved.read_bytes())
    blob[int(part * len(blob))] ^= 4
    saved.write_bytes(bytes(blob))
    for read in (lambda: load_checkpoint(saved, IDENTITY), lambda: planned_steps(saved)):
        with pytest.raises(InputError, match=r"x\.eta\.checkpoint: is .*--restart"):
            read()


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_every_truncation_is_found(saved: Path, part: float) -> None:
    blob = saved.read_bytes()
    saved.write_bytes(blob[: int(part * len(blob))])
    with pytest.raises(InputError, match="not a readable checkpoint"):
        load_checkpoint(saved, IDENTITY)


@pytest.mark.parametrize(
    "content", [None, {}, {"bake": "[]"}, {"bake": "{}"}, {"bake": '{"record": 1, "sha256": 2}'}]
)
def test_a_foreign_file_is_refused(tmp_path: Path, content: dict[str, str] | None) -> None:
    save_file({"w": torch.zeros(2)}, tmp_path / "foreign", metadata=content)
    with pytest.raises(InputError, match="foreign: is "):
        load_checkpoint(tmp_path / "foreign", IDENTITY)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a readable checkpoint"):
        planned_steps(tmp_path / "none")


def test_other_material_and_settings_are_told_apart(saved: Path) -> None:
    with pytest.raises(InputError, match="of another material"):
        load_checkpoint(saved, IDENTITY | {"material": "def"})
    settings = IDENTITY["settings"] | {"seed": 4, "extra": True}
    with pytest.raises(InputError, match="got extra None, seed 3, expected extra True, seed 4"):
        load_checkpoint(saved, IDENTITY | {"settings": json.loads(json.dumps(settings))})


def test_an_optimizer_goes_on_as_if_never_saved() -> None:
    def parts() -> tuple[dict[str, torch.Tensor], torch.optim.Adam, dict[int, str]]:
        torch.manual_seed(0)
        params = {n: torch.randn(5, requires_grad=True) for n in ("a", "b")}
        return params, torch.optim.Adam(params.values()), {id(v): n for n, v in params.items()}

    def steps(params: dict[str, torch.Tensor], optimizer: torch.optim.Adam, count: int) -> None:
        for _ in range(count):
            optimizer.zero_grad()
            sum((v**4).sum() for v in params.values()).backward()  # type: ignore[union-attr]
            optimizer.step()

    whole, optimizer, _ = parts()
    steps(whole, optimizer, 10)
    half, optimizer, names = parts()
    steps(half, optimizer, 6)
    moments = adam_tensors(optimizer, names)
    assert moments.keys() == {
        f"adam/{n}/{k}" for n in "ab" for k in ("exp_avg", "exp_avg_sq", "step")
    }
    again, fresh, names = parts()
    for name, value in again.items():
        value.data.copy_(half[name].data)
    restore_adam(fresh, names, moments)
    steps(again, fresh, 4)
    assert all(torch.equal(again[n], whole[n]) for n in whole)
