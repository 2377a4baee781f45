"""Camera paths: interpolation against closed forms, both file formats, and what is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from etendue.core.errors import InputError
from etendue.scene.camera_path import interpolate, load_path, turned

KEYS: list[dict[str, Any]] = [
    {"frame": 1, "origin": [0, 2, 6], "target": [0, 1, 0], "fov": 30},
    {"frame": 11, "origin": [4, 2, 6], "target": [0, 1, 0], "fov": 40},
    {"frame": 31, "origin": [4, 4, 0], "target": [0, 1, 1], "fov": 20},
]


def write(folder: Path, data: Any) -> Path:
    path = folder / "path.json"
    path.write_text(json.dumps(data))
    return path


def test_keys_are_met_and_the_ends_hold(tmp_path: Path) -> None:
    for kind in ("linear", "catmull-rom"):
        path = load_path(write(tmp_path, {"interpolation": kind, "keys": KEYS}))
        assert path.span == (1, 31)
        for key in KEYS:
            found = path.at(key["frame"])
            assert found["origin"] == tuple(key["origin"]) and found["up"] == (0, 1, 0)
            assert found["fov"] == (key["fov"],)
        assert path.at(-5) == path.at(1) and path.at(99) == path.at(31)


def test_linear_is_a_straight_line(tmp_path: Path) -> None:
    path = load_path(write(tmp_path, {"interpolation": "linear", "keys": KEYS}))
    assert path.at(6)["origin"] == pytest.approx((2, 2, 6))
    assert path.at(16)["fov"] == pytest.approx((35,))


@pytest.mark.parametrize("degree", [1, 2])
def test_the_spline_reproduces_polynomials_that_it_can(degree: int) -> None:
    # lines for any keys; parabolas between inner keys that are evenly spaced
    at = np.array([0.0, 1.0, 2.0, 3.0]) if degree == 2 else np.array([0.0, 1.0, 5.0, 6.0])
    for x in np.linspace(1.0, at[2], 7):
        found = interpolate(at, at[:, None] ** degree, x, "catmull-rom")
        assert found[0] == pytest.approx(x**degree)


def test_the_spline_has_no_corner(tmp_path: Path) -> None:
    path, h = load_path(write(tmp_path, {"keys": KEYS})), 1e-5
    before, at, after = (np.array(path.at(11 + d)["origin"]) for d in (-h, 0, h))
    np.testing.assert_allclose((at - before) / h, (after - at) / h, atol=1e-3)


def test_one_key_is_a_still(tmp_path: Path) -> None:
    path = load_path(write(tmp_path, {"keys": KEYS[:1]}))
    assert path.span == (1, 1) and path.at(7) == path.at(1)


def test_toml_reads_like_json(tmp_path: Path) -> None:
    lines = []
    for key in KEYS:
        lines += ["[[keys]]", *(f"{name} = {json.dumps(value)}" for name, value in key.items())]
    file = tmp_path / "path.toml"
    file.write_text("\n".join(lines))
    a, b = load_path(file), load_path(write(tmp_path, {"keys": KEYS}))
    np.testing.assert_array_equal(a.values, b.values)


def test_turning_keeps_distance_and_height_and_closes() -> None:
    origin, target = (1.0, 3.0, 5.0), (0.5, 1.0, -1.0)
    steps = [turned(origin, target, 2 * math.pi * k / 8) for k in range(9)]
    assert steps[0] == pytest.approx(origin) and steps[8] == pytest.approx(origin)
    for step in steps:
        assert math.dist(step, target) == pytest.approx(math.dist(origin, target))
        assert step[1] == origin[1]
    assert steps[4] == pytest.approx((0.0, 3.0, -7.0))


BAD = {
    "no keys": ({}, "has no keys"),
    "no list": ({"keys": 3}, "has no keys"),
    "a word": ({"keys": ["a"]}, "key 1: is no table"),
    "misspelt": ({"keys": [{"frmae": 1}]}, "unknown entry; got frmae"),
    "top": ({"keys": KEYS, "speed": 2}, "unknown entry; got speed"),
    "kind": ({"keys": KEYS, "interpolation": "cubic"}, "catmull-rom or linear"),
    "two numbers": ({"keys": [{**KEYS[0], "origin": [1, 2]}]}, "origin cannot be used.*3 numbers"),
    "text": ({"keys": [{**KEYS[0], "frame": "1"}]}, "frame cannot be used"),
    "nothing seen": ({"keys": [{**KEYS[0], "target": [0, 2, 6]}]}, "are the same"),
    "wide": ({"keys": [{**KEYS[0], "fov": 190}]}, "fov is out of range"),
    "huge": ({"keys": [{**KEYS[0], "frame": 1e9}]}, "frame is out of range"),
    "falling": ({"keys": KEYS[::-1]}, "do not rise"),
    "some fov": (
        {"keys": [KEYS[0], {k: KEYS[1][k] for k in ("frame", "origin", "target")}]},
        "fov",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_one_clear_error(tmp_path: Path, name: str) -> None:
    data, words = BAD[name]
    with pytest.raises(InputError, match=words):
        load_path(write(tmp_path, data))


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("keys = [")
    (tmp_path / "a.yaml").write_text("")
    for name, words in (
        ("a.toml", "cannot be read"),
        ("a.yaml", "unknown kind"),
        ("b.json", "No such"),
    ):
        with pytest.raises(InputError, match=words):
            load_path(tmp_path / name)
