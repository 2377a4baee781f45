"""Mitsuba XML through Mitsuba's own parser, with files found and materials replaced."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from etendue.core.errors import InputError
from etendue.render.build_materials import Replacements, is_scalar, require_vectors
from etendue.render.build_state import ParsedState, parser_config
from etendue.scene.scene import Scene
from etendue.scene.xml import find_resource

_NOT_SURFACES = frozenset({"shapegroup", "instance", "merge"})
_OTHER_INTEGRATORS = {
    "volpath": "participating media are not rendered",
    "volpathmis": "participating media are not rendered",
}


def xml_state(mi: Any, scene: Scene, replacements: Replacements) -> ParsedState:
    """Parse, upgrade old versions, resolve references and files, replace materials."""
    assert scene.xml is not None
    config = parser_config(mi)
    raw = mi.parser.parse_string(config, scene.xml.text, **scene.xml.parameters)
    mi.parser.transform_upgrade(config, raw)
    mi.parser.transform_resolve(config, raw)
    state = ParsedState(mi, config, raw)
    _find_files(state, scene)
    for node in state.of_type("BSDF"):
        require_vectors(mi, state.props(node).plugin_name())
    _name_shapes(state)
    materials: dict[tuple[str, ...], int] = {}
    for node in _surfaces(state):
        found = replacements.find(state.props(node).id())
        if found is not None:
            plugin, values = found
            key = (plugin, *values.values())
            if key not in materials:
                name = f"material-{len(materials)}"
                materials[key] = state.append("BSDF", plugin, name, values)
            _set_bsdf(state, node, materials[key])
    if is_scalar(mi):
        from etendue.render.build_twins import take_twins

        state.twins.update(take_twins(state))
    for name in (state.props(node).plugin_name() for node in state.of_type("Integrator")):
        if name in _OTHER_INTEGRATORS:
            text = _OTHER_INTEGRATORS[name]
            state.notes.append(f"integrator {name} is replaced by path: {text}")
    return state


def _surfaces(state: ParsedState) -> list[int]:
    nodes = state.of_type("Shape")
    return [node for node in nodes if state.props(node).plugin_name() not in _NOT_SURFACES]


def _find_files(state: ParsedState, scene: Scene) -> None:
    """Make every `filename` absolute; a missing one is reported with its object."""
    assert scene.xml is not None
    files = [str(file) for file in state.state.files]
    for node in state.state.nodes:
        if "filename" not in node.props or not isinstance(node.props["filename"], str):
            continue
        name = node.props["filename"]
        file = Path(files[node.file_index]) if node.file_index < len(files) else scene.source
        folders = (file.parent, *scene.xml.folders) if file.is_absolute() else scene.xml.folders
        found = find_resource(name, folders)
        if found is None:
            kind = str(node.type).rpartition(".")[2].lower()
            label = f"{kind} {node.props.id()}".strip() + f" ({node.props.plugin_name()})"
            raise InputError(
                file if file.is_absolute() else scene.source,
                f"{label} names a file that is not there",
                got=name,
                fix="Check the path, or add its folder with --search",
            )
        node.props["filename"] = str(found)


def _name_shapes(state: ParsedState) -> None:
    """Name shapes without an id after their file, or their kind and number."""
    taken = {state.props(node).id() for node in state.of_type("Shape")} - {""}
    for number, node in enumerate(_surfaces(state)):
        props = state.props(node)
        name = props.id()
        if not name:
            if "filename" in props:
                name = Path(props["filename"]).stem
            else:
                name = f"{props.plugin_name()}{number}"
            stem, copy = name, 1
            while name in taken:
                name, copy = f"{stem}.{copy}", copy + 1
            props.set_id(name)
            taken.add(name)
        state.shape_names.append(name)


def _set_bsdf(state: ParsedState, shape: int, material: int) -> None:
    for key, _ in state.children(shape, "BSDF"):
        del state.props(shape)[key]
    state.props(shape)["bsdf"] = state.reference(material)
