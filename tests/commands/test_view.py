"""`etendue view` up to its window: what is missing is said, what crashed goes on."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from etendue import cli
from etendue.core.errors import InputError
from etendue.scene.camera import Camera
from etendue.view.session import Session, load, save, session_file

ROOT = Path(__file__).parents[2]
SCENE = ROOT / "assets" / "scenes" / "sphere.xml"
CAMERA = Camera((1.0, 2.0, 3.0), (0.0, 0.0, 0.0))


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Arguments of the window instead of a window."""
    pytest.importorskip("PyQt6.QtWidgets", reason="PyQt6 or a library that it loads is not here")
    from etendue.view import qt_app

    calls: list[Any] = []
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    monkeypatch.setattr(qt_app, "run", lambda *args: calls.append(args) or 0)
    yield calls


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["view", "--help"]) == 0
    text = capsys.readouterr().out
    assert "etendue view scene.xml --material Ball=varnish.eta" in text and "PyQt6" in text


def test_without_pyqt(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "PyQt6" else find(name, *a)
    )
    assert cli.main(["view", str(SCENE)]) == 3
    said = capsys.readouterr().err
    assert "needs PyQt6" in said and 'pip install "etendue[viewer]"' in said


def test_without_a_display(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("PyQt6.QtWidgets", reason="PyQt6 or a library that it loads is not here")
    for name in ("QT_QPA_PLATFORM", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert cli.main(["view", str(SCENE)]) == 3
    said = capsys.readouterr().err
    assert "finds no display" in said and "xvfb-run" in said


def test_a_new_session(shown: list[Any], tmp_path: Path) -> None:
    (tmp_path / "m.mtlx").touch()
    arguments = ["view", str(SCENE), "--material", f"Sphere={tmp_path / 'm.mtlx'}", "--spp", "9"]
    assert cli.main([*arguments, "-D", "width=80", "--set", "emitters.scale=2"]) == 0
    session, keep, loading = shown[0]
    assert session.scene == SCENE and session.spp == 9 and not session.clean
    assert session.materials == {"Sphere": tmp_path / "m.mtlx"}
    assert session.recent == (SCENE,) and keep == session_file()
    assert loading.parameters == {"width": "80"} and loading.edits == {"emitters.scale": "2"}


@pytest.mark.parametrize(("clean", "options", "restored"), [
    (False, [], True), (True, [], False), (False, ["--fresh"], False),
])  # fmt: skip
def test_a_session_that_crashed_goes_on(
    shown: list[Any], capsys: pytest.CaptureFixture[str], clean: bool, options: list[str],
    restored: bool,
) -> None:  # fmt: skip
    before = replace(Session().opened(SCENE), camera=CAMERA, layer="normal", clean=clean)
    save(before, session_file())
    assert cli.main(["view", str(SCENE), *options]) == 0
    session = shown[0][0]
    assert (session.camera == CAMERA) is restored
    assert ("cut short" in capsys.readouterr().err) is restored


def test_without_a_scene_the_last_session_goes_on(
    shown: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["view"]) == 2
    assert "no last session" in capsys.readouterr().err
    save(replace(Session().opened(SCENE), camera=CAMERA, clean=True), session_file())
    assert cli.main(["view"]) == 0
    assert shown[0][0].camera == CAMERA


def test_a_damaged_session_is_no_hindrance(
    shown: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    session_file().parent.mkdir(parents=True)
    session_file().write_text(json.dumps({"version": 1, "scene": 3}))
    with pytest.raises(InputError):
        load(session_file())
    assert cli.main(["view", str(SCENE)]) == 0
    assert "is no session" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [
    ["absent.xml"], [str(SCENE), "--spp", "0"], [str(SCENE), "--set", "nonsense"],
    [str(SCENE), "--material", "Sphere"], [str(SCENE), "--search", "/absent/folder"],
])  # fmt: skip
def test_bad_input(
    shown: list[Any], capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert cli.main(["view", *arguments]) == 2
    assert capsys.readouterr().err.startswith("error: ") and not shown
