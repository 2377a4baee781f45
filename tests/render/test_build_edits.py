"""Edits of a built scene: what they change in the picture, and names that do not exist."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from etendue.core.errors import InputError
from etendue.scene.scene import load_scene

ASSETS = Path(__file__).parents[2] / "assets/scenes"
SIZE = (24, 18)


def picture(file: str = "sphere.xml", spp: int = 16, **edits: str) -> np.ndarray:
    from etendue.render.path.drjit import render

    built = built_with(file, **edits)
    return render(built.mi_scene, spp=spp).rgb.astype(np.float64)


def built_with(file: str = "sphere.xml", **edits: str) -> Any:
    from etendue.render.build import build

    named = {name.replace("__", "."): text for name, text in edits.items()}
    return build(replace(load_scene(ASSETS / file), edits=named), size=SIZE)


def test_light_is_linear_in_its_scale() -> None:
    plain, key, room = picture(), picture(room__scale="0"), picture(KeyLight__scale="0")
    np.testing.assert_allclose(picture(emitters__scale="2"), 2 * plain, rtol=1e-4)
    assert 0.05 < key.mean() < 0.95 * plain.mean()
    # without the light that it looks at, a ray draws other numbers: equal on average only
    assert (key + room).mean() == pytest.approx(plain.mean(), rel=0.05)


def test_materials_by_the_name_of_shape_or_material() -> None:
    plain = picture("showcase/showcase.xml")
    white = picture("showcase/showcase.xml", paper__reflectance="0.9")
    grey = picture("showcase/showcase.xml", paper__reflectance="0.9,0.9,0.9")
    assert white.mean() > 1.5 * plain.mean()
    np.testing.assert_array_equal(white, grey)
    floor = picture(Floor__reflectance="0,0,0")
    assert floor.mean() < picture().mean()


def test_the_camera_moves() -> None:
    from etendue.render.build_edits import camera_pose

    built = built_with(camera__origin="0,5,8", camera__target="0,1,0", camera__fov="40")
    origin, target, _ = camera_pose(built.mi_scene)
    np.testing.assert_allclose(origin, [0, 5, 8], atol=1e-5)
    line = np.array(target) - origin
    np.testing.assert_allclose(
        line / np.linalg.norm(line), np.array([0, -4, -8]) / 80**0.5, atol=1e-5
    )
    import mitsuba as mi

    fov = mi.traverse(built.mi_scene.sensors()[0])["x_fov"][0]  # of a file that says y
    assert np.tan(np.radians(fov) / 2) == pytest.approx(np.tan(np.radians(20)) * 4 / 3, rel=1e-4)


def test_without_a_target_the_camera_keeps_looking_at_the_same_thing() -> None:
    from etendue.render.build_edits import camera_pose

    _, target, _ = camera_pose(built_with().mi_scene)
    origin, _, _ = camera_pose((moved := built_with(camera__origin="3,3,3")).mi_scene)
    matrix = np.array(moved.mi_scene.sensors()[0].world_transform().matrix).reshape(4, 4)
    line = np.array(target) - origin
    np.testing.assert_allclose(matrix[:3, 2], line / np.linalg.norm(line), atol=1e-4)


def test_the_size_of_the_film() -> None:
    assert built_with(film__width="32").size == (32, 18)


def test_the_camera_of_the_following_frame_is_a_second_sensor() -> None:
    from etendue.render.build import build

    scene = replace(
        load_scene(ASSETS / "sphere.xml"),
        edits={"camera.fov": "30"},
        following={"camera.origin": "1,2,6", "camera.target": "0,1,0"},
    )
    here, after = build(scene, size=SIZE).mi_scene.sensors()
    x = [np.array(s.world_transform().matrix).reshape(4, 4)[0, 3] for s in (here, after)]
    assert x == pytest.approx([0.0, 1.0])


@pytest.mark.parametrize(
    ("edits", "words"),
    [
        ({"papre__reflectance": "1"}, r"Did you mean paper\.reflectance\? Names: camera\.origin"),
        ({"paper__reflectance": "red"}, "a number or X,Y,Z"),
        ({"paper__reflectance": "1,2"}, "a number or X,Y,Z"),
        ({"camera__fov": "180"}, "camera.fov: is out of range"),
        ({"camera__near": "0"}, "is not positive"),
        ({"camera__aperture_radius": "1"}, "needs a thinlens camera"),
        ({"camera__up": "0,0,0"}, "looks nowhere"),
        ({"camera__lens": "1"}, "names nothing"),
        ({"film__width": "0"}, "film.width: is out of range"),
        ({"film__height": "1.5"}, "film.height: is out of range"),
        ({"KeyLight__scale": "-1"}, "is negative"),
        ({"emitters__scale": "1,1,1"}, "a number"),
    ],
)
def test_one_clear_error(edits: dict[str, str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        built_with("showcase/showcase.xml", **edits)
