"""USD stages (.usd, .usda, .usdc, .usdz): meshes, cameras, lights, UsdPreviewSurface.

A stage is rewritten as a glTF document in memory, whose metallic-roughness model is that of
UsdPreviewSurface; everything behind it is then that of glTF. The program's own axes have y up;
lengths stay in the stage's units. Needs the extra `usd`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from etendue.core.errors import DeviceError, InputError
from etendue.scene.gltf import load_document
from etendue.scene.gltf_file import GltfFile
from etendue.scene.scene import Environment, Scene
from etendue.scene.usd_mesh import add_mesh, light_mesh
from etendue.scene.usd_surface import Surfaces

SKIPPED = ("guide", "proxy")  # purposes that are not for final pictures
MESH_LIGHTS = ("RectLight", "DiskLight", "SphereLight", "CylinderLight")


@dataclass
class Document:
    """The glTF document that is being written."""

    json: dict[str, Any] = field(default_factory=lambda: {"asset": {"version": "2.0"}})
    data: bytearray = field(default_factory=bytearray)
    notes: dict[str, None] = field(default_factory=dict)  # ordered set
    environment: Environment | None = None

    def add(self, group: str, item: dict[str, Any]) -> int:
        """Append to a top-level array; its number there."""
        items = self.json.setdefault(group, [])
        items.append(item)
        return len(items) - 1

    def view(self, content: bytes) -> int:
        """A buffer view of `content`."""
        self.data += b"\0" * (-len(self.data) % 4)
        start = len(self.data)
        self.data += content
        return self.add(
            "bufferViews", {"buffer": 0, "byteOffset": start, "byteLength": len(content)}
        )

    def accessor(self, array: np.ndarray) -> int:
        """Rows of float32, or numbers of uint32."""
        kinds = {1: "SCALAR", 2: "VEC2", 3: "VEC3"}
        columns = array.shape[1] if array.ndim == 2 else 1
        return self.add(
            "accessors",
            {
                "bufferView": self.view(np.ascontiguousarray(array).tobytes()),
                "componentType": 5126 if array.dtype == np.float32 else 5125,
                "count": len(array),
                "type": kinds[columns],
            },
        )

    def node(self, name: str, matrix: np.ndarray, **what: Any) -> None:
        """A root node; `matrix` maps column vectors to the world."""
        placed = [float(x) for x in matrix.T.ravel()]
        number = self.add("nodes", {"name": name, "matrix": placed, **what})
        scenes = self.json.setdefault("scenes", [{"nodes": []}])
        scenes[0]["nodes"].append(number)


def load_usd(path: Path, assignments: Mapping[str, Path]) -> Scene:
    """Read a stage at its default time; what it holds beyond the above is told in notes."""
    try:
        from pxr import Tf, Usd
    except ImportError:
        raise DeviceError(
            path, "needs usd-core, which is not installed", fix='Run: pip install "etendue[usd]"'
        ) from None
    path = path.resolve()
    if not path.is_file():
        raise InputError(path, "no such file", fix="Check the path")
    try:
        stage = Usd.Stage.Open(str(path))
        document = _document(stage)
    except Tf.ErrorException as error:
        said = " ".join(str(error).split())
        raise InputError(path, f"cannot be read as USD ({said[:300]})") from None
    except (TypeError, ValueError, IndexError, ArithmeticError) as error:
        # attributes hold what their prim's schema does not
        raise InputError(path, f"is damaged ({type(error).__name__}: {error})") from error
    document.json["buffers"] = [{"byteLength": len(document.data)}]
    file = GltfFile(path, document.json, (bytes(document.data),))
    scene = load_document(path, file, assignments)
    notes = (*document.notes, *scene.notes)
    return replace(scene, notes=notes, environment=document.environment)


def _document(stage: Any) -> Document:
    from pxr import Usd, UsdGeom

    document, cache = Document(), UsdGeom.XformCache()
    surfaces = Surfaces(document)
    turn = _upright(UsdGeom.GetStageUpAxis(stage))
    walk = iter(Usd.PrimRange(stage.GetPseudoRoot(), Usd.TraverseInstanceProxies()))
    for prim in walk:
        shown = UsdGeom.Imageable(prim)
        if shown and (
            shown.ComputeVisibility() == UsdGeom.Tokens.invisible
            or shown.ComputePurpose() in SKIPPED
        ):
            walk.PruneChildren()
            continue
        matrix = turn @ np.array(cache.GetLocalToWorldTransform(prim), np.float64).T
        _add_prim(document, surfaces, prim, matrix)
    return document


def _upright(axis: str) -> np.ndarray:
    """Turns a stage whose z is up."""
    matrix = np.eye(4)
    if axis == "Z":
        matrix[:3, :3] = [[1, 0, 0], [0, 0, 1], [0, -1, 0]]
    return matrix


def _add_prim(document: Document, surfaces: Surfaces, prim: Any, matrix: np.ndarray) -> None:
    kind = str(prim.GetTypeName())
    if kind == "Mesh":
        add_mesh(document, surfaces, prim, matrix)
    elif kind == "Camera":
        _add_camera(document, prim, matrix)
    elif kind in MESH_LIGHTS:
        _add_mesh_light(document, prim, kind, matrix)
    elif kind == "DistantLight":
        light = {"type": "directional", "color": _radiance(prim)}
        numbers = document.json.setdefault("extensions", {}).setdefault(
            "KHR_lights_punctual", {"lights": []}
        )["lights"]
        numbers.append(light)
        reference = {"KHR_lights_punctual": {"light": len(numbers) - 1}}
        document.node(prim.GetName(), matrix, extensions=reference)
    elif kind == "DomeLight":
        _add_dome(document, prim, matrix)
    elif kind in ("Cube", "Sphere", "Cylinder", "Cone", "Capsule", "Points", "BasisCurves"):
        document.notes[f"{kind} prims are not shown; make meshes of them"] = None
    elif kind == "PointInstancer":
        document.notes["point instancers are not shown"] = None


def _add_camera(document: Document, prim: Any, matrix: np.ndarray) -> None:
    from pxr import UsdGeom

    camera = UsdGeom.Camera(prim)
    if camera.GetProjectionAttr().Get() != UsdGeom.Tokens.perspective:
        document.notes["orthographic cameras are not used"] = None
        return
    wide, tall = (float(a.Get()) for a in (
        camera.GetHorizontalApertureAttr(), camera.GetVerticalApertureAttr()))  # fmt: skip
    near, far = camera.GetClippingRangeAttr().Get()
    lens = {
        "yfov": 2 * float(np.arctan(tall / 2 / float(camera.GetFocalLengthAttr().Get()))),
        "aspectRatio": wide / tall,
        "znear": float(near),
        "zfar": float(far),
    }
    number = document.add("cameras", {"type": "perspective", "perspective": lens})
    document.node(prim.GetName(), matrix, camera=number)


def _value(prim: Any, name: str, default: Any) -> Any:
    """A light's input, as stages since 21.02 write it, or before."""
    for key in (f"inputs:{name}", name):
        attribute = prim.GetAttribute(key)
        if attribute and attribute.Get() is not None:
            return attribute.Get()
    return default


