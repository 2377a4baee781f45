"""Where the files that belong to étendue lie: beside the source in a checkout, or in the wheel."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def checkout() -> Path | None:
    """The root of the checkout that this package runs from; `None` when installed as a wheel."""
    root = PACKAGE.parents[1]
    return root if PACKAGE.parent.name == "engine" and (root / "pyproject.toml").is_file() else None


def assets() -> Path:
    """The folder of the materials and scenes that come with étendue."""
    root = checkout()
    return PACKAGE / "assets" if root is None else root / "assets"


def shaders() -> Path:
    """The folder of the Slang shaders."""
    root = checkout()
    return PACKAGE / "shaders" if root is None else root / "shaders"
