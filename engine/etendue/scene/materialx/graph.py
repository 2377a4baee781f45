"""Evaluating MaterialX node graphs per texel with numpy.

Choice: the library's *node definitions* are used, not its shader generation. Generated shaders
(GLSL, OSL, Slang) need a GPU or another run-time and return one shaded value; baking needs every
parameter of every lobe as an array. So a node whose definition is a node graph (in the library or
in the document) is evaluated by walking that graph, and only the roughly 90 nodes that MaterialX
itself implements in shader source have numpy twins (`primitives.py`, `sources.py`, `noise.py`).

Values are float64 arrays (h, w, k) with h, w in {1, resolution}: a constant stays (1, 1, k) all
the way, so what does not vary is never expanded. The grid is the unit uv square: texel (row i,
column j) has u = (j + 0.5)/n and, MaterialX's v pointing up, v = 1 - (i + 0.5)/n. Geometry is a
flat patch: position = (u, v, 0), normal +z, tangent +x, bitangent +y.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from etendue.core.color import srgb_to_linear
from etendue.core.errors import InputError
from etendue.scene.materialx.primitives import PRIMITIVES
from etendue.scene.materialx.textures import FileReference, ImageStore

Array = np.ndarray
TARGET = "genglsl"
COMPONENTS = {
    "float": 1, "integer": 1, "boolean": 1, "vector2": 2, "vector3": 3, "vector4": 4,
    "color3": 3, "color4": 4, "matrix33": 9, "matrix44": 16,
}  # fmt: skip
# Older and alternative spellings of the colour spaces that the library converts.
_SPACES = {"gamma18": "g18_rec709", "gamma22": "g22_rec709", "srgb": "srgb_texture"}
_LINEAR = ("", "lin_rec709", "linear", "lin_srgb", "none", "raw")


@dataclass(frozen=True, eq=False)
class Scope:
    """Where the interface inputs of a graph get their values from."""

    owner: Any  # the node that instantiates the graph, or a node graph with its own inputs
    nodedef: Any  # definition with the defaults, None for a plain node graph
    outer: Scope | None
    bound: Mapping[str, Any] = field(default_factory=dict)  # values given directly


@dataclass
class Evaluator:
    """Evaluates inputs and nodes of one document on an n x n grid, each node once."""

    path: Path
    resolution: int
    images: ImageStore = field(default_factory=ImageStore)
    notes: dict[str, None] = field(default_factory=dict)  # ordered set
    _values: dict[tuple[str, str, int], Any] = field(default_factory=dict)
    _scopes: dict[tuple[str, int], Scope] = field(default_factory=dict)
    _running: set[tuple[str, str, int]] = field(default_factory=set)

    def input(self, node: Any, name: str, scope: Scope | None = None) -> Any:
        """Value of an input of `node`: connected, given, or its definition's default."""
        element = node.getInput(name)
        if element is None:
            nodedef = node.getNodeDef()
            element = nodedef.getActiveInput(name) if nodedef is not None else None
            if element is None:
                raise self._error(node, f"has no input '{name}'")
            self._require_file(node, element)
        return self._element(element, scope)

    def has_input(self, node: Any, name: str) -> bool:
        """Whether the node or its definition declares the input."""
        return node.getInput(name) is not None or (
            node.getNodeDef() is not None and node.getNodeDef().getActiveInput(name) is not None
        )

    def inner(self, node: Any, name: str, scope: Scope | None, output: str = "") -> Any:
        """Value of the node called `name` inside the library graph that defines `node`."""
        nodedef = node.getNodeDef()
        inside = nodedef.getImplementation(TARGET).getNode(name)
        return self.node(inside, output, self.scope(node, nodedef, scope))

    def implementation(
        self, node: Any, output: str, scope: Scope | None
    ) -> tuple[Any, str, Scope | None] | None:
        """What feeds an output of the graph that defines `node`; None for a native node."""
        nodedef = node.getNodeDef()
        found = nodedef.getImplementation(TARGET) if nodedef is not None else None
        if found is None or found.getCategory() != "nodegraph":
            return None
        return self.source(_output(found, output), self.scope(node, nodedef, scope))

    @contextmanager
    def visiting(self, node: Any, scope: Scope | None) -> Iterator[None]:
        """Guard a recursive visit of `node`: meeting it again inside is a cycle."""
        key = (node.getNamePath(), "visit", id(scope))
        if key in self._running:
            raise self._error(node, "is part of a cycle")
        self._running.add(key)
        yield
        self._running.discard(key)

    def scope(self, owner: Any, nodedef: Any, outer: Scope | None) -> Scope:
        """The scope of `owner`'s graph; the same object for the same arguments."""
        key = (owner.getNamePath(), id(outer))
        if key not in self._scopes:
            self._scopes[key] = Scope(owner, nodedef, outer)
        return self._scopes[key]

    def source(self, element: Any, scope: Scope | None) -> tuple[Any, str, Scope | None] | None:
        """Node, output name and scope that an input or output is connected to, or None."""
        while True:
            interface = element.getAttribute("interfacename")
            if interface:
                element, scope = self._interface(element, interface, scope)
                continue
            graph_name, node_name = (element.getAttribute(a) for a in ("nodegraph", "nodename"))
            output = element.getAttribute("output")
            parent = _graph_of(element)
            if graph_name:
                graph = _child(parent, graph_name)
                if graph is None:
                    raise self._error(element, f"names no node graph: '{graph_name}'")
                scope = self.scope(graph, None, scope)
                element = _output(graph, output)
            elif node_name:
                node = _child(parent, node_name)
                if node is None:
                    raise self._error(element, f"is connected to nothing: '{node_name}'")
                if node.getCategory() != "nodegraph":
                    return node, output, scope
                scope = self.scope(node, None, scope)
                element = _output(node, output)
            elif output:
                element = parent.getOutput(output)
            else:
                return None
            if element is None:
                raise self._error(parent, f"has no output '{output}'")

    def _element(self, element: Any, scope: Scope | None) -> Any:
        while element.getAttribute("interfacename"):
            name = element.getAttribute("interfacename")
            if scope is not None and name in scope.bound:
                return scope.bound[name]
            space = element.getAttribute("colorspace")
            element, scope = self._interface(element, name, scope)
            if space and element.getType() == "filename" and not self.source(element, scope):
                return self._file(element, space)
        source = self.source(element, scope)
        if source is not None:
            return self._as_type(element, self.node(*source))
        return self._constant(element)

    def _as_type(self, element: Any, value: Any) -> Any:
        """What a connection carries, with as many components as its end declares."""
        size = COMPONENTS.get(element.getType())
        if size is None or not isinstance(value, np.ndarray) or value.shape[-1] == size:
            return value
        if 1 < value.shape[-1] < size:
            got = f"{value.shape[-1]} components"
            raise self._error(element, "is connected to another type", got=got, expected=size)
        return np.broadcast_to(value[..., :size], (*value.shape[:2], size))

    def _interface(self, element: Any, name: str, scope: Scope | None) -> tuple[Any, Scope | None]:
        if scope is None:
            raise self._error(element, f"refers to interface input '{name}' outside a node graph")
        found = scope.owner.getInput(name)
        if found is None and scope.nodedef is not None:
            found = scope.nodedef.getActiveInput(name)
        if found is None:
            raise self._error(element, f"refers to an unknown interface input '{name}'")
        if found.getParent().getCategory() == "nodedef":
            self._require_file(scope.owner, found)
        return found, scope.outer

    def _require_file(self, node: Any, default: Any) -> None:
        if default.getType() == "filename" and not default.getValueString():
            raise self._error(node, f"names no image: its input '{default.getName()}' is empty")

    def _constant(self, element: Any) -> Any:
        kind = element.getType()
        if kind == "filename":
            return self._file(element, element.getActiveColorSpace())
        if kind == "string":
            return element.getValueString()
        geometry = element.getAttribute("defaultgeomprop")
        if geometry and not element.hasValueString():
            return self.geometry(geometry)
        size = COMPONENTS.get(kind)
        if size is None:
            return None
        text = element.getValueString()
        if not text:
            return np.zeros((1, 1, size))
        if kind == "boolean":
            return np.full((1, 1, 1), float(text.strip().lower() == "true"))
        try:
            numbers = [float(part) for part in text.split(",")]
            value = np.array(numbers, np.float64).reshape(1, 1, size)
        except ValueError as error:
            raise self._error(element, f"is no {kind}: '{text}'") from error
        if not np.isfinite(value).all():
            raise self._error(element, f"is not finite: '{text}'")
        if kind in ("color3", "color4"):
            return self.to_linear(value, element.getActiveColorSpace(), element)
        return value

    def _file(self, element: Any, space: str) -> FileReference:
        where = f"{self.path}: input '{element.getNamePath()}'"
        resolved = element.getResolvedValueString()
        if not resolved:
            raise InputError(where, "names no image file")
        return FileReference(where, self.path.parent / resolved, space)

    def to_linear(self, value: Array, space: str, element: Any) -> Array:
        """Convert colours to linear Rec. 709 with the library's own colour-space graphs."""
        space = _SPACES.get(space, space)
        if space in _LINEAR:
            return value
        if space == "srgb_texture":  # the library's graph is this formula, only slower
            linear = srgb_to_linear(value[..., :3])
            return np.concatenate([linear, value[..., 3:]], axis=-1)
        library = element.getDocument().getDataLibrary() or element.getDocument()
        kind = "color3" if value.shape[-1] == 3 else "color4"
        nodedef = library.getNodeDef(f"ND_{space}_to_lin_rec709_{kind}")
        if nodedef is None:
            raise self._error(element, f"has an unknown colour space '{space}'")
        output = nodedef.getImplementation(TARGET).getOutputs()[0]
        scope = Scope(None, nodedef, None, {"in": value})
        return Evaluator(self.path, self.resolution)._element(output, scope)

    def geometry(self, name: str) -> Array:
        """Geometric property of the unit patch by its MaterialX geomprop name."""
        if name.startswith("UV"):
            return self.texcoord()
        if name[0] == "P":
            return np.concatenate([self.texcoord(), np.zeros((*self._grid(), 1))], axis=-1)
        if name[0] == "V":
            self.notes["view direction in the node graph: the normal direction is used"] = None
        axis = {"N": 2, "V": 2, "T": 0, "B": 1}.get(name[0])
        if axis is None:
            raise InputError(f"{self.path}: geometric property '{name}'", "is not known")
        return np.eye(3)[axis].reshape(1, 1, 3)

    def _grid(self) -> tuple[int, int]:
        return self.resolution, self.resolution

    def texcoord(self) -> Array:
        """(n, n, 2) coordinates of the texel centres, v upwards."""
        centres = (np.arange(self.resolution) + 0.5) / self.resolution
        u, v = np.meshgrid(centres, 1.0 - centres)
        return np.stack([u, v], axis=-1)

    def node(self, node: Any, output: str, scope: Scope | None) -> Any:
        """Value of one output of a node."""
        key = (node.getNamePath(), output, id(scope))
        if key in self._values:
            return self._values[key]
        if key in self._running:
            raise self._error(node, "is part of a cycle")
        nodedef = node.getNodeDef()
        if nodedef is None:
            raise self._error(node, "is of an unknown kind", got=f"<{node.getCategory()}>")
        self._running.add(key)
        implementation = nodedef.getImplementation(TARGET)
        if implementation is not None and implementation.getCategory() == "nodegraph":
            element = _output(implementation, output)
            value = self._element(element, self.scope(node, nodedef, scope))
        else:
            value = self._primitive(node, nodedef, output, scope)
        self._running.discard(key)
        self._values[key] = value
        return value

    def _primitive(self, node: Any, nodedef: Any, output: str, scope: Scope | None) -> Any:
        from etendue.scene.materialx.sources import SOURCES

        category = nodedef.getNodeString()
        if category in SOURCES:
            value = SOURCES[category](Call(self, node, nodedef, output, scope))
        elif category in PRIMITIVES:
            names, function = PRIMITIVES[category]
            value = function(*(self._argument(node, name, scope) for name in names.split()))
        else:
            raise self._error(
                node,
                "is a node that this program cannot evaluate",
                got=f"<{category}>",
                fix="Bake it to an image, or replace it",
            )
        size = COMPONENTS.get(_output(nodedef, output).getType())
        if size is not None and value.shape[-1] != size:
            value = np.broadcast_to(value[..., :size], (*value.shape[:2], size))
        return value

    def _argument(self, node: Any, name: str, scope: Scope | None) -> Any:
        if name.endswith("?"):
            name = name[:-1]
            return self.input(node, name, scope) if self.has_input(node, name) else None
        return self.input(node, name, scope)

    def _error(self, element: Any, problem: str, **more: Any) -> InputError:
        return InputError(f"{self.path}: '{element.getNamePath()}'", problem, **more)


@dataclass(frozen=True)
class Call:
    """One evaluation of a source node: its inputs by name."""

    evaluator: Evaluator
    node: Any
    nodedef: Any
    output: str
    scope: Scope | None

    def __getitem__(self, name: str) -> Any:
        return self.evaluator.input(self.node, name, self.scope)

    @property
    def components(self) -> int:
        """Number of components of the requested output."""
        return COMPONENTS[_output(self.nodedef, self.output).getType()]


def _graph_of(element: Any) -> Any:
    """The graph whose nodes an input (of a node or node graph) or an output may name."""
    parent = element.getParent()
    return parent if element.getCategory() == "output" else parent.getParent()


def _child(graph: Any, name: str) -> Any:
    found = graph.getChild(name)
    return found if found is not None else graph.getDocument().getChild(name)


def _output(graph: Any, name: str) -> Any:
    outputs = graph.getActiveOutputs()
    for element in outputs:
        if element.getName() == name:
            return element
    if name and len(outputs) > 1:
        return None
    return outputs[0] if outputs else None
