"""Motion vectors against where a point is seen in the following frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from etendue.core.errors import InputError

SIZE = (32, 24)


@pytest.fixture(scope="module")
def mi() -> Any:
    from etendue.device.drjit import activate

    return activate()


def scene(mi: Any, *sensors: dict[str, Any]) -> Any:
    """A wall at z = 0 in front of a sky, seen by cameras."""
    wall = {"type": "rectangle", "to_world": mi.ScalarTransform4f().scale([1.5, 1.0, 1.0])}
    cameras = {f"sensor{k}": sensor for k, sensor in enumerate(sensors)}
    return mi.load_dict({"type": "scene", "wall": wall, "sky": {"type": "constant"}, **cameras})


def camera(mi: Any, origin: list[float], target: list[float], **more: Any) -> dict[str, Any]:
    look = mi.ScalarTransform4f().look_at(origin, target, [0, 1, 0])
    film = {"type": "hdrfilm", "width": SIZE[0], "height": SIZE[1], "rfilter": {"type": "box"}}
    return {"type": "perspective", "fov": 60, "to_world": look, "film": film, **more}


def motion(built: Any, **options: Any) -> dict[str, np.ndarray]:
    from etendue.render.path.drjit import render

    return dict(
        render(built, spp=16, max_depth=1, aovs=("motion", "position", "depth"), **options).aovs
    )


def covered() -> np.ndarray:
    """Pixels well inside the wall as seen from (0, 0, 4)."""
    half = SIZE[0] / 2 / np.tan(np.radians(30))
    y, x = np.mgrid[0 : SIZE[1], 0 : SIZE[0]] + 0.5
    x, y = (4 * (a - side / 2) / half for a, side in zip((x, y), SIZE, strict=True))
    return (np.abs(x) < 1.25) & (np.abs(y) < 0.75)


def test_a_camera_that_slides_moves_the_wall_by_a_closed_form(mi: Any) -> None:
    found = motion(
        scene(mi, camera(mi, [0, 0, 4], [0, 0, 0]), camera(mi, [0.2, 0.1, 4], [0.2, 0.1, 0]))
    )
    wall = covered()
    # fov over the width: a unit at distance 4 is 16 / tan(30 degrees) / 4 pixels
    pixels = SIZE[0] / 2 / np.tan(np.radians(30)) / 4
    np.testing.assert_allclose(found["motion"][wall, 0], -0.2 * pixels, rtol=1e-3)
    np.testing.assert_allclose(found["motion"][wall, 1], 0.1 * pixels, rtol=1e-3)  # rows go down
    assert np.abs(found["motion"][0, 0]).max() < 1e-4  # the sky is far away


def test_a_turning_camera_moves_the_sky_as_directions_say(mi: Any) -> None:
    angle = 0.05
    target = [4 * np.sin(angle), 0, 4 - 4 * np.cos(angle)]
    built = scene(mi, camera(mi, [0, 0, 4], [0, 0, 0]), camera(mi, [0, 0, 4], target))
    found = motion(built, crop=(0, 0, 32, 2))["motion"]
    half = SIZE[0] / 2 / np.tan(np.radians(30))
    x = (np.arange(SIZE[0]) + 0.5 - SIZE[0] / 2) / half  # tangent of the horizontal angle
    expected = half * np.tan(np.arctan(x) - angle) - half * x
    np.testing.assert_allclose(found[..., 0].mean(0), expected, atol=0.02)


def test_it_leads_to_the_same_point_in_the_next_picture(mi: Any) -> None:
    here, after = camera(mi, [0, 0, 4], [0, 0, 0]), camera(mi, [1.5, 1, 3], [0, 0, 0], fov=70)
    found = motion(scene(mi, here, after))
    there = motion(scene(mi, after))["position"]
    y, x = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    inside = covered()
    u, v = (x + found["motion"][..., 0])[inside], (y + found["motion"][..., 1])[inside]
    i, j = np.round(v).astype(int), np.round(u).astype(int)
    distance = np.linalg.norm(there[i, j] - found["position"][inside], axis=-1)
    assert inside.sum() > 50 and distance.max() < 0.2 and np.median(distance) < 0.1  # a pixel


def test_a_still_camera_has_none(mi: Any) -> None:
    assert (motion(scene(mi, camera(mi, [0, 1, 4], [0, 0, 0])))["motion"] == 0).all()


def test_cameras_without_perspective_are_refused(mi: Any) -> None:
    flat = camera(mi, [0, 0, 4], [0, 0, 0])
    flat["type"] = "orthographic"
    del flat["fov"]
    with pytest.raises(InputError, match="needs a perspective camera"):
        motion(scene(mi, flat))
