"""Where the files that belong to étendue lie: beside the source in a checkout, or in the wheel."""

from __future__ import annotations

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
PLUGINS_VARIABLE = "ETENDUE_PLUGINS"


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


def plugins() -> Path:
    """The folder of the plugins that come with étendue."""
    root = checkout()
    return PACKAGE / "plugins" if root is None else root / "plugins"


def plugin_folders() -> tuple[Path, ...]:
    """Where plugins are looked for: étendue's own, then the folders that $ETENDUE_PLUGINS lists."""
    named = os.environ.get(PLUGINS_VARIABLE, "").split(os.pathsep)
    return (plugins(), *(Path(name).absolute() for name in named if name))
