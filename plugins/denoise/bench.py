"""One picture of 320 x 180, with and without guides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from etendue.plugins.denoise import model


def cases() -> Iterator[tuple[str, Callable[..., Any], dict[str, Any]]]:
    """The same picture with more and more guides."""
    inputs = model.example({"h": 180, "w": 320}, 0)
    run = model.high(0)
    for label, names in (
        ("high, color", ("color",)),
        ("high, color and albedo", ("color", "albedo")),
        ("high, color, albedo and normal", ("color", "albedo", "normal")),
    ):
        yield label, run, {name: inputs[name] for name in names}
