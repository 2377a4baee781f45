"""`etendue version`."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import Annotated

import typer

from etendue import __version__
from etendue.cli_support import print_json

EXAMPLES = ("etendue version --json",)
PARTS = ("drjit", "mitsuba", "torch", "numpy", "MaterialX", "karellen-llvm-core", "slangpy")


def run(
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the version of étendue and of the libraries it stands on."""
    rows: dict[str, str | None] = {"etendue": __version__, "python": platform.python_version()}
    rows |= {name: _version(name) for name in PARTS}
    if json:
        print_json(rows)
        return
    for name, value in rows.items():
        print(f"{name:<20}{value or 'not installed'}")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
