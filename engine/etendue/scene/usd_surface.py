"""UsdPreviewSurface as glTF's metallic-roughness material."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from etendue.core.color import linear_to_srgb, srgb_to_linear
from etendue.core.errors import InputError
from etendue.core.image import read_image, write_bytes_image

if TYPE_CHECKING:
    from etendue.scene.usd import Document

MOST = 4096  # texels per side
DEFAULTS: dict[str, tuple[float, ...]] = {
    "diffuseColor": (0.18, 0.18, 0.18),
    "emissiveColor": (0.0, 0.0, 0.0),
    "metallic": (0.0,),
    "roughness": (0.5,),
    "opacity": (1.0,),
}
CHANNELS = {"r": (0,), "g": (1,), "b": (2,), "a": (3,), "rgb": (0, 1, 2)}


@dataclass
class Surfaces:
    """Materials of the document, each once."""

    document: Document
    numbers: dict[str, int | None] = field(default_factory=dict)
    images: dict[str, np.ndarray] = field(default_factory=dict)

    def number(self, owner: Any, prim: Any) -> int | None:
        """The material bound to `owner`, else one of the mesh's display colour, else none."""
        from pxr import UsdShade

        material = UsdShade.MaterialBindingAPI(owner).ComputeBoundMaterial()[0]
        key = str(material.GetPath()) if material else f"display colour of {prim.GetPath()}"
        if key not in self.numbers:
            self.numbers[key] = self._bound(material) if material else self._displayed(prim)
        return self.numbers[key]

    def _displayed(self, prim: Any) -> int | None:
        from pxr import UsdGeom

        primvar = UsdGeom.PrimvarsAPI(prim).FindPrimvarWithInheritance("displayColor")
        values = np.array(primvar.Get() or [], np.float64).reshape(-1, 3) if primvar else []
        if len(values) == 0:
            return None
        color = [*np.mean(values, 0).tolist(), 1.0]
        rough = {"baseColorFactor": color, "metallicFactor": 0.0, "roughnessFactor": 0.5}
        return self.document.add(
            "materials", {"name": str(prim.GetName()), "pbrMetallicRoughness": rough}
        )

    def _bound(self, material: Any) -> int | None:
        name = str(material.GetPrim().GetName())
        shader = material.ComputeSurfaceSource()[0]
        if not shader or shader.GetIdAttr().Get() != "UsdPreviewSurface":
            self.document.notes[f"material {name}: only UsdPreviewSurface is read"] = None
            return None
        return self.document.add("materials", self._translated(name, shader))

    def _translated(self, name: str, shader: Any) -> dict[str, Any]:
        found = {key: self._input(shader, key, default) for key, default in DEFAULTS.items()}
        if _plain(shader, "useSpecularWorkflow", 0):
            note = "the specular workflow is read as a dielectric"
            self.document.notes[f"material {name}: {note}"] = None
        rough: dict[str, Any] = {"metallicFactor": 1.0, "roughnessFactor": 1.0}
        made: dict[str, Any] = {"name": name, "pbrMetallicRoughness": rough, "extensions": {}}
        base, opacity = found["diffuseColor"], found["opacity"]
        if base.ndim == opacity.ndim == 1:
            rough["baseColorFactor"] = [*base.tolist(), float(opacity[0])]
        else:
            rough["baseColorTexture"] = self._texture(_side_by_side(base, opacity), srgb=True)
        metallic, roughness = found["metallic"], found["roughness"]
        if metallic.ndim == roughness.ndim == 1:
            rough |= {"metallicFactor": float(metallic[0]), "roughnessFactor": float(roughness[0])}
        else:
            packed = _side_by_side(np.zeros(1), roughness, metallic)
            rough["metallicRoughnessTexture"] = self._texture(packed, srgb=False)
        if opacity.ndim == 3 or opacity[0] < 1:
            cut = float(_plain(shader, "opacityThreshold", 0.0))
            made |= {"alphaMode": "MASK", "alphaCutoff": cut} if cut > 0 else {"alphaMode": "BLEND"}
        emission = found["emissiveColor"]
        if emission.max() > 0:
            strongest = float(emission.max())
            made["extensions"]["KHR_materials_emissive_strength"] = {"emissiveStrength": strongest}
            if emission.ndim == 1:
                made["emissiveFactor"] = (emission / strongest).tolist()
            else:
                made["emissiveFactor"] = [1, 1, 1]
                made["emissiveTexture"] = self._texture(emission / strongest, srgb=True)
        normal = self._input(shader, "normal", (0.0, 0.0, 1.0))
        if normal.ndim == 3:
            made["normalTexture"] = self._texture(normal / 2 + 0.5, srgb=False)
        made["extensions"] |= {
            "KHR_materials_ior": {"ior": float(_plain(shader, "ior", 1.5))},
            "KHR_materials_clearcoat": {
                "clearcoatFactor": float(_plain(shader, "clearcoat", 0.0)),
                "clearcoatRoughnessFactor": float(_plain(shader, "clearcoatRoughness", 0.01)),
            },
        }
        return made

    def _input(self, shader: Any, name: str, default: tuple[float, ...]) -> np.ndarray:
        """Components (k,) of an input, or (H, W, k) where a texture is connected."""
        from pxr import UsdShade

        connected = UsdShade.Shader(shader).GetInput(name)
        if not connected:
            return np.array(default)
        sources = connected.GetValueProducingAttributes()
        if not sources:
            return np.array(default)
        attribute = sources[0]
        producer = UsdShade.Shader(attribute.GetPrim())
        if attribute.GetPrim() == shader.GetPrim() or not attribute.GetName().startswith("outputs"):
            value = attribute.Get()
            return np.array(default) if value is None else _numbers(value, len(default))
        if producer.GetIdAttr().Get() != "UsdUVTexture":
            kind = producer.GetIdAttr().Get()
            note = f"{shader.GetPath()}.{name}: {kind} is not read; its default is used"
            self.document.notes[note] = None
            return np.array(default)
        pixels = self._pixels(producer, data=name in ("metallic", "roughness", "opacity", "normal"))
        chosen = CHANNELS.get(attribute.GetBaseName(), (0, 1, 2))
        return pixels[..., list(chosen)[: len(default)]]

    def _pixels(self, texture: Any, *, data: bool) -> np.ndarray:
        """Linear RGBA of a texture, scaled and shifted as its shader says."""
        file = _plain(texture, "file", None)
        path = Path(file.resolvedPath or file.path) if file is not None and file.path else None
        if path is None or not (path.is_file() or "[" in str(path)):
            raise InputError(
                texture.GetPath(), "names a picture that is not there",
                got=None if file is None else file.path,
            )  # fmt: skip
        if str(path) not in self.images:
            self.images[str(path)] = _decode(path)
        pixels = self.images[str(path)].astype(np.float64)
        space = str(_plain(texture, "sourceColorSpace", "auto"))
        if space == "sRGB" or (space == "auto" and not data and path.suffix.lower() != ".exr"):
            pixels = np.concatenate([srgb_to_linear(pixels[..., :3]), pixels[..., 3:]], -1)
        scale = _numbers(_plain(texture, "scale", (1.0,) * 4), 4)
        bias = _numbers(_plain(texture, "bias", (0.0,) * 4), 4)
        return pixels * scale + bias

    def _texture(self, pixels: np.ndarray, *, srgb: bool) -> dict[str, Any]:
        """A PNG of the document with these linear values."""
        shown = np.clip(pixels, 0.0, 1.0)
        if srgb:
            shown = np.concatenate([linear_to_srgb(shown[..., :3]), shown[..., 3:]], -1)
        with tempfile.TemporaryDirectory(prefix="etendue-usd-") as folder:
            file = Path(folder, "texture.png")
            write_bytes_image(file, np.round(shown * 255).astype(np.uint8))
            view = self.document.view(file.read_bytes())
        image = self.document.add("images", {"bufferView": view, "mimeType": "image/png"})
        return {"index": self.document.add("textures", {"source": image})}


