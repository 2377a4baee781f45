"""`etendue render` of frames, of a watched scene, and with figures of its passes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from etendue.cli import main
from etendue.commands import _render_watch as watching
from etendue.core.errors import InputError
from etendue.core.image import read_image, read_metadata
from etendue.render import frames
from etendue.scene.scene import load_scene

SPHERE = str(Path(__file__).parents[2] / "assets/scenes/sphere.xml")
SMALL = ["--size", "24x18", "--spp", "4", "-q"]


def render(*args: str) -> int:
    return main(["render", SPHERE, *SMALL, *args])


def test_names_of_frames() -> None:
    assert frames.frame_path(Path("a/b.exr"), 7) == Path("a/b.0007.exr")
    assert frames.frame_path(Path("a/b-###.png"), 7) == Path("a/b-007.png")
    assert frames.frame_path(Path("b.exr"), 12345) == Path("b.12345.exr")
    assert list(frames.frame_range("-1:2")) == [-1, 0, 1, 2]
    for text in ("3", "3:1", "a:b", "0:99999999"):
        with pytest.raises(InputError, match="FIRST:LAST"):
            frames.frame_range(text)


def test_a_turn_closes_and_done_frames_are_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "t.exr"
    args = ["-o", str(out), "--turntable", "4"]
    assert render(*args, "--frames", "1:5") == 0
    pictures = [read_image(frames.frame_path(out, k)) for k in range(1, 6)]
    np.testing.assert_allclose(pictures[4], pictures[0], atol=1e-4)  # once around
    assert np.abs(pictures[1] - pictures[0]).mean() > 0.01
    before = {p: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    frames.frame_path(out, 2).unlink()
    assert render(*args, "--frames", "1:5", "--resume", "--json") == 0
    figures = json.loads(capsys.readouterr().out)
    assert [row["frame"] for row in figures["frames"]] == [2] and figures["skipped"] == 4
    after = {p: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    assert {p for p in after if after[p] != before[p]} == {frames.frame_path(out, 2)}
    assert render(*args, "--frames", "1:2", "--resume", "--seed", "1") == 0  # another picture
    assert read_metadata(frames.frame_path(out, 1))["seed"] == 1


def test_a_camera_path_gives_its_frames(tmp_path: Path) -> None:
    keys = [
        {"frame": 2, "origin": [0, 2.2, 6.2], "target": [0, 0.92, 0]},
        {"frame": 4, "origin": [3, 2, 5], "target": [0, 1, 0]},
    ]
    (tmp_path / "p.json").write_text(json.dumps({"keys": keys}))
    out = str(tmp_path / "a-##.exr")
    assert render("-o", out, "--camera-path", str(tmp_path / "p.json")) == 0
    assert sorted(p.name for p in tmp_path.glob("a*")) == ["a-02.exr", "a-03.exr", "a-04.exr"]
    assert render("-o", str(tmp_path / "still.exr")) == 0  # the first key is the file's camera
    still, first = (read_image(tmp_path / f"{n}.exr") for n in ("still", "a-02"))
    np.testing.assert_allclose(first, still, atol=2e-3)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--frames", "1:3"], "nothing moves"),
        (["--turntable", "0"], "--turntable"),
        (["--turntable", "3", "--camera-path", "x.toml"], "does not go together"),
        (["--camera-path", "gone.toml"], "gone.toml: cannot be read"),
        (["--time", "soon"], "--time"),
        (["--time", "0"], "--time"),
        (["--noise", "-1"], "--noise"),
        (["--checkpoint", "0"], "--checkpoint"),
        (["--set", "camera"], "--set"),
        (["--set", "ball.size=3"], "names nothing in the scene"),
        (["--stats", "a.txt"], "--stats"),
        (["--stats", "gone/a.json"], "--stats"),
        (["--time", "1s", "--backend", "mitsuba"], "--time: needs --backend drjit"),
    ],
)
def test_one_clear_error_and_nothing_written(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    args: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert render("-o", "a.exr", *args) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and words in lines[0], lines
    assert not list(tmp_path.iterdir())


def test_stats_add_up(tmp_path: Path) -> None:
    stats = tmp_path / "s.json"
    assert render("-o", str(tmp_path / "a.png"), "--stats", str(stats), "--time", "1s") == 0
    figures: dict[str, Any] = json.loads(stats.read_text())
    passes = figures["stats"]["passes"]
    assert sum(p["paths"] for p in passes) == figures["stats"]["paths"] == figures["samples"]
    assert figures["stats"]["segments"] > figures["stats"]["paths"]  # more than camera rays
    known = [p["noise"] for p in passes if p["noise"] is not None]
    assert known and figures["noise"] <= min(known) * 1.1


def test_noise_is_met_and_denoised_pictures_keep_the_noisy_part(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("mitsuba_oidn")
    out = str(tmp_path / "a.exr")
    assert render("-o", out, "--noise", "0.01", "--spp", "4096", "--denoise", "--json") == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["noise"] <= 0.01 and figures["denoised"]
    assert figures["parts"] == ["rgb", "noisy"]


def test_watching_renders_again_after_each_change(tmp_path: Path) -> None:
    file = tmp_path / "scene.xml"
    file.write_text("a")
    seen: list[str] = []
    said: list[str] = []
    edits = ["b", "bad", "c"]

    def once() -> list[Path]:
        if file.read_text() == "bad":
            raise InputError(file, "is bad")
        seen.append(file.read_text())
        return [file]

    def sleep(seconds: float) -> None:
        if not any("waiting" in text for text in said[-1:]):
            return  # the writer is done
        if not edits:
            raise KeyboardInterrupt
        file.write_text(edits.pop(0) + "")

    with pytest.raises(KeyboardInterrupt):
        watching.watch(once, said.append, sleep)
    assert seen == ["a", "b", "c"]
    assert any("is bad" in text for text in said) and "changed: scene.xml" in said


def test_a_change_while_rendering_is_not_missed(tmp_path: Path) -> None:
    file, seen = tmp_path / "scene.xml", []
    file.write_text("a")

    def once() -> list[Path]:
        seen.append(file.read_text())
        if len(seen) == 2:
            file.write_text("while rendering")
        return [file]

    def sleep(seconds: float) -> None:
        if len(seen) == 1:
            file.write_text("first")
        elif len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watching.watch(once, lambda text: None, sleep)
    assert seen == ["a", "first", "while rendering"]


def test_an_error_before_the_first_picture_ends(tmp_path: Path) -> None:
    def once() -> list[Path]:
        raise InputError("scene", "is bad")

    with pytest.raises(InputError):
        watching.watch(once, lambda text: None)


def test_files_of_a_scene_are_watched(tmp_path: Path) -> None:
    material = tmp_path / "m.mtlx"
    material.write_text("<materialx version='1.39'/>")
    scene = load_scene(SPHERE, assignments={"Sphere": material})
    names = {file.name for file in watching.watched(scene)}
    assert {"sphere.xml", "room.hdr", "m.mtlx"} <= names
