"""Sessions: immutable, undone and redone, kept on disk whatever happens."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from etendue.core.errors import InputError
from etendue.scene.camera import Camera
from etendue.view import session as module
from etendue.view.session import History, Session, load, save
from etendue.view.tonemap import Look

CAMERA = Camera((1.0, 2.0, 3.0), (0.0, 0.5, 0.0), fov_deg=30.0, aspect=1.5)


def full(folder: Path) -> Session:
    opened = Session(look=Look(1.5, "filmic"), spp=64).opened(folder / "a.xml")
    opened = opened.assigned("Ball", folder / "x.eta").assigned("Ring", folder / "y.mtlx")
    return replace(
        opened, camera=CAMERA, layer="normal", kernel="virtual", compare=True,
        references={"Ball": folder / "x.mtlx"}, bakes=(folder / "z.eta",),
    )  # fmt: skip


def test_round_trip(tmp_path: Path) -> None:
    wanted = full(tmp_path)
    save(wanted, tmp_path / "s.json")
    assert load(tmp_path / "s.json") == wanted


def test_undo_and_redo(tmp_path: Path) -> None:
    history = History(Session())
    first = replace(history.session, spp=8)
    second = replace(first, layer="depth")
    history.record(first, "samples")
    history.record(second, "layer")
    assert history.undo() == "layer" and history.session == first
    assert history.undo() == "samples" and history.session == Session()
    assert history.undo() is None
    assert history.redo() == "samples" and history.redo() == "layer"
    assert history.session == second and history.redo() is None
    history.undo()
    history.record(replace(first, spp=9), "samples")
    assert history.redo() is None  # another future


def test_a_drag_is_one_step() -> None:
    history = History(Session())
    for x in range(5):
        history.record(replace(history.session, camera=replace(CAMERA, fov_deg=20.0 + x)), "c", "c")
    history.seal()
    history.record(replace(history.session, camera=replace(CAMERA, fov_deg=50.0)), "c", "c")
    assert [history.undo(), history.undo(), history.undo()] == ["c", "c", None]


def test_recent_files_and_bakes_survive_undo(tmp_path: Path) -> None:
    history = History(Session())
    history.record(history.session.opened(tmp_path / "a.xml"), "open")
    history.record(replace(history.session, bakes=(tmp_path / "b.eta",)), "bake")
    history.undo()
    assert history.session.bakes == (tmp_path / "b.eta",)
    history.undo()
    assert history.session.recent == (tmp_path / "a.xml",) and history.session.scene is None


def test_recent_files_are_few_and_newest_first(tmp_path: Path) -> None:
    session = Session()
    for k in [*range(20), 15]:
        session = session.opened(tmp_path / f"{k}.xml")
    names = [path.stem for path in session.recent]
    assert names[:3] == ["15", "19", "18"] and len(names) == module.MAX_RECENT == len(set(names))


@pytest.mark.parametrize(
    "damage",
    [
        {"version": 99},
        {"camera": {"origin": [0, 0, 0], "target": [0, 0, 0], "up": [0, 1, 0], "fov_deg": 30}},
        {"camera": {"origin": [0, 0], "target": [0, 0, 1], "up": [0, 1, 0], "fov_deg": 30}},
        {"camera": {"origin": [0, 0, float("nan")], "target": [0, 0, 1], "up": [0, 1, 0],
                    "fov_deg": 30}},
        {"kernel": "rm -rf"},
        {"spp": 0},
        {"look": {"exposure": 0, "curve": "none"}},
        {"materials": 3},
    ],
)  # fmt: skip
def test_a_damaged_file_is_one_error(tmp_path: Path, damage: dict[str, object]) -> None:
    file = tmp_path / "s.json"
    save(full(tmp_path), file)
    file.write_text(json.dumps(json.loads(file.read_text()) | damage))
    with pytest.raises(InputError):
        load(file)


@pytest.mark.parametrize("text", ["", "[]", "{", "null", '{"version": 1}'])
def test_no_session_at_all(tmp_path: Path, text: str) -> None:
    (tmp_path / "s.json").write_text(text)
    with pytest.raises(InputError, match=r"s\.json"):
        load(tmp_path / "s.json")


def test_the_folder_of_sessions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert module.session_file() == tmp_path / "etendue" / "viewer.json"
