"""Replacing the materials of named shapes by `.eta` and `.mtlx` files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from etendue.artifact import split_name
from etendue.core.errors import DeviceError, InputError

_PLUGINS = {".eta": "neural", ".mtlx": "layered"}


class Replacements:
    """Shape patterns and the files that replace the shapes' materials; a later one wins."""

    def __init__(self, mi: Any, files: Mapping[str, Path]) -> None:
        self.mi = mi
        self.plugins = {pattern: _plugin(pattern, Path(file)) for pattern, file in files.items()}
        self.unused = set(self.plugins)
        self.seen: list[str] = []
        self.cache: dict[Any, Any] = {}
        self.baked: dict[str, Path] = {}  # shape -> FILE.eta or FILE.eta#NAME
        self.twins: dict[str, Any] = {}  # shape -> numpy twin, only without LLVM

    def find(self, shape: str) -> tuple[str, dict[str, str]] | None:
        """(plugin type, its parameters) for a shape, None to keep its own material."""
        self.seen.append(shape)
        found = None
        for pattern, plugin in self.plugins.items():
            if pattern == shape or fnmatchcase(shape, pattern):
                self.unused.discard(pattern)
                found = plugin
        if found is not None:
            require_vectors(self.mi, found[0])
            if found[0] == "neural":
                name = f"#{found[1]['material']}" if "material" in found[1] else ""
                self.baked[shape] = Path(found[1]["filename"] + name)
        return found

    def object(self, shape: str) -> Any | None:
        """The replacing BSDF object for a shape, made once for each file."""
        found = self.find(shape)
        if found is None:
            return None
        plugin, values = found
        key = (plugin, *values.values())
        if is_scalar(self.mi):
            from etendue.render.build_twins import NeuralTwin

            if key not in self.cache:
                self.cache[key] = NeuralTwin.load(values["filename"], values.get("material"))
            self.twins[shape] = self.cache[key]
            return self.mi.load_dict({"type": "diffuse"})
        if key not in self.cache:
            self.cache[key] = self.mi.load_dict({"type": plugin, **values})
        return self.cache[key]

    def require_all_used(self, source: Path) -> None:
        """Complain about the first name that no shape has."""
        for pattern in self.plugins:
            if pattern in self.unused:
                raise InputError(
                    source, f"has no shape '{pattern}'", fix=f"Shapes: {_listing(self.seen)}"
                )


def is_scalar(mi: Any) -> bool:
    """Whether the active variant has no arrays, hence no kernels for inline materials."""
    return mi.variant().startswith("scalar")


def require_vectors(mi: Any, plugin: str) -> None:
    """The layered walk runs on arrays only: without LLVM there is no variant for it."""
    if plugin == "layered" and is_scalar(mi):
        raise DeviceError(
            "material of type 'layered'",
            "needs a usable LLVM",
            fix="See `etendue doctor`; baked materials and Mitsuba's own render without",
        )


def _listing(names: Iterable[str], limit: int = 20) -> str:
    names = list(names)
    text = ", ".join(names[:limit])
    return text + (f" and {len(names) - limit} more" if len(names) > limit else "")


def _plugin(shape: str, file: Path) -> tuple[str, dict[str, str]]:
    """Plugin for `FILE.eta` or `FILE.mtlx`, of several materials `FILE#MATERIAL`."""
    file, name = split_name(file)
    plugin = _PLUGINS.get(file.suffix.lower())
    if plugin is None:
        raise InputError(
            f"--material {shape}",
            "unknown kind of material file",
            got=file.name,
            expected=".eta or .mtlx",
        )
    if not file.is_file():
        raise InputError(file, "no such file", fix="Check the path given to --material")
    values = {"filename": str(file.resolve())}
    return plugin, values | ({"material": name} if name else {})
