"""Unfinished pictures: stored, resumed to the same bits, refused when of something else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from etendue.core.errors import InputError
from etendue.render.checkpoint import Store, checkpoint_path, identity, remove_checkpoint

SPHERE = Path(__file__).parents[2] / "assets/scenes/sphere.xml"
SIZE = (40, 30)


@pytest.fixture(scope="module")
def scene() -> Any:
    from etendue.render.build import build
    from etendue.scene.scene import load_scene

    return build(load_scene(SPHERE), size=SIZE).mi_scene


def after(passes: int) -> Callable[[], bool]:
    """Cancel when it has been asked so often."""
    asked = [0]

    def cancel() -> bool:
        asked[0] += 1
        return asked[0] > passes

    return cancel


GOALS = [{"spp": 77}, {"spp": 256, "noise": 0.01}]


@pytest.mark.parametrize("goal", GOALS, ids=["uniform", "adaptive"])
def test_resumed_bits_equal_uninterrupted_ones(
    scene: Any, tmp_path: Path, goal: dict[str, Any]
) -> None:
    import drjit as dr

    from etendue.render.path.drjit import render

    options = {"seed": 5, "aovs": ("depth", "albedo"), **goal}
    whole = render(scene, **options)
    path, threads = checkpoint_path(tmp_path / "a.exr"), dr.thread_count()
    film, sizes = None, [9000, 30000, 4321, 16, 12000]
    try:
        for turn in range(200):
            dr.set_thread_count(1 + turn % 2)
            store = Store(path, "x", every_s=0.0, resume=True)
            cut = after(1 + turn % 3)
            film = render(scene, store=store, cancel=cut, pass_samples=sizes[turn % 5], **options)
            if film.complete:
                break
    finally:
        dr.set_thread_count(threads)
    assert film is not None and film.complete and turn >= 3
    np.testing.assert_array_equal(film.rgb, whole.rgb)
    np.testing.assert_array_equal(film.squares, whole.squares)
    for name, image in whole.aovs.items():
        np.testing.assert_array_equal(film.aovs[name], image)


def test_an_adaptive_crop_on_the_tiles_has_the_bits_of_the_whole(scene: Any) -> None:
    from etendue.render.path.drjit import render

    whole = render(scene, spp=256, seed=2, noise=0.01)
    crop = render(scene, spp=256, seed=2, noise=0.01, crop=(8, 16, 24, 14))
    np.testing.assert_array_equal(crop.rgb, whole.rgb[16:30, 8:32])
    assert whole.counts.max() > whole.counts.min()


def test_time_spent_before_counts(scene: Any, tmp_path: Path) -> None:
    from etendue.render.path.drjit import render

    path = checkpoint_path(tmp_path / "a.exr")
    part = render(
        scene, spp=1 << 20, seconds=1e3, cancel=after(2), store=Store(path, "x", every_s=0.0)
    )
    assert part.interrupted
    state, seconds = Store(path, "x", resume=True).load() or ({}, 0.0)
    assert seconds > 0 and state["counts"].max() > 0
    Store(path, "x").write(state, 1e3)
    film = render(scene, spp=1 << 20, seconds=1e3, store=Store(path, "x", resume=True))
    assert film.complete and 1 <= film.spp <= state["counts"].max() + 1  # no time was left


def test_foreign_and_damaged_files_are_refused(tmp_path: Path) -> None:
    store = Store(tmp_path / "a.checkpoint", "mine", resume=True)
    assert store.load() is None
    store.write({"counts": np.arange(5)}, 3.0)
    state, seconds = store.load() or ({}, 0.0)
    assert seconds == 3.0 and (state["counts"] == np.arange(5)).all()
    assert Store(store.path, "mine").load() is None  # not asked to resume
    with pytest.raises(InputError, match=r"another scene.*without --resume"):
        Store(store.path, "yours", resume=True).load()
    blob = bytearray(store.path.read_bytes())
    blob[-3] ^= 1
    store.path.write_bytes(blob)
    with pytest.raises(InputError, match=r"no usable checkpoint.*without --resume"):
        store.load()


def test_another_size_is_refused(scene: Any, tmp_path: Path) -> None:
    from etendue.render.path.drjit import render

    path = tmp_path / "a.checkpoint"
    render(scene, spp=64, store=Store(path, "x", every_s=0.0), cancel=after(1), pass_samples=999)
    with pytest.raises(InputError, match="does not fit"):
        render(scene, spp=64, crop=(0, 0, 8, 8), store=Store(path, "x", resume=True))


def test_nothing_stays_after_the_end(tmp_path: Path) -> None:
    output = tmp_path / "a[1].exr"
    names = ("a[1].exr.checkpoint", "a[1].exr.checkpoint.new", ".a[1].exr.checkpoint-k3.new")
    for name in (*names, "b.exr.checkpoint"):
        (tmp_path / name).touch()
    remove_checkpoint(output)
    assert [p.name for p in tmp_path.iterdir()] == ["b.exr.checkpoint"]


def test_identity_is_of_content() -> None:
    from etendue.scene.scene import load_scene

    a, b = (load_scene(SPHERE, parameters={"spp": "3"}) for _ in range(2))
    assert identity(a, 1, "x") == identity(b, 1, "x")
    other = load_scene(SPHERE, parameters={"spp": "4"})
    different = [identity(*p) for p in ((a, 1, "x"), (other, 1, "x"), (a, 2, "x"), (a, "1", "x"))]
    assert len(set(different)) == 4
    x, y = np.zeros((2, 3)), np.zeros((3, 2))
    assert len({identity(x), identity(y), identity(x.astype(np.float32)), identity(b"")}) == 4
    assert identity(("a", "b")) != identity(("ab",)) != identity("a", "b")
