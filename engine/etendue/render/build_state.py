"""A parsed but not yet instantiated Mitsuba scene, and Mitsuba's errors made readable."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from etendue.core.errors import EtendueError, InputError

_OWN_ERROR = re.compile(r"(?:InputError|EtendueError|DeviceError): (.*)")
_PYTHON_FAULT = re.compile(r"Traceback \(most recent call last\):.*\n([\w.]+): [^\n]*\s*$", re.S)
_USERS_DOING = ("RuntimeError", "InputError", "DeviceError")
_NOISE = (
    (re.compile(r"Traceback \(most recent call last\):.*\n(?=[\w.]+: )", re.S), ""),
    (re.compile(r"RuntimeError: "), ""),
    (re.compile(r"\[[\w.]+:\d+\]\s*"), ""),  # [parser.cpp:451]
    (re.compile(r"\[\w+\]\s*"), ""),  # [PluginManager]
    (
        re.compile(r"(?:At|While loading|Error while loading) string \(line (\d+)[^)]*\):\s*"),
        r"line \1: ",
    ),
    (
        re.compile(r"(?:At|While loading|Error while loading) (\S+) \(line (\d+)[^)]*\):\s*"),
        r"\1 line \2: ",
    ),
)


def _count(value: Any, what: str) -> int:
    if not isinstance(value, int | float) or not math.isfinite(value) or value != int(value):
        raise InputError(what, "is no whole number", got=value)
    return int(value)


@dataclass
class ParsedState:
    """Mitsuba's parser state with the few edits that building needs.

    Nodes are named by index: appending may move them, so a node object must not be kept.
    """

    mi: Any
    config: Any
    state: Any
    shape_names: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    twins: dict[str, Any] = field(default_factory=dict)  # numpy materials by shape

    def of_type(self, kind: str) -> list[int]:
        """Nodes of an object type such as "Sensor", in file order."""
        wanted = getattr(self.mi.ObjectType, kind)
        return [index for index, node in enumerate(self.state.nodes) if node.type == wanted]

    def props(self, index: int) -> Any:
        """Properties of a node, valid until the next `append`."""
        return self.state.nodes[index].props

    @property
    def root(self) -> int:
        """The scene node."""
        return self.of_type("Scene")[0]

    def children(self, parent: int, kind: str) -> list[tuple[str, int]]:
        """(property name, node) of the children of a node that are of an object type.

        Looking does not count as use: a parameter that no plugin asks for stays an error.
        """
        wanted, found = getattr(self.mi.ObjectType, kind), []
        props = self.props(parent)
        for key in props.keys():
            queried = props.was_queried(key)
            value = props[key]
            props.mark_queried(key, queried)
            if isinstance(value, self.mi.Properties.ResolvedReference):
                if self.state.nodes[value.index()].type == wanted:
                    found.append((key, value.index()))
        return found

    def append(self, kind: str, plugin: str, name: str, values: Mapping[str, Any]) -> int:
        """Add a node that nothing refers to yet; its index."""
        props = self.mi.Properties(plugin)
        props.set_id(name)
        for key, value in values.items():
            props[key] = value
        node = self.mi.parser.SceneNode()
        node.type = getattr(self.mi.ObjectType, kind)
        node.props = props
        self.state.nodes.append(node)
        return len(self.state.nodes) - 1

    def copy(self, index: int, name: str) -> int:
        """Another node like `index` with the same children, that nothing refers to yet."""
        props, values = self.props(index), {}
        for key in list(props.keys()):
            queried = props.was_queried(key)
            values[key] = props[key]
            props.mark_queried(key, queried)
        kind = str(self.state.nodes[index].type).rpartition(".")[2]
        return self.append(kind, props.plugin_name(), name, values)

    def reference(self, index: int) -> Any:
        """Property value that refers to node `index`."""
        return self.mi.Properties.ResolvedReference(index)

    def add(self, kind: str, plugin: str, name: str, values: Mapping[str, Any]) -> None:
        """Add a child of the scene itself."""
        index = self.append(kind, plugin, name, values)
        self.props(self.root)[f"added_{index}"] = self.reference(index)

    def instantiate(self) -> Any:
        """The Mitsuba scene."""
        built = self.mi.parser.instantiate(self.config, self.state)
        return built[0] if isinstance(built, list) else built

    def integrator_depth(self) -> int | None:
        """`max_depth` of the file's integrator, None when it states none."""
        for props in map(self.props, self.of_type("Integrator")):
            if props.plugin_name() == "direct":
                return 2
            if "max_depth" in props:
                return _count(props["max_depth"], "the integrator's max_depth")
        return None

    def hides_emitters(self) -> bool:
        """Whether the file's integrator asks that lights are not seen directly."""
        found = map(self.props, self.of_type("Integrator"))
        return any("hide_emitters" in props and bool(props["hide_emitters"]) for props in found)

    def set_integrator(self, plugin: str, values: Mapping[str, Any]) -> None:
        """Replace whatever integrator the file has."""
        for key, _ in self.children(self.root, "Integrator"):
            del self.props(self.root)[key]
        self.add("Integrator", plugin, "", values)

    def sampler_count(self) -> int | None:
        """Samples per pixel the file asks for, None when it does not."""
        for props in map(self.props, self.of_type("Sampler")):
            if "sample_count" in props:
                return _count(props["sample_count"], "the sampler's sample_count")
        return None


