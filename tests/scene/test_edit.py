"""Reading `OBJECT.NAME=VALUE`."""

from __future__ import annotations

import pytest

from etendue.core.errors import InputError
from etendue.scene.edit import camera_edits, numbers, parse_edits


def test_edits_by_name_and_a_later_one_wins() -> None:
    assert parse_edits(["camera.fov=35", "a.b.c = x=y", "camera.fov=40"]) == {
        "camera.fov": "40",
        "a.b.c": "x=y",
    }


@pytest.mark.parametrize("text", ["fov=3", "camera.fov", "camera.=3", ".fov=3", "camera.fov=", ""])
def test_what_is_no_edit(text: str) -> None:
    with pytest.raises(InputError, match=r"OBJECT\.NAME=VALUE"):
        parse_edits([text])


def test_numbers() -> None:
    assert numbers("x", "1, 2,3e1", (3,)) == [1, 2, 30]
    for text in ("1,2", "a", "nan", "inf,1,1", ""):
        with pytest.raises(InputError, match="a number or X,Y,Z"):
            numbers("x", text, (1, 3))


def test_settings_survive_as_text() -> None:
    value = (0.1, 1 / 3, -2e-17)
    text = camera_edits({"origin": value})["camera.origin"]
    assert tuple(numbers("x", text, (3,))) == value
