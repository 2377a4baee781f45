"""Graphs, pictures and bakes on a local Ray cluster of four processes."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from etendue.cli import main
from etendue.core.errors import DeviceError, InputError
from etendue.schedule import Task, TaskError
from etendue.schedule.remote import Cluster, shared

ROOT = Path(__file__).parents[2]
SPHERE = ROOT / "assets/scenes/sphere.xml"
pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'etendue[remote]'")
    with Cluster("local", workers=4) as cluster:
        yield cluster


def dying_once(marker: Path, run: Any) -> Any:
    """`run`, in a worker that is killed the first time.

    An inner function, because workers cannot import this file and get its code instead.
    """

    def inner(*args: Any) -> Any:
        if not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return run(*args)

    return inner


def test_a_graph_gives_its_results_in_order(cluster: Cluster) -> None:
    assert cluster.cores == 4
    value = cluster.share(np.arange(1000))
    pid = os.getpid()

    def total(stored: Any, k: int) -> tuple[bool, int]:
        return os.getpid() != pid, int(shared(stored).sum()) + k

    def steps(x: Any) -> Any:
        yield
        return x[1] + 1

    tasks = [Task(f"t{k}", partial(total, value, k)) for k in range(8)]
    after = [Task("after", steps, after=(task,)) for task in tasks]
    results = cluster.run(*after, *tasks)
    assert results[:8] == [499500 + k + 1 for k in range(8)]
    assert results[8:] == [(True, 499500 + k) for k in range(8)]


def test_failures_are_the_same_as_on_one_machine(cluster: Cluster) -> None:
    def wrong() -> None:
        raise ValueError("wrong")

    def user() -> None:
        raise InputError("file", "is missing")

    with pytest.raises(TaskError, match=r"bad: failed \(ValueError: wrong\)"):
        cluster.run(Task("bad", wrong))
    with pytest.raises(InputError, match="file: is missing"):
        cluster.run(Task("user", user))
    failures: list[Exception] = []
    tasks = [Task("bad", wrong), Task("good", lambda: 3)]
    assert dict(cluster.finished(*tasks, failures=failures)) == {1: 3}
    assert len(failures) == 1


def test_after_out_of_memory_the_next_variant_runs(cluster: Cluster) -> None:
    def big() -> None:
        raise MemoryError

    assert cluster.run(Task("big", big, otherwise=Task("small", lambda: 5))) == [5]


def test_a_killed_worker_is_replaced_and_one_that_always_dies_is_told(
    cluster: Cluster, tmp_path: Path
) -> None:
    assert cluster.run(Task("once", dying_once(tmp_path / "mark", lambda: 7))) == [7]

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(TaskError, match="always: failed"):
        cluster.run(Task("always", die))


def test_a_picture_in_tiles_is_that_of_one_process_even_if_workers_die(
    cluster: Cluster, tmp_path: Path
) -> None:
    from etendue.render.build import build
    from etendue.render.path.drjit import render
    from etendue.render.tiles import merge, order, render_tile, rows
    from etendue.scene.scene import load_scene

    scene = load_scene(SPHERE)
    building: dict[str, Any] = {"size": (40, 30), "spp": 20}
    built = build(scene, **building)
    options: dict[str, Any] = {
        "spp": 20, "seed": 3, "max_depth": 4, "aovs": ("depth", "albedo", "shape_id"),
    }  # fmt: skip
    alone = render(built.mi_scene, **options)
    wanted = cluster.share(order(scene, **building))
    tasks = []
    for k, crop in enumerate(rows(40, 30, 5)):
        tile = partial(render_tile, wanted, crop, 1, options)
        run = dying_once(tmp_path / str(k), tile) if k % 2 else tile  # two workers die
        tasks.append(Task(f"tile {k}", run))
    film = merge(cluster.run(*tasks), 40, 30, 20, 3)
    for name, image in alone.parts.items():
        np.testing.assert_array_equal(film.parts[name], image)
    np.testing.assert_array_equal(film.squares, alone.squares)
    np.testing.assert_array_equal(film.counts, alone.counts)
    assert film.describe() == alone.describe()
    assert film.complete


def test_bands_cover_the_picture() -> None:
    from etendue.render.tiles import rows

    for height in (1, 7, 30):
        for count in (1, 4, 50):
            seen = np.zeros((height, 5), int)
            for x, y, w, h in rows(5, height, count):
                seen[y : y + h, x : x + w] += 1
            assert (seen == 1).all()


def test_the_command_renders_on_the_cluster(
    cluster: Cluster,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("etendue.schedule.remote.Cluster", lambda address: nullcontext(cluster))
    args = ["render", str(SPHERE), "--size", "24x18", "--spp", "4", "--crop", "2,3,16,12"]
    for name, more in (("one", []), ("many", ["--cluster", "local", "--json"])):
        assert main([*args, "-o", str(tmp_path / f"{name}.exr"), *more]) == 0
    assert (tmp_path / "one.exr").read_bytes() == (tmp_path / "many.exr").read_bytes()
    assert '"cluster": "local"' in capsys.readouterr().out


def test_the_command_bakes_on_the_cluster(
    cluster: Cluster,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("etendue.schedule.remote.Cluster", lambda address: nullcontext(cluster))
    text = """<materialx version="1.39"><standard_surface name="S" type="surfaceshader">
      <input name="base_color" type="color3" value="0.8, 0.1, 0.1"/></standard_surface>
      <surfacematerial name="M" type="material"><input name="surfaceshader"
      type="surfaceshader" nodename="S"/></surfacematerial></materialx>"""
    file = tmp_path / "a.mtlx"
    file.write_text(text)
    common = ["--steps", "16", "--resolution", "2", "--arch", "2x16"]
    out = tmp_path / "baked"
    args = ["bake", str(file), "-o", str(out), "--cluster", "local", "--seeds", "0,1", *common]
    assert main([*args, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)["files"]
    assert [Path(row["file"]).name for row in figures] == ["a-seed0.eta", "a-seed1.eta"]
    assert (out / "a-seed0.eta").read_bytes() != (out / "a-seed1.eta").read_bytes()
    alone = tmp_path / "alone.eta"
    assert main(["bake", str(file), "-o", str(alone), "--seed", "1", *common]) == 0
    assert alone.read_bytes() == (out / "a-seed1.eta").read_bytes()


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        (["render", str(SPHERE), "-o", "o.png", "--backend", "naive"], "needs --backend drjit"),
        (["bake", "a.mtlx", "-o", "o.eta"], "is a folder with --cluster"),
        (["bake", "a.mtlx", "-o", "out", "--resume"], "excludes --resume"),
        (["bake", "a.mtlx", "-o", "out", "--seeds", "0,x"], "--seeds: cannot be read"),
        (["bake", "a.mtlx", "sub/a.mtlx", "-o", "out"], "two bakes would write it"),
        (["bake", "gone.mtlx", "-o", "out"], "cannot be read"),
    ],
)
def test_wrong_calls(
    args: list[str],
    problem: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*args, "--cluster", "local"]) == 2
    assert problem in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_several_seeds_need_a_cluster(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bake", "a.mtlx", "-o", "o.eta", "--seeds", "1,2"]) == 2
    assert "needs --cluster" in capsys.readouterr().err


def test_without_ray_there_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(DeviceError, match=r"needs Ray. pip install 'etendue\[remote\]'"):
        Cluster("local")


def test_an_order_is_known_by_its_content(tmp_path: Path) -> None:
    from etendue.render.tiles import order
    from etendue.scene.scene import load_scene

    scene = load_scene(SPHERE)
    assert order(scene, spp=1) == order(load_scene(SPHERE), spp=1)
    assert order(scene, spp=1) != order(scene, spp=2)
    eta = tmp_path / "a.eta"
    keys = []
    for data in (b"1", b"2"):
        eta.write_bytes(data)
        keys.append(order(replace(scene, assignments={"Sphere": eta})).key)
    assert keys[0] != keys[1]
