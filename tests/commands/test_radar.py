"""`etendue radar train` and `eval`: from a set to figures, and clear errors for what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from etendue.cli import main
from etendue.plugins.radar_pose import model, train
from etendue.plugins.radar_pose.file import read_pose_net

SHAPE = (2, 4, 12, 16)
GRID = {"minimum": [-1.0, -1.2, 1.0], "voxel": [0.5, 0.2, 0.1], "shape": list(SHAPE)}


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(model.SIZES, "tiny", model.Size(2, (8, 8, 8, 8), 8))
    monkeypatch.setitem(model.SIZES, "tiny-zyx", model.Size(1, (8, 8, 8, 8), 8))


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """Four training and two test frames with a spot at the pelvis."""
    folder, rng = tmp_path / "people", np.random.default_rng(0)
    folder.mkdir()
    (folder / "grid.json").write_text(json.dumps(GRID))
    for part, sequences in (("Train", ("0000", "0001")), ("Test", ("0002",))):
        listed: dict[str, Any] = {}
        for sequence in sequences:
            place = folder / "sequences" / sequence / "radar" / "npy_DZYX_f16"
            place.mkdir(parents=True)
            listed[sequence] = {}
            for k in range(2):
                pose = rng.normal(scale=0.2, size=(15, 3))
                pose[0] = rng.uniform([1.3, -0.8, -0.4], [2.3, 0.8, 0.4])
                pose[1:] += pose[0]
                np.save(place / f"{k:06d}.npy", rng.uniform(0, 40, SHAPE).astype(np.float16))
                listed[sequence][f"{k:06d}"] = [
                    {"Radar_frameID": f"{k:06d}", "pose": pose.tolist()}
                ]
        (folder / f"{part}.json").write_text(json.dumps(listed))
    return folder


def trained(people: Path, out: Path, *more: str) -> int:
    args = ["radar", "train", str(people), "-o", str(out), "--size", "tiny", "--steps", "4"]
    return main([*args, "--batch", "2", *more])


def test_train_and_judge(people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = tmp_path / "first.eta", tmp_path / "second.eta"
    assert trained(people, first, "--seed", "1", "--json") == 0
    assert json.loads(capsys.readouterr().out)["steps"] == 4
    assert trained(people, second, "--size", "tiny-zyx") == 0
    assert read_pose_net(first).header["provenance"]["frames"] == 4
    capsys.readouterr()
    args = ["radar", "eval", str(people), str(first), "--against", str(second)]
    assert main([*args, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["frames"] == 2 and figures["sequences"] == 1
    middle, low, high = figures["mpjpe_cm_less_other"]
    assert low <= middle <= high
    assert main(args) == 0
    assert "the mean pose instead" in capsys.readouterr().out


def test_equal_seeds_give_equal_files(people: Path, tmp_path: Path) -> None:
    tensors = []
    for name in ("a", "b"):
        assert trained(people, tmp_path / f"{name}.eta") == 0
        tensors.append(dict(read_pose_net(tmp_path / f"{name}.eta").network.named_parameters()))
    assert all((tensors[0][k] == tensors[1][k]).all() for k in tensors[0])


def test_interrupted_and_resumed(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    whole, out = tmp_path / "whole.eta", tmp_path / "out.eta"
    assert trained(people, whole) == 0
    step, count = train._step, [0]

    def killed(*args: Any) -> float:
        count[0] += 1
        if count[0] == 3:
            raise KeyboardInterrupt
        return step(*args)

    monkeypatch.setattr(train, "EVERY", 1)
    monkeypatch.setattr(train, "_step", killed)
    assert trained(people, out) == 130
    monkeypatch.setattr(train, "_step", step)
    assert not out.exists()
    assert trained(people, out) == 2
    assert "is there from an interrupted training" in capsys.readouterr().err
    assert trained(people, out, "--seed", "5", "--resume") == 2
    assert "with other settings" in capsys.readouterr().err
    assert trained(people, out, "--resume") == 0
    first, second = (dict(read_pose_net(f).network.named_parameters()) for f in (whole, out))
    assert all((first[k] == second[k]).all() for k in first)
    assert not list(tmp_path.glob("*.checkpoint"))


def test_one_clear_error(people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.eta"
    assert trained(people, out) == 0
    for args, told in (
        (["train", str(people), "-o", "a.pt"], "unknown kind of file; got .pt"),
        (["train", str(people), "-o", str(out), "--size", "huge"], "--size: is unknown; got huge"),
        (["train", str(people), "-o", str(out), "--size", "phase"], "phase sees real and imagin"),
        (["train", str(tmp_path), "-o", str(out)], "Train.json"),
        (["eval", str(people), str(people / "grid.json")], "grid.json: is not an etendue artifact"),
        (["eval", str(people), str(out), "--part", "All"], "--part: is unknown; got All"),
    ):
        assert main(["radar", *args]) == 2
        assert told in capsys.readouterr().err
    whole = out.read_bytes()
    out.write_bytes(whole[:-100])
    assert main(["radar", "eval", str(people), str(out)]) == 2
    assert "out.eta" in capsys.readouterr().err