def _radiance(prim: Any) -> list[float]:
    """Intensity 2^exposure times colour."""
    strength = float(_value(prim, "intensity", 1.0)) * 2.0 ** float(_value(prim, "exposure", 0.0))
    return [strength * float(c) for c in _value(prim, "color", (1.0, 1.0, 1.0))]


def _add_mesh_light(document: Document, prim: Any, kind: str, matrix: np.ndarray) -> None:
    size = {name: float(_value(prim, name, default)) for name, default in
            (("width", 1.0), ("height", 1.0), ("radius", 0.5), ("length", 1.0))}  # fmt: skip
    positions, faces, area = light_mesh(kind, size)
    radiance = np.array(_radiance(prim))
    if _value(prim, "normalize", False):
        radiance = radiance / area
    strongest = max(float(radiance.max()), 1e-30)
    material = document.add(
        "materials",
        {
            "name": f"light {prim.GetName()}",
            "emissiveFactor": [float(c) for c in radiance / strongest],
            "extensions": {"KHR_materials_emissive_strength": {"emissiveStrength": strongest}},
            "pbrMetallicRoughness": {"baseColorFactor": [0, 0, 0, 1], "metallicFactor": 0},
        },
    )
    primitive = {
        "attributes": {"POSITION": document.accessor(positions.astype(np.float32))},
        "indices": document.accessor(faces.astype(np.uint32).ravel()),
        "material": material,
    }
    number = document.add("meshes", {"primitives": [primitive]})
    document.node(prim.GetName(), matrix, mesh=number)


def _add_dome(document: Document, prim: Any, matrix: np.ndarray) -> None:
    if document.environment is not None:
        document.notes["of several dome lights only the first is used"] = None
        return
    file = _value(prim, "texture:file", None)
    picture = None
    if file is not None and file.path:
        picture = Path(file.resolvedPath or file.path)
        if not picture.is_file():
            raise InputError(prim.GetPath(), "names a picture that is not there", got=file.path)
    scale = tuple(_radiance(prim))
    document.environment = Environment(picture, (scale[0], scale[1], scale[2]), matrix)
