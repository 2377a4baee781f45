"""Mitsuba XML before Mitsuba sees it: refused constructs, search paths, includes."""

from __future__ import annotations

from pathlib import Path

import pytest

from etendue.core.errors import InputError
from etendue.scene.scene import load_scene

BOMB = """<?xml version="1.0"?>
<!DOCTYPE scene [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>
<scene version="3.0.0">&b;</scene>"""
EXTERNAL = """<!DOCTYPE scene [<!ENTITY x SYSTEM "file:///etc/passwd">]>
<scene version="3.0.0">&x;</scene>"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BOMB, "document type"),
        (EXTERNAL, "document type"),
        ("<scene version='3.0.0'>", "not well-formed"),
        ("P6 not xml at all", "not well-formed"),
        ("<materialx version='1.38'/>", "not a Mitsuba scene"),
        ("<scene version='3.0.0'><include filename='gone.xml'/></scene>", "included file"),
        ("<scene version='3.0.0'><include filename='self.xml'/></scene>", "nest too deeply"),
        ("", "is empty"),
    ],
)
def test_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "self.xml"
    path.write_text(text)
    with pytest.raises(InputError, match=words) as caught:
        load_scene(path)
    assert "\n" not in str(caught.value) and "self.xml" in str(caught.value)


def test_an_included_bomb_is_refused(tmp_path: Path) -> None:
    (tmp_path / "part.xml").write_text(BOMB)
    path = tmp_path / "scene.xml"
    path.write_text("<scene version='3.0.0'><include filename='part.xml'/></scene>")
    with pytest.raises(InputError, match=r"part\.xml: declares"):
        load_scene(path)
    path.write_text("<scene version='3.0.0'><include filename='$which'/></scene>")
    with pytest.raises(InputError, match=r"part\.xml: declares"):
        load_scene(path, parameters={"which": "part.xml"})


def test_missing_and_unknown_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load_scene(tmp_path / "scene.xml")
    with pytest.raises(InputError, match="no such file"):
        load_scene(tmp_path / "scene.obj")
    (tmp_path / "scene.obj").write_text("v 0 0 0")
    with pytest.raises(InputError, match=r"unknown kind of scene; got \.obj"):
        load_scene(tmp_path / "scene.obj")
    (tmp_path / "dir.xml").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        load_scene(tmp_path / "dir.xml")


def test_search_paths_are_collected_and_lines_keep_their_numbers(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    path = tmp_path / "scene.xml"
    path.write_text(
        '<scene version="3.0.0">\n<!-- <path value="no"/> -->\n<path value="there"/>\n'
        '<path\n value="gone"/>\n<shape type="sphere"/>\n</scene>'
    )
    scene = load_scene(path, search=(tmp_path,))
    assert scene.xml is not None
    assert scene.xml.folders == (tmp_path, tmp_path / "there", tmp_path)
    assert scene.notes == ('search path "gone" is not there, skipped',)
    assert "<path" not in scene.xml.text
    assert scene.xml.text.splitlines()[5] == '<shape type="sphere"/>'
