"""What `etendue plugins bench template_name` times; labels begin with the name of a variant."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from etendue.plugins.template_name import model


def cases() -> Iterator[tuple[str, Callable[..., Any], dict[str, Any]]]:
    """Label, function and its named inputs; ratios are taken to the first case."""
    yield "reference", model.reference, model.example({"n": 100_000}, 0)
