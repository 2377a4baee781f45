"""glTF 2.0 metallic-roughness materials as layered stacks.

    f = metallic f_metal + (1 - metallic) f_dielectric,  each under a clear coat of its own

The metal is a GGX conductor with f0 = baseColor; the dielectric is a GGX interface (eta 1.5) over
a diffuse base whose albedo makes the colour that leaves it glTF's (`rough_base`; glTF 2.0,
appendix B).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np

from etendue.core.errors import InputError
from etendue.scene.gltf_file import GltfFile
from etendue.scene.gltf_texture import MAX_RESOLUTION, TextureReader, TextureUse, resample
from etendue.scene.material import (
    ALPHA_MIN,
    Channel,
    Layer,
    LayeredMaterial,
    LayerKind,
    ParameterTexture,
    Scalar,
    Stack,
)
from etendue.scene.rough_base import pile, split_base
from etendue.scene.scene import Surface

_NOT_MODELLED = {
    "KHR_materials_transmission": "transmission is not modelled; the surface is opaque",
    "KHR_materials_volume": "volumes are not modelled; the surface is opaque",
    "KHR_materials_iridescence": "iridescence is not modelled",
    "KHR_materials_dispersion": "dispersion is not modelled",
    "KHR_materials_diffuse_transmission": "diffuse transmission is not modelled",
    "KHR_materials_pbrSpecularGlossiness": "specular-glossiness is read as metallic-roughness",
    "KHR_materials_unlit": "unlit surfaces are lit like the others",
}


@dataclass(frozen=True)
class ImportedSurface:
    """A surface with how its textures are laid over the mesh."""

    surface: Surface
    uv_set: int = 0
    uv_matrix: np.ndarray | None = None  # applied to mesh uv, None = identity
    notes: tuple[str, ...] = ()


@dataclass
class _Inputs:
    """Looks up factors and textures of one material on the common grid."""

    reader: TextureReader
    label: str
    textures: dict[str, TextureUse] = field(default_factory=dict)
    size: tuple[int, int] = (1, 1)
    common: np.ndarray = field(default_factory=lambda: np.eye(3))

    def add(self, name: str, info: Any, *, srgb: bool = False) -> None:
        use = self.reader.use(info, f"{self.label} {name}", srgb=srgb)
        if use is not None:
            self.textures[name] = use

    def settle(self) -> tuple[int, np.ndarray | None]:
        """Choose resolution, uv set and uv transform shared by all textures."""
        uses = list(self.textures.values())
        if not uses:
            return 0, None
        self.size = (
            min(max(use.pixels.shape[0] for use in uses), MAX_RESOLUTION),
            min(max(use.pixels.shape[1] for use in uses), MAX_RESOLUTION),
        )
        if len({use.uv_set for use in uses}) > 1:
            self.reader.notes[f"{self.label}: all textures use one set of coordinates"] = None
        if all(np.allclose(use.matrix, uses[0].matrix) for use in uses):
            self.common = uses[0].matrix
            identity = np.allclose(self.common, np.eye(3))
            return uses[0].uv_set, None if identity else self.common
        linear = np.array([use.matrix[:2, :2] for use in uses])
        if not np.allclose(linear, np.round(linear)):
            self.reader.notes[
                f"{self.label}: textures with different scaling are laid over one square"
            ] = None
        return uses[0].uv_set, None

    def texture(self, name: str) -> np.ndarray | None:
        """RGBA (H, W, 4) of a texture on the common grid, or None."""
        use = self.textures.get(name)
        if use is None:
            return None
        shared = self.common if not np.allclose(self.common, np.eye(3)) else None
        matrix = np.eye(3) if shared is not None else use.matrix
        return resample(use.pixels, *self.size, matrix)

    def scaled(self, factor: Any, name: str, channels: slice) -> np.ndarray:
        """Factor times texture: (k,) without a texture, (H, W, k) with one."""
        try:
            value = np.atleast_1d(np.asarray(factor, np.float32))
        except (TypeError, ValueError) as error:
            raise InputError(self.label, "a factor is not a number", got=factor) from error
        if not np.isfinite(value).all() or value.ndim != 1:
            raise InputError(self.label, "a factor is not finite", got=factor)
        texture = self.texture(name)
        return value if texture is None else value * texture[..., channels]


@dataclass
class _Packer:
    """Turns arrays into constants where they are, into texture channels where they vary."""

    size: tuple[int, int]
    names: list[str] = field(default_factory=list)
    planes: list[np.ndarray] = field(default_factory=list)

    def scalar(self, name: str, value: np.ndarray | float) -> Scalar:
        array = np.asarray(value, np.float32)
        if array.size == 1 or np.ptp(array) < 1e-6:
            return float(array.flat[0])
        self.names.append(name)
        self.planes.append(np.broadcast_to(array, self.size).astype(np.float32))
        return Channel(len(self.names) - 1)

    def vector(self, name: str, value: np.ndarray, axes: str = "rgb") -> Any:
        array = np.asarray(value, np.float32)
        return tuple(self.scalar(f"{name}.{axis}", array[..., k]) for k, axis in enumerate(axes))

    def texture(self) -> ParameterTexture:
        if not self.planes:
            return ParameterTexture()
        return ParameterTexture(tuple(self.names), np.ascontiguousarray(np.stack(self.planes, -1)))


def import_surface(file: GltfFile, material: Mapping[str, Any], index: int) -> ImportedSurface:
    """Map one glTF material; what is not modelled is noted by name."""
    name = str(material.get("name") or f"material{index}")
    label = f"material {name}"
    reader = TextureReader(file)
    inputs = _Inputs(reader, label)
    pbr = material.get("pbrMetallicRoughness", {})
    extensions = material.get("extensions", {})
    for extension, text in _NOT_MODELLED.items():
        if extension in extensions:
            reader.notes[f"{label}: {text}"] = None
    if "occlusionTexture" in material:
        reader.notes[f"{label}: occlusion is not used; the light transport computes it"] = None
    coat = extensions.get("KHR_materials_clearcoat", {})
    inputs.add("baseColor", pbr.get("baseColorTexture"), srgb=True)
    inputs.add("metallicRoughness", pbr.get("metallicRoughnessTexture"))
    inputs.add("normal", material.get("normalTexture"))
    inputs.add("emissive", material.get("emissiveTexture"), srgb=True)
    inputs.add("clearcoat", coat.get("clearcoatTexture"))
    inputs.add("clearcoatRoughness", coat.get("clearcoatRoughnessTexture"))
    inputs.add("clearcoatNormal", coat.get("clearcoatNormalTexture"))
    uv_set, uv_matrix = inputs.settle()

    base = inputs.scaled(pbr.get("baseColorFactor", (1, 1, 1, 1)), "baseColor", slice(0, 4))
    if base.shape[-1] != 4:
        raise InputError(file.path, f"{label}: baseColorFactor needs four numbers")
    flat = {
        "base": np.clip(base[..., :3], 0, 1),
        "alpha": base[..., 3],
        "metallic": _unit(
            inputs.scaled(pbr.get("metallicFactor", 1.0), "metallicRoughness", slice(2, 3))
        ),
        "roughness": _unit(
            inputs.scaled(pbr.get("roughnessFactor", 1.0), "metallicRoughness", slice(1, 2))
        ),
        "normal": _slopes(inputs, "normal"),
        "coat": _unit(inputs.scaled(coat.get("clearcoatFactor", 0.0), "clearcoat", slice(0, 1))),
        "coat_roughness": _unit(
            inputs.scaled(
                coat.get("clearcoatRoughnessFactor", 0.0), "clearcoatRoughness", slice(1, 2)
            )
        ),
        "coat_normal": _slopes(inputs, "clearcoatNormal"),
    }
    layered = _layered(name, flat, extensions, inputs)
    surface = Surface(
        layered,
        emission=_emission(material, extensions, inputs),
        opacity=_opacity(material, flat["alpha"]),
        flat=flat,
    )
    return ImportedSurface(surface, uv_set, uv_matrix, tuple(reader.notes))


def _unit(value: np.ndarray) -> np.ndarray:
    return np.clip(value[..., 0], 0.0, 1.0)


def _slopes(inputs: _Inputs, name: str) -> np.ndarray:
    """Slopes (nx / nz, ny / nz) of a tangent-space normal map, green up."""
    texture = inputs.texture(name)
    if texture is None:
        return np.zeros(2, np.float32)
    scale = float(inputs.textures[name].info.get("scale", 1.0))
    n = texture[..., :3] * 2.0 - 1.0
    return n[..., :2] * scale / np.maximum(n[..., 2:], 0.1)


def _emission(
    material: Mapping[str, Any], extensions: Mapping[str, Any], inputs: _Inputs
) -> np.ndarray | None:
    strength = extensions.get("KHR_materials_emissive_strength", {}).get("emissiveStrength", 1.0)
    factor = np.asarray(material.get("emissiveFactor", (0, 0, 0)), np.float32) * float(strength)
    if not np.any(factor > 0):
        return None
    value = inputs.scaled(np.maximum(factor, 0), "emissive", slice(0, 3))
    return value.reshape(1, 1, 3) if value.ndim == 1 else value


def _opacity(material: Mapping[str, Any], alpha: np.ndarray) -> np.ndarray | None:
    mode = material.get("alphaMode", "OPAQUE")
    if mode == "OPAQUE":
        return None
    if mode == "MASK":
        alpha = (alpha >= float(material.get("alphaCutoff", 0.5))).astype(np.float32)
    alpha = np.clip(np.atleast_2d(alpha), 0, 1)
    return None if np.all(alpha >= 1.0) else alpha


def _layered(
    name: str, flat: Mapping[str, np.ndarray], extensions: Mapping[str, Any], inputs: _Inputs
) -> LayeredMaterial:
    pack = _Packer(inputs.size)
    eta = min(max(float(extensions.get("KHR_materials_ior", {}).get("ior", 1.5)), 1.01), 3.0)
    alpha = np.maximum(flat["roughness"] ** 2, ALPHA_MIN)
    interface = alpha[..., None], np.array([eta])
    base = split_base(flat["base"], pile(interface), pile(), *interface)
    metallic, bare_share = flat["metallic"], base.share[..., 0]
    parts = (
        (("metal",), metallic),
        (("specular", "diffuse"), (1.0 - metallic) * (1.0 - bare_share)),
        (("bare",), (1.0 - metallic) * bare_share),
    )
    sheen = extensions.get("KHR_materials_sheen", {})
    red, green, blue = (float(c) for c in sheen.get("sheenColorFactor", (0, 0, 0)))
    sheen_roughness = max(float(sheen.get("sheenRoughnessFactor", 0.0)), 0.05)
    made = _layers(flat, extensions, pack, eta, {"diffuse": base.under, "bare": base.bare})
    layers: list[Layer] = []
    stacks = []
    for coat, coverage in (((), 1.0 - flat["coat"]), (("clearcoat",), flat["coat"])):
        for names, part in parts:
            weight = np.asarray(coverage * part)
            if not np.any(weight > 0):
                continue
            value = pack.scalar(f"weight{len(stacks)}", weight)
            for layer in (made[n] for n in (*coat, *names)):
                if layer not in layers:
                    layers.append(layer)
            indices = tuple(layers.index(made[n]) for n in (*coat, *names))
            stacks.append(
                Stack((value, value, value), indices, (red, green, blue), sheen_roughness)
            )
    texture = pack.texture()
    digest = sha256(repr((layers, stacks)).encode() + texture.data.tobytes()).hexdigest()
    notes = tuple(inputs.reader.notes)
    return LayeredMaterial(name, tuple(layers), tuple(stacks), texture, notes, digest)


def _layers(
    flat: Mapping[str, np.ndarray],
    extensions: Mapping[str, Any],
    pack: _Packer,
    eta: float,
    albedos: Mapping[str, np.ndarray],
) -> dict[str, Layer]:
    """Every layer that a stack may use, by name."""
    specular = extensions.get("KHR_materials_specular", {})
    tint = np.asarray(specular.get("specularColorFactor", (1, 1, 1)), np.float32)
    tint = np.clip(tint * float(specular.get("specularFactor", 1.0)), 0.0, 1.0)
    normal = pack.vector("normal", flat["normal"], "xy")
    anisotropy = extensions.get("KHR_materials_anisotropy", {})
    alpha, tangent = _alpha(flat["roughness"], anisotropy, pack)
    coat_alpha = pack.scalar("coat_alpha", np.maximum(flat["coat_roughness"] ** 2, ALPHA_MIN))
    lobe: dict[str, Any] = {"alpha": alpha, "normal": normal, "tangent": tangent}
    layers = [
        Layer(LayerKind.CONDUCTOR, "metal", **lobe, f0=pack.vector("f0", flat["base"])),
        Layer(
            LayerKind.DIELECTRIC,
            "specular",
            **lobe,
            eta=eta,
            reflect_tint=pack.vector("specular", tint),
        ),
        Layer(
            LayerKind.DIELECTRIC,
            "clearcoat",
            alpha=(coat_alpha, coat_alpha),
            normal=pack.vector("coat_normal", flat["coat_normal"], "xy"),
        ),
    ]
    layers += [
        Layer(LayerKind.DIFFUSE, name, normal=normal, albedo=pack.vector(name, albedo))
        for name, albedo in albedos.items()
    ]
    return {layer.name: layer for layer in layers}


def _alpha(
    roughness: np.ndarray, anisotropy: Mapping[str, Any], pack: _Packer
) -> tuple[tuple[Scalar, Scalar], tuple[Scalar, Scalar]]:
    """alpha_t = mix(a, 1, strength^2), alpha_b = a = roughness^2 (KHR_materials_anisotropy)."""
    alpha = np.maximum(roughness**2, ALPHA_MIN)
    strength = float(anisotropy.get("anisotropyStrength", 0.0))
    across = pack.scalar("alpha", alpha)
    if strength <= 0:
        return (across, across), (1.0, 0.0)
    along = pack.scalar("alpha.t", alpha + (1.0 - alpha) * strength**2)
    angle = float(anisotropy.get("anisotropyRotation", 0.0))
    return (along, across), (float(np.cos(angle)), float(np.sin(angle)))
