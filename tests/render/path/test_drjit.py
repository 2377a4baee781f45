"""The fast path tracer against Mitsuba's `path`, closed forms, and itself."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from etendue.core.errors import InputError
from etendue.core.ztest import z_test

GREY = {"type": "twosided", "b": {"type": "diffuse", "reflectance": 0.6}}


def agree(film: Any, mean: np.ndarray, variance: np.ndarray) -> None:
    """The film passes the z-test against a picture, and so does its mean."""
    assert film.invalid == 0 and film.complete
    result = z_test(film.rgb, mean, film.variance(), variance)
    assert result.passed and abs(result.mean_z) < 4, (result.fraction, result.mean_z)


@pytest.fixture(scope="module")
def everything(mi: Any, room: Any) -> Any:
    """Environment map, point, spot and area light; rough metal, glass, plastic, a mask."""
    sky = np.random.default_rng(0).random((8, 16, 3)).astype(np.float32)
    sky[2, 3] = 8.0

    def ball(x: float, bsdf: Any) -> dict[str, Any]:
        return {"type": "sphere", "center": [x, 0.4, 1.5], "radius": 0.4, "bsdf": bsdf}

    look = mi.ScalarTransform4f().look_at([-3, 3, 3], [0, 0, 0], [0, 1, 0])
    return room(
        {"type": "roughconductor", "material": "Au", "alpha": 0.15},
        {"type": "twosided", "b": {"type": "diffuse", "reflectance": 0.5}},
        sky={"type": "envmap", "bitmap": mi.Bitmap(sky), "scale": 0.4},
        point={"type": "point", "position": [2, 3, 3], "intensity": 9.0},
        spot={"type": "spot", "to_world": look, "intensity": 12.0, "cutoff_angle": 25.0},
        a=ball(-1.2, {"type": "roughplastic", "alpha": 0.1}),
        b=ball(0.0, {"type": "roughdielectric", "alpha": 0.2}),
        c=ball(1.2, {"type": "mask", "opacity": 0.6, "inner": {"type": "plastic"}}),
    )


def test_a_scene_of_everything_equals_mitsuba(everything: Any, mitsuba_path: Any) -> None:
    from etendue.render.path.drjit import render

    agree(render(everything, spp=512, seed=1), *mitsuba_path(everything, 512))


def test_cornell_box_equals_mitsuba(mi: Any, mitsuba_path: Any) -> None:
    from etendue.render.path.drjit import render

    box = mi.cornell_box()
    box["sensor"]["film"].update(width=64, height=64, rfilter={"type": "box"})
    scene = mi.load_dict(box)
    agree(render(scene, spp=256, seed=1), *mitsuba_path(scene, 512))


def load(mi: Any, path: Path, **parameters: Any) -> Any:
    """A scene file whose film has a box filter."""
    from etendue.render.build import build
    from etendue.scene.scene import load_scene

    return build(load_scene(path), **parameters).mi_scene


def test_shared_cornell_box(mi: Any, shared_data: Path, mitsuba_path: Any) -> None:
    from etendue.render.path.drjit import render

    scene = load(mi, shared_data / "mitsuba/scenes/cbox/cbox.xml", size=(64, 64))
    agree(render(scene, spp=256, seed=1), *mitsuba_path(scene, 512))


def test_material_preview_scene(mi: Any, shared_data: Path, mitsuba_path: Any) -> None:
    from etendue.render.path.drjit import render

    scene = load(mi, shared_data / "mitsuba/scenes/matpreview/matpreview.xml", size=(64, 64))
    agree(render(scene, spp=256, seed=1), *mitsuba_path(scene, 512))


@pytest.mark.parametrize("depth", [1, 2, 3, -1])
def test_max_depth_counts_as_in_mitsuba(room: Any, mitsuba_path: Any, depth: int) -> None:
    from etendue.render.path.drjit import render

    scene = room({"type": "plastic"}, GREY)
    film = render(scene, spp=128, seed=1, max_depth=depth)
    agree(film, *mitsuba_path(scene, 128, max_depth=depth))


def test_hidden_emitters(room: Any, mitsuba_path: Any) -> None:
    from etendue.render.path.drjit import render

    scene = room({"type": "dielectric"}, GREY)
    film = render(scene, spp=256, seed=1, hide_emitters=True)
    agree(film, *mitsuba_path(scene, 256, hide_emitters=True))
    assert film.rgb[0, 0].max() == 0


@pytest.fixture(scope="module")
def soft(room: Any) -> Any:
    """A scene in which either sampling strategy alone converges fast."""
    big = {"type": "sphere", "center": [-3, 4, 1], "radius": 1.8, "light": {"type": "area"}}
    return room({"type": "roughconductor", "alpha": 0.4}, GREY, lamp=big)


@pytest.mark.parametrize("strategy", ["light", "bsdf"])
def test_strategies_agree(soft: Any, strategy: str) -> None:
    from etendue.render.path.drjit import render

    both = render(soft, spp=512, seed=1, max_depth=4)
    one = render(soft, spp=1024, seed=2, max_depth=4, strategy=strategy)
    agree(one, both.rgb, both.variance())


def test_strategies_agree_on_inline_materials(room: Any, inline_bsdf: Any) -> None:
    from etendue.render.path.drjit import render

    big = {"type": "sphere", "center": [-3, 4, 1], "radius": 1.8, "light": {"type": "area"}}
    scene = room(inline_bsdf((0.8, 0.5, 0.2)), inline_bsdf((0.5, 0.5, 0.5)), lamp=big)
    both = render(scene, spp=256, seed=1, max_depth=4)
    for strategy in ("light", "bsdf"):
        one = render(scene, spp=1024, seed=2, max_depth=4, strategy=strategy)
        agree(one, both.rgb, both.variance())


def test_russian_roulette_is_unbiased(soft: Any) -> None:
    from etendue.render.path.drjit import render

    without = render(soft, spp=256, seed=1, max_depth=10, rr_depth=100)
    early = render(soft, spp=256, seed=2, max_depth=10, rr_depth=1)
    agree(early, without.rgb, without.variance())


@pytest.mark.parametrize("inline", [False, True])
def test_white_furnace(mi: Any, camera: Any, inline_bsdf: Any, inline: bool) -> None:
    from etendue.render.path.drjit import render

    white = inline_bsdf((1.0, 1.0, 1.0)) if inline else {"type": "diffuse", "reflectance": 1.0}
    scene = mi.load_dict(
        {
            "type": "scene",
            "sensor": camera((0, 0, 4), (0, 0, 0)),
            "ball": {"type": "sphere", "bsdf": white},
            "sky": {"type": "constant"},
        }
    )
    exact = render(scene, spp=64, seed=1, max_depth=-1, strategy="bsdf")
    np.testing.assert_allclose(exact.rgb, 1.0, atol=1e-5)
    both = render(scene, spp=64, seed=1, max_depth=-1)
    assert both.rgb.mean() == pytest.approx(1, abs=0.005)


# ---- reproducibility


@pytest.fixture(scope="module")
def mixed(room: Any, inline_bsdf: Any) -> Any:
    """Mitsuba's materials and inline ones."""
    return room(inline_bsdf((0.8, 0.5, 0.2)), GREY)


