"""Changes of a scene by name, such as `camera.fov=35`: a new description, the file stays."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from etendue.core.errors import InputError


def parse_edits(texts: Iterable[str], option: str = "--set") -> dict[str, str]:
    """`OBJECT.NAME=VALUE` as {"OBJECT.NAME": "VALUE"}; a later one wins."""
    edits = {}
    for text in texts:
        name, sign, value = text.partition("=")
        place, dot, entry = name.strip().rpartition(".")
        if not (sign and dot and place and entry and value.strip()):
            raise InputError(
                option, "cannot be read", got=repr(text), expected="OBJECT.NAME=VALUE",
                fix="For example camera.fov=35 or emitters.scale=2",
            )  # fmt: skip
        edits[name.strip()] = value.strip()
    return edits


def numbers(name: str, text: str, counts: tuple[int, ...]) -> list[float]:
    """`1` or `1,2,3` as finite floats, as many as one of `counts`."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) not in counts or not all(map(math.isfinite, values)):
        shapes = " or ".join("a number" if c == 1 else ",".join("XYZW"[:c]) for c in counts)
        raise InputError(name, "has an unusable value", got=repr(text), expected=shapes)
    return values


def camera_edits(settings: Mapping[str, tuple[float, ...]]) -> dict[str, str]:
    """Settings of a camera path as edits."""
    return {f"camera.{k}": ",".join(repr(x) for x in v) for k, v in settings.items()}
