"""Mitsuba XML scenes: safety checks and search paths; Mitsuba's own parser does the rest."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from xml.etree.ElementTree import Element

from etendue.core.errors import InputError
from etendue.scene.safe_xml import read_xml
from etendue.scene.scene import MitsubaXml, Scene

MAX_INCLUDES = 15
_PATH_ELEMENT = re.compile(r"<path\s[^<>]*?(/>|>\s*</path>)")
_COMMENT = re.compile(r"<!--.*?-->", re.S)
_PARAMETER = re.compile(r"\$(\w+)")
_NEWLINES_KEPT = re.compile(r"[^\n]")


def load_xml(
    path: Path,
    parameters: Mapping[str, str],
    search: tuple[Path, ...],
    assignments: Mapping[str, Path],
) -> Scene:
    """Check a Mitsuba XML file and everything it includes, and note where resources may lie.

    `<path value="..."/>` adds a folder, relative to the file; one that is absent is noted and
    skipped rather than fatal, because resources may be found elsewhere.
    """
    path = path.resolve()
    text, root = read_xml(path)
    if root.tag != "scene":
        raise InputError(path, "is not a Mitsuba scene", got=f"<{root.tag}>", expected="<scene>")
    folders, notes = [path.parent], []
    for element in root.iter("path"):
        value = element.get("value") or element.get("filename") or ""
        folder = path.parent / value
        if folder.is_dir():
            folders.append(folder)
        else:
            notes.append(f'search path "{value}" is not there, skipped')
    folders += [Path(folder).resolve() for folder in search]
    defaults = {e.get("name", ""): e.get("value", "") for e in root.iter("default")}
    _check_includes(path, root, tuple(folders), {**defaults, **parameters}, 0)
    text = _modernise(_blank(_COMMENT, text), root.get("version", ""))
    source = MitsubaXml(_blank(_PATH_ELEMENT, text), tuple(folders), dict(parameters))
    return Scene(path, "mitsuba-xml", xml=source, assignments=assignments, notes=tuple(notes))


def _blank(pattern: re.Pattern[str], text: str) -> str:
    return pattern.sub(lambda match: _NEWLINES_KEPT.sub(" ", match[0]), text)


def _modernise(text: str, version: str) -> str:
    """Scenes of Mitsuba 0.x spell two elements differently; the rest Mitsuba upgrades itself."""
    if not version.startswith("0."):
        return text
    return text.replace("<lookAt", "<lookat").replace("</lookAt", "</lookat")


def _check_includes(
    path: Path, root: Element, folders: tuple[Path, ...], values: Mapping[str, str], depth: int
) -> None:
    for element in root.iter("include"):
        name = _PARAMETER.sub(lambda m: values.get(m[1], m[0]), element.get("filename", ""))
        found = find_resource(name, (path.parent, *folders))
        if found is None:
            raise InputError(path, "included file not found", got=name)
        if depth >= MAX_INCLUDES:
            raise InputError(path, "includes nest too deeply", expected=f"at most {MAX_INCLUDES}")
        _check_includes(found, read_xml(found)[1], folders, values, depth + 1)


def find_resource(name: str, folders: tuple[Path, ...]) -> Path | None:
    """First existing file `name` (absolute, or relative to one of `folders`)."""
    for folder in folders:
        candidate = folder / name
        if candidate.is_file():
            return candidate.resolve()
    return None