def test_same_seed_same_bits(mixed: Any) -> None:
    from etendue.render.path.drjit import render

    first = render(mixed, spp=21, seed=5, aovs=("depth", "normal"))
    again = render(mixed, spp=21, seed=5, aovs=("depth", "normal"))
    np.testing.assert_array_equal(first.rgb, again.rgb)
    np.testing.assert_array_equal(first.squares, again.squares)
    np.testing.assert_array_equal(first.aovs["normal"], again.aovs["normal"])
    assert (render(mixed, spp=21, seed=6).rgb != first.rgb).any()


@pytest.mark.parametrize("limit", [16, 5000, 48 * 48 * 16])
def test_pass_size_changes_nothing(mixed: Any, limit: int) -> None:
    from etendue.render.path.drjit import render

    crop = (20, 20, 6, 4) if limit == 16 else None  # that many passes take their time
    whole = render(mixed, spp=37, seed=5, aovs=("normal",), crop=crop)
    parts = render(mixed, spp=37, seed=5, aovs=("normal",), crop=crop, pass_samples=limit)
    np.testing.assert_array_equal(whole.rgb, parts.rgb)
    np.testing.assert_array_equal(whole.variance(), parts.variance())
    np.testing.assert_array_equal(whole.aovs["normal"], parts.aovs["normal"])


def test_crop_is_part_of_the_picture(mixed: Any, inline_bsdf: Any, camera: Any) -> None:
    from etendue.render.path.drjit import render

    whole = render(mixed, spp=16, seed=5, aovs=("position",))
    crop = render(mixed, spp=16, seed=5, aovs=("position",), crop=(10, 7, 20, 30))
    np.testing.assert_array_equal(whole.rgb[7:37, 10:30], crop.rgb)
    np.testing.assert_array_equal(whole.aovs["position"][7:37, 10:30], crop.aovs["position"])


def test_crop_of_the_film_is_part_of_the_picture(mi: Any, room: Any, camera: Any) -> None:
    from etendue.render.path.drjit import render

    window = {
        "crop_offset_x": 10,
        "crop_offset_y": 7,
        "crop_width": 20,
        "crop_height": 30,
    }
    at = ((0, 2, 5), (0, 0.6, 0))
    whole = render(room({"type": "plastic"}, GREY), spp=16, seed=5)
    scene = room({"type": "plastic"}, GREY, sensor=camera(*at, **window))
    film = render(scene, spp=16, seed=5)
    np.testing.assert_array_equal(whole.rgb[7:37, 10:30], film.rgb)
    assert list(scene.sensors()[0].film().crop_size()) == [20, 30]  # left as it was
    inner = render(scene, spp=16, seed=5, crop=(2, 3, 4, 5))
    np.testing.assert_array_equal(film.rgb[3:8, 2:6], inner.rgb)


