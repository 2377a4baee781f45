"""Radiance fields of a scene: `<volume type="field">` in XML, and those named beside the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from etendue.core.errors import InputError
from etendue.render.build_state import ParsedState
from etendue.render.placed import Placed
from etendue.scene.scene import FieldVolume, Scene

PLUGIN = "field"
_KNOWN = ("filename", "to_world", "scale", "lit")


def take_fields(state: ParsedState) -> tuple[FieldVolume, ...]:
    """Take the fields that are children of the scene out of it: Mitsuba does not know them."""
    found = []
    for key, node in state.children(state.root, "Volume"):
        props = state.props(node)
        if props.plugin_name() != PLUGIN:
            continue
        name = props.id() or key
        for entry in props.keys():
            if entry not in _KNOWN:
                raise InputError(f"volume {name}", "has no such parameter", got=entry,
                                 expected=", ".join(_KNOWN))  # fmt: skip
        if "filename" not in props:
            raise InputError(f"volume {name}", "names no file", expected="filename: an .eta file")
        turn = np.array(props["to_world"].matrix, float) if "to_world" in props else np.eye(4)
        scale = float(props["scale"]) if "scale" in props else 1.0
        lit = bool(props["lit"]) if "lit" in props else False
        place = turn.reshape(4, 4)
        found.append(FieldVolume(name, Path(props["filename"]), place, scale, lit))
        del state.props(state.root)[key]
    return tuple(found)


def placed(volumes: tuple[FieldVolume, ...]) -> tuple[Placed, ...]:
    """Read them; `InputError` for a file that is none, or a place that bends it."""
    return tuple(map(_placed, volumes))


def all_fields(scene: Scene, state: ParsedState) -> tuple[Placed, ...]:
    """Those of the file and those beside it."""
    return placed((*take_fields(state), *scene.fields))


def _placed(volume: FieldVolume) -> Placed:
    from etendue.field.file import read_field  # with torch, which few scenes need

    turn = np.asarray(volume.to_world, float)
    square = turn[:3, :3].T @ turn[:3, :3]
    side = square[0, 0]
    sound = np.isfinite(turn).all() and side > 0 and np.linalg.det(turn[:3, :3]) > 0
    if not sound or not np.allclose(square, side * np.eye(3), atol=1e-4 * side):
        raise InputError(f"volume {volume.name}", "is bent or mirrored by its to_world",
                         expected="a rotation, one scale and a place")  # fmt: skip
    if not (np.isfinite(volume.scale) and volume.scale >= 0):
        raise InputError(f"volume {volume.name}", "has a scale that cannot be", got=volume.scale)
    field = read_field(volume.path)
    cube: Any = np.eye(4)
    cube[:3, :3] *= field.cube.side
    cube[:3, 3] = np.array(field.cube.centre) - field.cube.side / 2
    return Placed(field, turn @ cube, volume.scale, volume.lit)
