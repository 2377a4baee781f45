"""Sets of posed photos: what is read, where things lie, and one clear error for each fault."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from etendue.core.errors import InputError
from etendue.core.image import write_png
from etendue.field.data import load_photos, pixels
from etendue.field.rays import look_at

SIZE = (6, 4)


def write_set(folder: Path, count: int = 9, **more: Any) -> dict[str, Any]:
    """A set whose cameras look at (1, 2, 3) from around; picture k has the red value k / 20."""
    frames = []
    for k in range(count):
        eye = np.array([1 + 4 * math.cos(k), 2 + 0.3 * k, 3 + 4 * math.sin(k)])
        values = np.zeros((SIZE[1], SIZE[0], 4), np.float32)
        values[..., 0], values[..., 3] = k / 20, 0.5
        write_png(folder / f"images/{k}.png", values, encode=False)
        frames.append(
            {"file_path": f"images/{k}", "transform_matrix": look_at(eye, [1, 2, 3]).tolist()}
        )
    made = {
        "fl_x": 5.0,
        "fl_y": 6.0,
        "cx": 2.5,
        "cy": 2.0,
        "w": 6,
        "h": 4,
        "frames": frames,
        **more,
    }
    (folder / "transforms.json").write_text(json.dumps(made))
    return made


def test_a_set_in_one_file(tmp_path: Path) -> None:
    write_set(tmp_path)
    data = load_photos(tmp_path)
    assert (len(data.train), len(data.test)) == (8, 1) and data.test.names == ("images/4",)
    np.testing.assert_allclose(data.cube.centre, [1, 2, 3], atol=1e-6)
    view = data.train.views[0]
    assert (view.width, view.height, view.focal, view.principal) == (6, 4, (5.0, 6.0), (2.5, 2.0))
    flat = pixels(data.train, data.cube)
    assert len(flat.rays) == 8 * 24
    assert flat.alpha[0] == pytest.approx(0.5, abs=3e-3)
    assert flat.color[24, 0] == pytest.approx(0.5 / 20, abs=3e-3)
    to = 0.5 - flat.rays.origin
    nearest = to - (to * flat.rays.direction).sum(-1, keepdim=True) * flat.rays.direction
    assert nearest.norm(dim=-1).max() < 1


def test_blenders_sets_and_smaller_pictures(tmp_path: Path) -> None:
    made = write_set(tmp_path, 3)
    for key in ("fl_x", "fl_y", "cx", "cy"):
        del made[key]
    made |= {"camera_angle_x": 2 * math.atan(6 / 2 / 7), "w": 6}
    for part in ("train", "test"):
        (tmp_path / f"transforms_{part}.json").write_text(json.dumps(made))
    data = load_photos(tmp_path)
    assert (len(data.train), len(data.test)) == (3, 3)
    assert data.cube.side == 3.0 and data.train.views[0].focal == (
        pytest.approx(7),
        pytest.approx(7),
    )
    own = load_photos(tmp_path, [0, 0, 0, 2, 2, 4])
    assert own.cube.side == 4.0 and own.cube.centre == (1, 1, 2)
    write_set(tmp_path / "half", 3, w=12, h=8, fl_x=10.0, fl_y=12.0, cx=5.0, cy=4.0)
    half = load_photos(tmp_path / "half").train.views[0]
    assert half.focal == (5.0, 6.0) and half.principal == (2.5, 2.0)


def test_faults_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no transforms\.json"):
        load_photos(tmp_path)
    made = write_set(tmp_path, 3)

    def broken(change: dict[str, Any], frame: dict[str, Any]) -> None:
        frames = [made["frames"][0], {**made["frames"][1], **frame}, made["frames"][2]]
        text = json.dumps({**made, "frames": frames, **change})
        (tmp_path / "transforms.json").write_text(text)

    for change, frame, message in (
        ({}, {"file_path": "images/7"}, r"frame 1: its picture is missing; got .*images/7"),
        ({}, {"file_path": 3}, "frame 1: has no file_path"),
        ({}, {"transform_matrix": [[1, 2], [3, 4]]}, "frame 1: its transform_matrix is no pose"),
        ({}, {"transform_matrix": np.full((4, 4), math.nan).tolist()}, "is no pose"),
        ({}, {"transform_matrix": (2 * np.eye(4)).tolist()}, "is no pose"),
        ({}, {"transform_matrix": np.diag([1, 1, -1, 1]).tolist()}, "is no pose"),
        ({"fl_x": -1.0}, {}, "focal length is not usable"),
        ({"k1": 0.1}, {}, "its lens distorts"),
        ({"frames": []}, {}, "is no list of frames"),
        ({"etendue": {"cube": 3}}, {}, "its cube cannot be read"),
    ):
        broken(change, frame)
        with pytest.raises(InputError, match=message):
            load_photos(tmp_path)
    broken({}, {})
    (tmp_path / "images/1.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"images/1\.png"):
        load_photos(tmp_path)


def test_photos_that_do_not_show_the_cube(tmp_path: Path) -> None:
    write_set(tmp_path)
    with pytest.raises(InputError) as caught:
        load_photos(tmp_path, [100, 100, 100, 101, 101, 101])
    told = str(caught.value)
    assert "8 of 8 photos do not show the cube, images/0 the first" in told and "--box" in told