def test_thin_lens_camera(mi: Any, room: Any, camera: Any, mitsuba_path: Any) -> None:
    from etendue.render.path.drjit import render

    lens = camera((0, 2, 5), (0, 0.6, 0))
    lens.update(type="thinlens", aperture_radius=0.3, focus_distance=5.0)
    scene = room({"type": "plastic"}, GREY, sensor=lens)
    agree(render(scene, spp=256, seed=1), *mitsuba_path(scene, 256))


def test_orthographic_camera(mi: Any, room: Any, camera: Any, mitsuba_path: Any) -> None:
    """Its rays all have one direction; footprints need materials that ask for them."""
    from etendue.render.path.drjit import render

    flat = {**camera((0, 2, 5), (0, 0.6, 0)), "type": "orthographic"}
    del flat["fov"]
    scene = room({"type": "plastic"}, GREY, sensor=flat)
    agree(render(scene, spp=128, seed=1), *mitsuba_path(scene, 128))


# ---- progress and interruption


def test_progress_and_cancel(mixed: Any) -> None:
    from etendue.render.path.drjit import render

    seen: list[tuple[int, int]] = []
    film = render(
        mixed,
        spp=64,
        pass_samples=48 * 48 * 16,
        progress=lambda done, total: seen.append((done, total)),
        cancel=lambda: len(seen) > 2,
    )
    total = 48 * 48 * 64
    assert seen == [(0, total), (total // 4, total), (total // 2, total)]
    assert film.interrupted and not film.complete and film.spp == 32
    full = render(mixed, spp=32)
    np.testing.assert_array_equal(film.rgb, full.rgb)


def test_interrupt_keeps_the_work_done(mixed: Any) -> None:
    from etendue.render.path.drjit import render

    def press(done: int, total: int) -> None:
        if done:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        film = render(mixed, spp=64, pass_samples=48 * 48 * 16, progress=press)
        assert film.spp == 16 and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_renders_in_a_thread(mixed: Any) -> None:
    from etendue.render.path.drjit import render

    films: list[Any] = []
    worker = threading.Thread(target=lambda: films.append(render(mixed, spp=4, seed=3)))
    worker.start()
    worker.join()
    np.testing.assert_array_equal(films[0].rgb, render(mixed, spp=4, seed=3).rgb)


# ---- footprint of a pixel


def test_footprint_of_a_pixel(mi: Any, camera: Any, inline_bsdf: Any) -> None:
    from etendue.render.path.drjit import render

    def footprint(distance: float, scale: float, size: int) -> float:
        wall = {
            "type": "rectangle",
            "to_world": mi.ScalarTransform4f().scale(scale),
            "bsdf": inline_bsdf((1, 1, 1), footprints=True),
        }
        sensor = camera((0, 0, distance), (0, 0, 0), size)
        scene = mi.load_dict(
            {"type": "scene", "sensor": sensor, "wall": wall, "sky": {"type": "constant"}}
        )
        film = render(scene, spp=64, seed=1, strategy="bsdf", max_depth=2)
        return float(film.rgb[size // 2 - 1 : size // 2 + 1, size // 2 - 1 : size // 2 + 1].mean())

    # a pixel sees 2 d tan(fov / 2) / size of the wall, whose uv square is 2 scale wide
    expected = 2 * 4 * np.tan(np.radians(20)) / 32 / (2 * 3)
    assert footprint(4, 3, 32) == pytest.approx(expected, rel=0.02)
    assert footprint(8, 3, 32) == pytest.approx(2 * expected, rel=0.02)
    assert footprint(4, 6, 32) == pytest.approx(expected / 2, rel=0.02)
    assert footprint(4, 3, 64) == pytest.approx(expected / 2, rel=0.02)


# ---- bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"spp": 0}, "spp: is too small"),
        ({"spp": 1, "seed": -1}, "seed: is out of range"),
        ({"spp": 1, "max_depth": -2}, "max_depth"),
        ({"spp": 1, "strategy": "magic"}, "strategy: is unknown; got magic"),
        ({"spp": 1, "aovs": ("shadow",)}, "aov: is unknown; got shadow"),
        ({"spp": 1, "crop": (40, 0, 20, 20)}, "crop: lies outside"),
    ],
)
def test_bad_options(mixed: Any, options: dict[str, Any], message: str) -> None:
    from etendue.render.path.drjit import render

    with pytest.raises(InputError, match=message):
        render(mixed, **options)
