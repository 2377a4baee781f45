"""Finding plugins: in étendue's folder, in those of $ETENDUE_PLUGINS, and by entry points.

Nothing of a plugin is imported to find it. One that cannot be used is listed with its reason, and
the others do not notice.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from etendue import plugins
from etendue.core.errors import EtendueError, InputError
from etendue.layout import PLUGINS_VARIABLE, plugin_folders
from etendue.plugins.manifest import FILE, Manifest, read_manifest

GROUP = "etendue.plugins"
RESERVED = (
    "manifest",
    "registry",
    "slots",
    "variants",
    "measure",
    "conformance",
)  # modules of this package


class PluginError(EtendueError):
    """A plugin is broken: its files, its import, or what it returns."""


@dataclass(frozen=True)
class Listed:
    """One plugin that was found: its manifest, or why there is none."""

    name: str
    origin: str  # "étendue", "$ETENDUE_PLUGINS" or the name of a distribution
    folder: Path | None
    manifest: Manifest | None
    reason: str = ""  # why it is broken


def scan() -> tuple[Listed, ...]:
    """Every plugin there is, drafts and broken ones included, by name; reads files only."""
    plugins.extend_path()
    listed: dict[str, Listed] = {}
    for found in (*_in_folders(), *_by_entry_points()):
        first = listed.get(found.name)
        if first is None:
            listed[found.name] = found
        elif first.folder != found.folder:
            key = f"{found.name} ({found.origin})"
            reason = f"the name is taken by {first.folder}"
            listed[key] = Listed(key, found.origin, found.folder, None, reason)
    return tuple(listed[name] for name in sorted(listed))


def find(name: str) -> Manifest:
    """The manifest of the plugin `name`; `InputError` with the reason or with similar names."""
    listed = {found.name: found for found in scan()}
    found = listed.get(name)
    if found is not None and found.manifest is not None:
        return found.manifest
    if found is not None:
        raise InputError(name, f"is a broken plugin ({found.reason})")
    near = difflib.get_close_matches(name, listed, n=3) or sorted(listed)
    raise InputError(
        "plugins",
        "no such plugin",
        got=name,
        expected=", ".join(near),
        fix="`etendue plugins list`",
    )


def load(manifest: Manifest, entry: str) -> Any:
    """Import what `module:attribute` names in the plugin's folder; any fault is a `PluginError`."""
    module, _, attribute = entry.partition(":")
    try:
        return getattr(importlib.import_module(f"{manifest.module}.{module}"), attribute)
    except (Exception, SystemExit) as error:  # foreign code: whatever it raises is its own fault
        what = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise PluginError(manifest.name, f"{entry} cannot be loaded ({what})") from error


def _in_folders() -> Iterator[Listed]:
    for index, folder in enumerate(plugin_folders()):
        origin = f"${PLUGINS_VARIABLE}" if index else "étendue"
        if index and not folder.is_dir():
            yield Listed(str(folder), origin, folder, None, f"${PLUGINS_VARIABLE}: no such folder")
            continue
        for file in sorted(folder.glob(f"*/{FILE}")):
            name = file.parent.name
            if name[0] not in "_.":
                yield _read(name, origin, file.parent, f"{plugins.__name__}.{name}")


def _by_entry_points() -> Iterator[Listed]:
    for point in metadata.entry_points(group=GROUP):
        origin = point.dist.name if point.dist is not None else "entry point"
        folder = _folder_of(point.module)
        if folder is None or not (folder / FILE).is_file():
            reason = f"{origin}: the package {point.module} has no {FILE}"
            yield Listed(point.name, origin, folder, None, reason)
        elif point.name != folder.name:
            reason = f"{origin}: the entry point must have the name of its folder, {folder.name}"
            yield Listed(point.name, origin, folder, None, reason)
        else:
            yield _read(point.name, origin, folder, point.module)


def _folder_of(module: str) -> Path | None:
    """Where a package lies, without importing it or what it lies in."""
    top, *inner = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    for root in (spec.submodule_search_locations or ()) if spec is not None else ():
        folder = Path(root, *inner)
        if folder.is_dir():
            return folder
    return None


def _read(name: str, origin: str, folder: Path, module: str) -> Listed:
    if name in RESERVED:
        return Listed(name, origin, folder, None, f"the name {name} is reserved")
    try:
        return Listed(name, origin, folder, read_manifest(folder, module))
    except EtendueError as error:
        return Listed(name, origin, folder, None, str(error))