def _plain(shader: Any, name: str, default: Any) -> Any:
    """The value of an input that textures do not drive here."""
    found = shader.GetInput(name)
    value = found.Get() if found else None
    return default if value is None else value


def _numbers(value: Any, count: int) -> np.ndarray:
    array = np.atleast_1d(np.array(value, np.float64)).ravel()
    return np.resize(array, count) if array.size < count else array[:count]


def _side_by_side(*parts: np.ndarray) -> np.ndarray:
    """Components of constants and pictures in one picture, as large as the largest."""
    sizes = [part.shape[:2] for part in parts if part.ndim == 3]
    height, width = (max(size[k] for size in sizes) for k in (0, 1))
    rows, columns = np.arange(height), np.arange(width)
    planes = []
    for part in parts:
        if part.ndim == 1:
            planes.append(np.broadcast_to(part, (height, width, len(part))))
        else:
            y, x = rows * part.shape[0] // height, columns * part.shape[1] // width
            planes.append(part[y[:, None], x])
    return np.concatenate(planes, -1)


def _decode(path: Path) -> np.ndarray:
    """RGBA of a picture, in a package too; missing channels are 1, grey is spread."""
    from pxr import Ar

    with tempfile.TemporaryDirectory(prefix="etendue-usd-") as folder:
        file = path
        if not path.is_file():  # archive.usdz[name]
            asset = Ar.GetResolver().OpenAsset(Ar.ResolvedPath(str(path)))
            if not asset:
                raise InputError(path, "cannot be read from its package")
            file = Path(folder, "picture").with_suffix(Path(str(path).rstrip("]")).suffix)
            file.write_bytes(bytes(asset.GetBuffer()))
        pixels = read_image(file)
    if max(pixels.shape[:2]) > MOST:
        raise InputError(path, "is too large", got=pixels.shape[:2], expected=f"<= {MOST}")
    if pixels.shape[2] <= 2:
        pixels = np.concatenate([np.repeat(pixels[..., :1], 3, -1), pixels[..., 1:]], -1)
    if pixels.shape[2] == 3:
        pixels = np.concatenate([pixels, np.ones_like(pixels[..., :1])], -1)
    return pixels[..., :4]
