"""What a plugin promises and how plugins are found; importing this imports none of them.

The folders that hold plugins are appended to the path of this package, so that the file
`plugins/denoise/model.py` has the name `etendue.plugins.denoise.model` wherever the folder lies.
"""

from __future__ import annotations

from etendue.layout import plugin_folders


def extend_path() -> None:
    """Append the folders of plugins, as the environment names them now, to the package's path."""
    for folder in map(str, plugin_folders()):
        if folder not in __path__:
            __path__.append(folder)


extend_path()
