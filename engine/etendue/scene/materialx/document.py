"""Reading a MaterialX document safely and choosing the material in it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from etendue.core.errors import InputError

MAX_DOCUMENT_BYTES = 64 << 20
MAX_DEPTH = 32  # of nested elements; a node's input in a node graph is at depth 4


@dataclass(frozen=True)
class MaterialDocument:
    """A validated document, the chosen surface shader and every file that was read for it."""

    path: Path
    document: Any  # MaterialX.Document
    material: Any  # MaterialX.Node of type material, or of type surfaceshader
    files: tuple[Path, ...]  # the document and what it includes


@cache
def standard_library() -> Any:
    """The node definitions shipped with the MaterialX package (stdlib, pbrlib, bxdf, cmlib)."""
    import MaterialX

    library = MaterialX.createDocument()
    MaterialX.loadLibraries(
        MaterialX.getDefaultDataLibraryFolders(), MaterialX.getDefaultDataSearchPath(), library
    )
    return library


def open_document(path: str | Path, name: str | None) -> MaterialDocument:
    """Read and validate `path` and choose the material `name` (the only one when None)."""
    import MaterialX

    path = Path(path)
    files = _checked_files(path)
    document = MaterialX.createDocument()
    try:
        MaterialX.readFromXmlFile(document, str(path))
    except MaterialX.Exception as error:
        raise InputError(path, f"is not a MaterialX document ({_first_line(error)})") from error
    document.setDataLibrary(standard_library())
    _require_known_nodes(path, document)
    valid, message = document.validate()
    if not valid:
        raise InputError(path, f"is not a valid MaterialX document ({_first_line(message)})")
    materials = _materials(document)
    chosen = _choose(path, materials, name)
    return MaterialDocument(path, document, materials[chosen], tuple(files))


def _checked_files(path: Path) -> list[Path]:
    """Parse `path` and its XIncludes with DTDs and entities forbidden; return all of them."""
    import defusedxml.ElementTree as SafeTree
    from defusedxml.common import DefusedXmlException

    done: list[Path] = []
    waiting = [path]
    while waiting:
        file = waiting.pop()
        if file in done:
            continue
        if not file.is_file():
            raise InputError(file, "no such MaterialX file", fix="Check the path")
        if file.stat().st_size > MAX_DOCUMENT_BYTES:
            raise InputError(file, "is too large for a MaterialX document")
        try:
            root = SafeTree.fromstring(file.read_bytes(), forbid_dtd=True)
        except DefusedXmlException as error:
            raise InputError(
                file, "declares a document type or entities, which are refused"
            ) from error
        except (SafeTree.ParseError, ValueError, LookupError) as error:
            raise InputError(file, f"is not XML ({error})") from error
        if root.tag != "materialx":
            raise InputError(
                file, "is not a MaterialX document", got=f"<{root.tag}>", expected="<materialx>"
            )
        if _depth(root) > MAX_DEPTH:
            raise InputError(file, "is nested too deeply for a MaterialX document")
        done.append(file)
        # MaterialX goes by the prefixed name alone, so the namespace is not looked at.
        includes = (e for e in root.iter() if str(e.tag).rpartition("}")[2] == "include")
        waiting += [file.parent / element.get("href", "") for element in includes]
    return done


def _depth(root: Any) -> int:
    level, depth = [root], 0
    while level and depth <= MAX_DEPTH:
        level, depth = [child for element in level for child in element], depth + 1
    return depth


def _require_known_nodes(path: Path, document: Any) -> None:
    for element in document.traverseTree():
        if not _is_node(element) or element.getNodeDef() is not None:
            continue
        subject, category = f"{path}: node '{element.getNamePath()}'", element.getCategory()
        known = document.getMatchingNodeDefs(category)
        known += document.getDataLibrary().getMatchingNodeDefs(category)
        if not known:
            raise InputError(
                subject, "is of an unknown kind", got=f"<{category}>", fix="Check the spelling"
            )
        given = {i.getName(): i.getType() for i in element.getInputs()}
        possible = {i.getName() for nodedef in known for i in nodedef.getActiveInputs()}
        unknown = [name for name in given if name not in possible]
        if unknown:
            raise InputError(
                subject, f"has no input '{unknown[0]}'", expected=", ".join(sorted(possible))
            )
        types = ", ".join(f"{name}: {kind}" for name, kind in given.items())
        raise InputError(
            subject,
            f"has no variant of <{category}> with these types",
            got=f"({types}) -> {element.getType()}",
        )


def _is_node(element: Any) -> bool:
    import MaterialX

    return element.isA(MaterialX.Node)


def _materials(document: Any) -> dict[str, Any]:
    """Materials by name; when there are none, the surface shaders themselves."""
    materials = {node.getName(): node for node in document.getMaterialNodes()}
    if materials:
        return materials
    return {n.getName(): n for n in document.getNodes() if n.getType() == "surfaceshader"}


def _choose(path: Path, materials: dict[str, Any], name: str | None) -> str:
    listed = ", ".join(sorted(materials)) or "none"
    if not materials:
        raise InputError(path, "holds no material and no surface shader")
    if name is None:
        if len(materials) > 1:
            raise InputError(
                path, "holds several materials", got=listed, fix="Name one with --material"
            )
        return next(iter(materials))
    if name not in materials:
        raise InputError(path, "holds no such material", got=name, expected=f"one of: {listed}")
    return name


def _first_line(error: object) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else "no reason given"
