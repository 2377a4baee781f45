"""glTF 2.0 metallic-roughness materials as layered stacks.

    f = metallic f_metal + (1 - metallic) ((1 - t) f_dielectric + t f_through)

each under a clear coat of its own. The model is MaterialX's `gltf_pbr` (`materialx.gltf_pbr`); here
factors and textures become what it asks for (glTF 2.0, appendix B; KHR_materials_*).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from etendue.core.errors import InputError
from etendue.scene.gltf_file import GltfFile
from etendue.scene.gltf_inputs import Inputs, Values
from etendue.scene.gltf_texture import TextureReader
from etendue.scene.materialx.gltf_pbr import gltf_pbr
from etendue.scene.materialx.mixture import packed
from etendue.scene.materialx.transmission import finished
from etendue.scene.scene import Surface

_NOT_MODELLED = {
    "KHR_materials_dispersion": "dispersion is not modelled",
    "KHR_materials_diffuse_transmission": "diffuse transmission is not modelled",
    "KHR_materials_pbrSpecularGlossiness": "specular-glossiness is read as metallic-roughness",
    "KHR_materials_unlit": "unlit surfaces are lit like the others",
}
# texture, extension that names it, whether it is a colour
_TEXTURES = (
    ("clearcoatTexture", "clearcoat", False),
    ("clearcoatRoughnessTexture", "clearcoat", False),
    ("clearcoatNormalTexture", "clearcoat", False),
    ("specularTexture", "specular", False),
    ("specularColorTexture", "specular", True),
    ("sheenColorTexture", "sheen", True),
    ("sheenRoughnessTexture", "sheen", False),
    ("transmissionTexture", "transmission", False),
    ("thicknessTexture", "volume", False),
    ("iridescenceTexture", "iridescence", False),
    ("iridescenceThicknessTexture", "iridescence", False),
)
SHEEN_MIN = 0.25  # sheen roughness; smoother velvet is raised to it


@dataclass(frozen=True)
class ImportedSurface:
    """A surface with how its textures are laid over the mesh."""

    surface: Surface
    uv_set: int = 0
    uv_matrix: np.ndarray | None = None  # applied to mesh uv, None = identity
    notes: tuple[str, ...] = ()


def import_surface(file: GltfFile, material: Mapping[str, Any], index: int) -> ImportedSurface:
    """Map one glTF material; what is not modelled is noted by name."""
    name = str(material.get("name") or f"material{index}")
    label = f"material {name}"
    reader = TextureReader(file)
    inputs = Inputs(reader, label)
    pbr = material.get("pbrMetallicRoughness", {})
    extensions = material.get("extensions", {})
    for extension, text in _NOT_MODELLED.items():
        if extension in extensions:
            reader.notes[f"{label}: {text}"] = None
    if "occlusionTexture" in material:
        reader.notes[f"{label}: occlusion is not used; the light transport computes it"] = None
    inputs.add("baseColor", pbr.get("baseColorTexture"), srgb=True)
    inputs.add("metallicRoughness", pbr.get("metallicRoughnessTexture"))
    inputs.add("normal", material.get("normalTexture"))
    inputs.add("emissive", material.get("emissiveTexture"), srgb=True)
    for texture, extension, srgb in _TEXTURES:
        inputs.add(texture, _extension(extensions, extension, label).get(texture), srgb=srgb)
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
        "normal": inputs.slopes("normal"),
        **_coat(inputs, _extension(extensions, "clearcoat", label)),
    }
    values = Values.of(_values(flat, extensions, inputs), {})
    terms, interior = finished(gltf_pbr(values), values.notes)
    reader.notes.update({f"{label}: {note}": None for note in values.notes})
    layered = packed(name, terms, inputs.size, reader.notes, values.digest(), interior)
    surface = Surface(
        layered,
        emission=_emission(material, extensions, inputs),
        opacity=_opacity(material, flat["alpha"]),
        flat=flat,
    )
    return ImportedSurface(surface, uv_set, uv_matrix, tuple(reader.notes))


def _extension(extensions: Mapping[str, Any], name: str, label: str) -> Mapping[str, Any]:
    found = extensions.get(f"KHR_materials_{name}", {})
    if not isinstance(found, dict):
        raise InputError(label, f"KHR_materials_{name} is no object", got=found)
    return found


def _coat(inputs: Inputs, coat: Mapping[str, Any]) -> dict[str, np.ndarray]:
    rough = coat.get("clearcoatRoughnessFactor", 0.0)
    return {
        "coat": _unit(
            inputs.scaled(coat.get("clearcoatFactor", 0.0), "clearcoatTexture", slice(0, 1))
        ),
        "coat_roughness": _unit(inputs.scaled(rough, "clearcoatRoughnessTexture", slice(1, 2))),
        "coat_normal": inputs.slopes("clearcoatNormalTexture"),
    }


def _unit(value: np.ndarray) -> np.ndarray:
    return np.clip(value[..., 0], 0.0, 1.0)


def _emission(
    material: Mapping[str, Any], extensions: Mapping[str, Any], inputs: Inputs
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


def _values(
    flat: Mapping[str, np.ndarray], extensions: Mapping[str, Any], inputs: Inputs
) -> dict[str, Any]:
    """What the model `gltf_pbr` of MaterialX asks for."""
    named = ("ior", "specular", "anisotropy", "sheen", "transmission", "volume", "iridescence")
    e = {name: _extension(extensions, name, inputs.label) for name in named}

    def value(owner: str, factor: str, default: Any, texture: str, channels: slice) -> np.ndarray:
        return inputs.scaled(e[owner].get(factor, default), texture, channels)

    ior = float(np.clip(inputs.number(e["ior"].get("ior", 1.5)), 1.01, 3.0))
    level = value("specular", "specularFactor", 1.0, "specularTexture", slice(3, 4))
    tint = value("specular", "specularColorFactor", (1, 1, 1), "specularColorTexture", slice(0, 3))
    f0 = np.minimum(((ior - 1) / (ior + 1)) ** 2 * tint, 1.0) * level
    alpha, tangent = _alpha(flat["roughness"], e["anisotropy"], inputs)
    sheen = value("sheen", "sheenColorFactor", (0, 0, 0), "sheenColorTexture", slice(0, 3))
    velvet = value("sheen", "sheenRoughnessFactor", 0.0, "sheenRoughnessTexture", slice(3, 4))
    through = value("transmission", "transmissionFactor", 0.0, "transmissionTexture", slice(0, 1))
    film, volume = e["iridescence"], e["volume"]
    shine = value("iridescence", "iridescenceFactor", 0.0, "iridescenceTexture", slice(0, 1))
    thick = value("volume", "thicknessFactor", 0.0, "thicknessTexture", slice(1, 2))
    return {
        "base_color": flat["base"],
        "metallic": flat["metallic"][..., None],
        "normal": flat["normal"],
        "roughness_uv": alpha,
        "selected_tangent": tangent,
        "tangent": (1.0, 0.0),
        "dielectric_f0": f0,
        "clearcoat": flat["coat"][..., None],
        "clearcoat_roughness_uv": flat["coat_roughness"][..., None] ** 2,
        "clearcoat_normal": flat["coat_normal"],
        "alpha_mode": 0.0,  # holes are not the model's matter here
        "sheen_color": sheen,
        "sheen_roughness": np.maximum(velvet, SHEEN_MIN),
        "transmission": through,
        "iridescence": shine,
        "iridescence_ior": inputs.number(film.get("iridescenceIor", 1.3)),
        "iridescence_thickness": _film(film, inputs),
        "thickness": thick,
        "attenuation_color": inputs.scaled(volume.get("attenuationColor", (1, 1, 1)), "",
                                           slice(0, 3)),
        "attenuation_distance": inputs.number(volume.get("attenuationDistance", 1e30)),
    }  # fmt: skip


def _film(film: Mapping[str, Any], inputs: Inputs) -> np.ndarray:
    """Nanometres: from the least to the most as the texture's green goes from 0 to 1."""
    least = inputs.number(film.get("iridescenceThicknessMinimum", 100.0))
    most = inputs.number(film.get("iridescenceThicknessMaximum", 400.0))
    texture = inputs.texture("iridescenceThicknessTexture")
    return np.array([most]) if texture is None else least + (most - least) * texture[..., 1:2]


def _alpha(
    roughness: np.ndarray, anisotropy: Mapping[str, Any], inputs: Inputs
) -> tuple[np.ndarray, np.ndarray]:
    """alpha_t = mix(a, 1, strength^2), alpha_b = a = roughness^2 (KHR_materials_anisotropy)."""
    across = roughness[..., None] ** 2
    strength = inputs.number(anisotropy.get("anisotropyStrength", 0.0))
    angle = inputs.number(anisotropy.get("anisotropyRotation", 0.0))
    if "anisotropyTexture" in anisotropy:
        inputs.reader.notes[f"{inputs.label}: the anisotropy's texture is not used"] = None
    along = across + (1.0 - across) * strength**2
    return np.concatenate([along, across], -1), np.array([np.cos(angle), np.sin(angle)])
