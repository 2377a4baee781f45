"""`etendue field show`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from etendue.core.errors import InputError

EXAMPLES = ("etendue field show f.eta -o f.png", "etendue field show f.eta -o f.png --views 8")


def run(
    field: Annotated[Path, typer.Argument(help="The .eta file of a field.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The .png file.")],
    views: Annotated[int, typer.Option(help="How many, from around.")] = 4,
    size: Annotated[int, typer.Option(help="Pixels per side of each.")] = 128,
) -> None:
    """Draw a field from around, side by side before white."""
    import numpy as np

    from etendue.bake.field_judge import show
    from etendue.core.image import write_png
    from etendue.field.file import read_field

    if output.suffix.lower() != ".png":
        raise InputError(output, "unknown kind of picture", expected=".png")
    for option, value, most in (("--views", views, 64), ("--size", size, 2048)):
        if not 1 <= value <= most:
            raise InputError(option, "is out of range", got=value, expected=f"1..{most}")
    pictures = show(read_field(field), views, size)
    write_png(output, np.concatenate(pictures, 1), encode=False)
    print(f"{output}: {views} views")