def baked_files(state: ParsedState) -> dict[str, Path]:
    """`FILE.eta[#NAME]` of every shape that shows one, on both sides (`twosided` around it)."""
    files: dict[int, Path] = {}
    for _ in range(2):  # the materials themselves, then what wraps them
        for node in state.of_type("BSDF"):
            props = state.props(node)
            if props.plugin_name() == "neural" and "filename" in props:
                name = f"#{props['material']}" if "material" in props else ""
                files[node] = Path(props["filename"] + name)
            elif props.plugin_name() == "twosided":
                inner = [child for _, child in state.children(node, "BSDF")]
                if inner and all(child == inner[0] for child in inner) and inner[0] in files:
                    files[node] = files[inner[0]]
    return {
        state.props(shape).id(): files[child]
        for shape in state.of_type("Shape")
        for _, child in state.children(shape, "BSDF")
        if child in files
    }


def parser_config(mi: Any) -> Any:
    """Keep every shape and material as the file has it; misspelt parameters are errors."""
    config = mi.parser.ParserConfig(mi.variant())
    config.merge_meshes = False
    config.merge_equivalent = False
    config.parallel = False  # materials written in Python create device arrays
    return config


@contextmanager
def resources(mi: Any, folders: tuple[Path, ...]) -> Iterator[None]:
    """Let Mitsuba look for files in `folders` first; quiet below errors; all restored after."""
    resolver, level = mi.file_resolver(), mi.log_level()
    before = [resolver[i] for i in range(len(resolver))]
    for folder in reversed(folders):
        resolver.prepend(mi.filesystem.path(str(folder)))
    mi.set_log_level(mi.LogLevel.Error)
    try:
        yield
    finally:
        mi.set_log_level(level)
        resolver.clear()
        for folder in before:
            resolver.append(folder)


@contextmanager
def load_errors(source: Path) -> Iterator[None]:
    """Turn what Mitsuba raises while loading into one `InputError` about `source`."""
    try:
        yield
    except EtendueError:
        raise
    except RuntimeError as error:
        fault = _PYTHON_FAULT.search(str(error))
        if fault is not None and fault[1] not in _USERS_DOING:
            raise  # a fault of the program, not of the file
        raise InputError(source, readable(str(error))) from error


def readable(message: str) -> str:
    """Mitsuba's message as one line, without its source positions.

    An error of ours that was raised inside a plugin is reduced to its own sentence.
    """
    own = _OWN_ERROR.findall(message)
    if own:
        return own[-1].strip()
    for pattern, replacement in _NOISE:
        message = pattern.sub(replacement, message)
    message = message.replace(" Mesh]", "]")
    return " ".join(message.split()).rstrip(".") or "cannot be loaded"
