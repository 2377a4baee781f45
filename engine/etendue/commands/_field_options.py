"""Options that the commands about radiance fields share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from etendue.cli_support import parse_pair
from etendue.core.errors import InputError

if TYPE_CHECKING:
    from etendue.field.file import Field

Model = Annotated[str, typer.Option(help="mlp, hashgrid, vm, cp, hashvm or grid.")]
Size = Annotated[
    list[str] | None, typer.Option(help="NAME=N of a size of the model, such as size=96.")
]
Steps = Annotated[int, typer.Option(help="Training steps.")]
Rays = Annotated[int, typer.Option(help="Rays per step.")]
Seed = Annotated[int, typer.Option(help="Same seed and steps give an equal field.")]
Resume = Annotated[bool, typer.Option(help="Go on where it was interrupted.")]
Restart = Annotated[bool, typer.Option(help="Discard what was interrupted.")]
Json = Annotated[bool, typer.Option("--json", help="Print figures as JSON.")]


def sizes(texts: list[str] | None) -> dict[str, int]:
    """`--size NAME=N`, several times, as a dict."""
    found = {}
    for text in texts or []:
        name, value = parse_pair(text, "--size")
        if not value.isdecimal():
            raise InputError("--size", "cannot be read", got=text, expected="NAME=N")
        found[name] = int(value)
    return found


def check_output(output: Path) -> None:
    """Raise `InputError` for a file that would not be a field."""
    if output.suffix.lower() != ".eta":
        raise InputError(output, "is no field's name", expected="FILE.eta")


def box(option: str, text: str) -> list[float]:
    """X0,Y0,Z0,X1,Y1,Z1, the lower corner first."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) != 6 or any(a >= b for a, b in zip(values[:3], values[3:], strict=True)):
        raise InputError(option, "cannot be read", got=text, expected="X0,Y0,Z0,X1,Y1,Z1")
    return values


def change(field: Field, text: str | None) -> Field:
    """`field` without, or with nothing but, a box: cut:BOX or keep:BOX."""
    if text is None:
        return field
    from etendue.field.edit import edited

    how, _, corners = text.partition(":")
    return edited(field, how, box("--edit", corners))
