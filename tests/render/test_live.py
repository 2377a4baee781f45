"""The scene that is looked at: sizes, sweeps, aspect, layers, picking. Pictures: `tests/view`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from etendue.core.errors import InputError
from etendue.scene.scene import load_scene

SCENE = Path(__file__).parents[2] / "assets" / "scenes" / "sphere.xml"


@pytest.fixture(scope="module")
def live() -> Any:
    from etendue.device.drjit import activate

    activate()
    from etendue.render.live import Live

    return Live(load_scene(SCENE))


def test_the_camera_of_the_file(live: Any) -> None:
    camera = live.camera()
    assert camera.origin == pytest.approx((0, 2.2, 6.2), abs=1e-5)
    assert camera.fov_deg == pytest.approx(26) and camera.aspect == pytest.approx(320 / 240)
    line = np.subtract(camera.target, camera.origin)
    assert np.linalg.norm(np.cross(line, [0, 0.92 - 2.2, -6.2])) < 1e-4


def test_sweeps_in_blocks_equal_one_sweep(live: Any) -> None:
    live.look(live.camera(), (32, 24))
    while not live.step(1 << 20):
        pass
    whole = live.rgb()
    live.look(live.camera(), (32, 24))
    steps = 1
    while not live.step(100):
        steps += 1
    assert steps == 8 and live.spp == 1
    assert (live.rgb() == whole).all()
    live.step(1 << 20, 4)
    assert live.spp == 5


def depth(live: Any, size: tuple[int, int]) -> np.ndarray:
    live.look(live.camera(), size)
    return live.layer("depth")[..., 0]


def test_a_narrow_picture_shows_all_of_the_width(live: Any) -> None:
    wide, narrow = depth(live, (64, 48)), depth(live, (64, 96))
    middle = narrow[24:72]  # the same view, with more above and below
    inside = np.abs(middle - wide) < 0.02 * np.maximum(wide, 1e-3)
    assert inside.mean() > 0.9


def test_half_the_size_is_the_same_view(live: Any) -> None:
    full, half = depth(live, (64, 48)), depth(live, (32, 24))
    means = full.reshape(24, 2, 32, 2).mean((1, 3))
    assert (np.abs(means - half) < 0.02 * np.maximum(half, 1e-3)).mean() > 0.85


def test_picking_agrees_with_the_layers(live: Any) -> None:
    live.look(live.camera(), (64, 48))
    found = live.pick(32, 24)
    assert found["shape"] == "Sphere" and found["shape_id"][0] == live.shapes.index("Sphere")
    ids = live.layer("shape_id")[..., 0]
    assert ids[24, 32] == found["shape_id"][0]
    with pytest.raises(InputError, match="outside"):
        live.pick(64, 0)


def test_what_cannot_be(live: Any) -> None:
    with pytest.raises(InputError, match="odd size"):
        live.look(live.camera(), (31, 24))
    with pytest.raises(InputError, match="unknown"):
        live.layer("bogus")


def test_another_aspect_is_free_when_none_is_asked_for(live: Any) -> None:
    camera = replace(live.camera(), aspect=None)
    live.look(camera, (24, 48))
    free = live.layer("depth")[..., 0]
    live.look(live.camera(), (24, 48))
    assert not np.allclose(free, live.layer("depth")[..., 0], rtol=0.01)
