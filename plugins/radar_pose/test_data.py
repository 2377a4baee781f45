"""Loading: a tiny set, what is left out, and everything that may be wrong with the files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etendue.core.errors import InputError
from etendue.plugins.radar_pose import data
from etendue.plugins.radar_pose.data import bels, fold, load_set
from etendue.plugins.radar_pose.grids import REGION, RT_POSE, Grid

GRID: dict[str, list[Any]] = {
    "minimum": [-1.0, -2.0, 0.5],
    "voxel": [0.5, 0.5, 0.25],
    "shape": [8, 2, 3, 4],
}
SHAPE = (8, 2, 3, 4)
POSE = np.arange(45, dtype=float).reshape(15, 3).tolist()


def frame_file(folder: Path, sequence: str, frame: str, kind: str = "npy_DZYX_f16") -> Path:
    path = folder / "sequences" / sequence / "radar" / kind / f"{frame}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def values(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 60, SHAPE).astype(np.float16)


def person(frame: str, pose: Any = POSE) -> list[Any]:
    return [{"Radar_frameID": frame, "pose": pose}]


def write(folder: Path, sequences: tuple[str, ...] = ("0000", "0044"), frames: int = 2) -> Path:
    names = [f"{k:06d}" for k in range(frames)]
    found = {s: {f: person(f) for f in names} for s in sequences}
    for s in sequences:
        for k, f in enumerate(names):
            np.save(frame_file(folder, s, f), values(k))
    (folder / "Train.json").write_text(json.dumps(found))
    (folder / "grid.json").write_text(json.dumps(GRID))
    return folder


numbers = st.floats(-20, 20, allow_nan=False)


@given(st.sampled_from([RT_POSE, REGION]), st.lists(numbers, min_size=3, max_size=3))
def test_metres_and_voxels_are_inverse(grid: Grid, point: list[float]) -> None:
    there = grid.to_metres(grid.to_voxels(np.array(point)))
    np.testing.assert_allclose(there, point, atol=1e-12)


@pytest.mark.parametrize("grid", [RT_POSE, REGION])
def test_indices_are_of_middles(grid: Grid) -> None:
    z, y, x = grid.axes()
    np.testing.assert_allclose(grid.to_voxels(np.array([x[5], y[3], z[2]])), [2, 3, 5], atol=1e-9)
    corner = np.array(grid.minimum[::-1])
    np.testing.assert_allclose(grid.to_voxels(corner), -0.5)
    assert grid.inside(corner + 1e-9) and not grid.inside(corner - 1e-9)
    upper = corner + np.array(grid.voxel[::-1]) * grid.shape[::-1]
    assert grid.inside(upper - 1e-9) and not grid.inside(upper + 1e-9)


def test_the_region_is_of_voxels_as_large_as_the_whole() -> None:
    np.testing.assert_allclose(REGION.voxel, RT_POSE.voxel, rtol=1e-3)


def test_a_set_is_loaded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = load_set(write(tmp_path), "Train")
    assert found.names[1] == ("0000", "000001") and len(found) == 4
    assert found.sequences == ("0000", "0000", "0044", "0044")  # 44 is damaged elsewhere
    assert found.poses.dtype == np.float32 and found.poses.shape == (4, 15, 3)
    assert found.speeds == 8 and found.grid == Grid((-1, -2, 0.5), (0.5, 0.5, 0.25), (2, 3, 4))
    tensor = found.tensor(1)
    assert tensor.dtype == np.float32
    np.testing.assert_array_equal(tensor, values(1).astype(np.float32) / 10)
    assert capsys.readouterr().err == ""


def test_speeds_are_folded_by_the_strongest(tmp_path: Path) -> None:
    whole = load_set(write(tmp_path), "Train").tensor(0)
    half, one = load_set(tmp_path, "Train", 4), load_set(tmp_path, "Train", "zyx")
    assert (half.speeds, one.speeds) == (4, 1)
    np.testing.assert_array_equal(half.tensor(0)[1], np.maximum(whole[2], whole[3]))
    np.testing.assert_array_equal(one.tensor(0), whole.max(0, keepdims=True))
    for wrong in (3, 0, -1, 16):
        with pytest.raises(InputError, match="speeds"):
            load_set(tmp_path, "Train", wrong)
        with pytest.raises(InputError, match="speeds"):
            fold(whole, wrong)


def test_negative_decibels_are_nothing() -> None:
    np.testing.assert_array_equal(bels(np.array([-3, 0, 25], np.float16)), np.array([0, 0, 2.5]))


def test_complex_values_are_above_their_median(tmp_path: Path) -> None:
    write(tmp_path, ("0000",), 1)
    frame_file(tmp_path, "0000", "000000").unlink()
    rng = np.random.default_rng(0)
    x = (rng.standard_normal(SHAPE) + 1j * rng.standard_normal(SHAPE)).astype(np.complex64)
    x[:, 0] = 1  # outside the field of view
    x[0, 1, 1, 1] = 1000
    np.save(frame_file(tmp_path, "0000", "000000", "npy_DZYX_complex"), x)
    tensor = load_set(tmp_path, "Train").tensor(0)
    assert tensor[:, 0].max() == 0
    floor = np.median(np.abs(x[:, 1]))
    np.testing.assert_allclose(tensor[0, 1, 1, 1], 2 * np.log10(1000 / floor), rtol=1e-5)
    np.testing.assert_allclose(bels(7 * x[:, 1]), bels(x[:, 1]), atol=1e-5)  # the scale is free
    assert bels(np.zeros(SHAPE, np.complex64)).max() == 0


def test_what_is_left_out_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, ("0000",), 3)
    frame_file(tmp_path, "0000", "000002").unlink()
    text = json.loads((tmp_path / "Train.json").read_text())
    text["0000"]["000007"] = []
    (tmp_path / "Train.json").write_text(json.dumps(text))
    assert len(load_set(tmp_path, "Train")) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "1 without a file, 1 without a person" in said


def test_the_published_set_has_no_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "RT_POSE", Grid((-1, -2, 0.5), (0.5, 0.5, 0.25), (2, 3, 4)))
    monkeypatch.setattr(data, "PUBLISHED_SPEEDS", (16, 8))
    write(tmp_path, ("44", "45"))
    (tmp_path / "grid.json").unlink()
    found = load_set(tmp_path, "Train")
    assert found.sequences == ("45", "45") and found.speeds == 8
    assert "2 of damaged sequences" in capsys.readouterr().err


def test_files_are_named_by_the_radar(tmp_path: Path) -> None:
    write(tmp_path, ("0000",), 1)
    frames = {"000123": [{"Radar_frameID": 0, "pose": POSE}]}
    (tmp_path / "Train.json").write_text(json.dumps({"0000": frames}))
    assert load_set(tmp_path, "Train").names == (("0000", "000123"),)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"a": 3}', '{"a": {"b": 3}}', '{"../a": {}}', "{}", '{"a": {}}', "[" * 99999,
     *(json.dumps({"0000": {"000000": people}}) for people in (
         [3], [{}], person("000000", [[1, 2, 3]]), person("000000", None), person("000000", "x"),
         person("000000", [[float("nan")] * 3] * 15), person("../000000"), person("000000") * 2))],
)  # fmt: skip
def test_wrong_annotations(tmp_path: Path, text: str) -> None:
    write(tmp_path)
    (tmp_path / "Train.json").write_text(text)
    with pytest.raises(InputError, match=r"Train\.json"):
        load_set(tmp_path, "Train")


@pytest.mark.parametrize(
    "change",
    [{"shape": [8, 2, 3]}, {"shape": [8, 2, 3, 0]}, {"shape": [0, 2, 3, 4]}, {"voxel": [1, 1]},
     {"voxel": [1, 0, 1]}, {"minimum": [0, 0, float("nan")]}, {"minimum": "here"}, {"shape": None}],
)  # fmt: skip
def test_wrong_grids(tmp_path: Path, change: dict[str, Any]) -> None:
    write(tmp_path)
    (tmp_path / "grid.json").write_text(json.dumps({**GRID, **change}))
    with pytest.raises(InputError, match=r"grid\.json"):
        load_set(tmp_path, "Train")


def test_a_part_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Test\.json: does not exist"):
        load_set(write(tmp_path), "Test")


@pytest.mark.parametrize(
    "array",
    [np.zeros((8, 2, 3, 5), np.float16), np.zeros(SHAPE, np.float32), np.zeros((), np.float16),
     np.zeros(SHAPE, np.complex64), np.full(SHAPE, None)],
)  # fmt: skip
def test_wrong_tensors(tmp_path: Path, array: np.ndarray) -> None:
    path = frame_file(write(tmp_path), "0044", "000001")
    np.save(path, array, allow_pickle=True)
    with pytest.raises(InputError, match=r"0044.*000001\.npy"):
        load_set(tmp_path, "Train")


@pytest.mark.parametrize("length", [0, 5, 60, 200])
def test_truncated_tensors(tmp_path: Path, length: int) -> None:
    path = frame_file(write(tmp_path), "0044", "000001")
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(InputError, match=r"000001\.npy: cannot be read"):
        load_set(tmp_path, "Train")


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_tensors_that_are_not_finite(tmp_path: Path, wrong: float) -> None:
    tensor = values()
    tensor[1, 1, 1, 1] = wrong
    np.save(frame_file(write(tmp_path), "0000", "000000"), tensor)
    found = load_set(tmp_path, "Train")
    with pytest.raises(InputError, match=r"000000\.npy: has values that are not finite; got 1"):
        found.tensor(0)
