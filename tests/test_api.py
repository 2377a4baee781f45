"""The functions of the package do what the commands do, to the byte."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import etendue
from etendue.cli import main
from etendue.core.errors import InputError
from etendue.core.image import read_image

SPHERE = Path(__file__).parents[1] / "assets/scenes/sphere.xml"
SIZE = (24, 18)


def test_a_picture_is_that_of_the_command(tmp_path: Path) -> None:
    args = ["--size", "24x18", "--spp", "5", "--seed", "3", "--aov", "depth", "--crop", "2,3,16,12"]
    a, b = tmp_path / "a.exr", tmp_path / "b.exr"
    assert main(["render", str(SPHERE), "-o", str(a), *args, "--set", "camera.fov=30", "-q"]) == 0
    scene = etendue.edit_scene(etendue.load_scene(SPHERE), {"camera.fov": 30})
    film = etendue.render_scene(
        scene, b, size=SIZE, spp=5, seed=3, aovs=("depth",), crop=(2, 3, 16, 12)
    )
    assert a.read_bytes() == b.read_bytes()
    assert film.complete and film.spp == 5


def test_unknown_colours_are_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="colors: are unknown; got p3, expected rec709, acescg"):
        etendue.render_scene(SPHERE, tmp_path / "a.exr", size=SIZE, spp=1, colors="p3")
    assert not list(tmp_path.iterdir())


def test_frames_are_those_of_the_command(tmp_path: Path) -> None:
    a, b = tmp_path / "a.exr", tmp_path / "b.exr"
    args = ["--size", "24x18", "--spp", "4", "--turntable", "3", "-q"]
    assert main(["render", str(SPHERE), "-o", str(a), *args]) == 0
    scene = etendue.load_scene(SPHERE)
    frames = dict(etendue.render_frames(scene, b, turntable=3, size=SIZE, spp=4))
    assert list(frames) == [1, 2, 3]
    for number, file in frames.items():
        assert file.read_bytes() == (tmp_path / f"a.{number:04d}.exr").read_bytes()


def test_scenes_are_immutable_and_edits_add_up() -> None:
    scene = etendue.load_scene(SPHERE, parameters={"spp": 3})
    once = etendue.edit_scene(scene, {"camera.fov": 30, "Floor.reflectance": (1, 0, 0)})
    twice = etendue.edit_scene(once, {"camera.fov": 40.5})
    assert not scene.edits
    assert twice.edits == {"camera.fov": "40.5", "Floor.reflectance": "1,0,0"}
    with pytest.raises(etendue.InputError, match="edit_scene"):
        etendue.edit_scene(scene, {"fov": 3})


def test_progress_and_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    seen: list[tuple[int, int]] = []
    film = etendue.render_scene(SPHERE, size=SIZE, spp=4, progress=lambda *p: seen.append(p))
    assert seen[0] == (0, 24 * 18 * 4) and seen[-1] == (24 * 18 * 4, 24 * 18 * 4)
    assert film.rgb.shape == (18, 24, 3) and not list(tmp_path.iterdir())


def test_compare_takes_files_films_and_arrays(tmp_path: Path) -> None:
    film = etendue.render_scene(SPHERE, tmp_path / "a.exr", size=SIZE, spp=4)
    other = etendue.render_scene(SPHERE, tmp_path / "b.exr", size=SIZE, spp=4, seed=1)
    figures = etendue.compare(tmp_path / "a.exr", tmp_path / "b.exr")
    assert figures == etendue.compare(film, other) == etendue.compare(film.rgb, other.rgb)
    assert (figures["psnr_db"] or 0) > 10
    film.save(tmp_path / "a.png")
    assert (etendue.compare(film, tmp_path / "a.png")["flip"] or 0) < 0.02  # decoded again
    np.testing.assert_array_equal(read_image(tmp_path / "a.exr"), film.rgb)


def test_a_bake_needs_one_length() -> None:
    for lengths in ({}, {"steps": 3, "minutes": 1.0}):
        with pytest.raises(etendue.InputError, match="steps or minutes"):
            etendue.bake_material("gone.mtlx", "a.eta", **lengths)


def test_unknown_options_are_errors() -> None:
    with pytest.raises(TypeError, match="sppp"):
        etendue.render_scene(SPHERE, sppp=3)
