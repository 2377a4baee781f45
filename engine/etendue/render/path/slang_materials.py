"""Materials of a Mitsuba scene as rows of `g_materials` (`render/scene.slang`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from etendue.artifact import read_material, split_name
from etendue.bsdf.guide import albedo_ratio
from etendue.bsdf.layered import Layered
from etendue.bsdf.neural import check_material
from etendue.bsdf.plugin import inline_of
from etendue.bsdf.transmission_artifact import is_transmission
from etendue.core.errors import InputError
from etendue.render.groups import children
from etendue.render.path.slang_layered import add_layered, add_sheen, has_sheen
from etendue.render.path.slang_neural import DataBuilder
from etendue.render.path.slang_textures import (
    SLANG_LIMIT,
    VALUE,
    constant,
    numbers,
    value,
)
from etendue.scene.material import LayeredMaterial

Array = np.ndarray
MATERIAL = np.dtype(
    [
        ("kind", "<u4"),
        ("flags", "<u4"),
        ("data", "<u4"),
        ("eta", "<f4"),
        ("color", VALUE),
        ("second", VALUE),
        ("alpha", VALUE),
        ("index", "<f4", 3),
        ("inside", "<f4"),
        ("k", "<f4", 3),
        ("weight", "<f4"),
        ("opacity", VALUE),
    ]
)
DIFFUSE, CONDUCTOR, GLASS, PLASTIC, NEURAL, LAYERED, PRINCIPLED = range(7)
TWO_SIDED, NONLINEAR, MASKED = 1, 2, 4
VALUES = ("color", "second", "alpha", "opacity")  # parameters that may be textured
Row = Array


class Materials:
    """Collects the materials of a scene, each once, in the order in which shapes show them."""

    def __init__(self, builder: DataBuilder, baked: Mapping[str, Path]) -> None:
        self.builder, self.baked = builder, baked
        self.rows: list[Row] = []
        self.owners: list[Any] = []
        self.names: list[str] = []  # for people
        self.files: dict[Path, int] = {}
        self.layered: list[LayeredMaterial] = []
        self.sheen = 0  # table in `g_data`

    def number(self, shape: Any) -> int:
        """Place of a shape's material in the rows."""
        bsdf = shape.bsdf()
        for place, other in enumerate(self.owners):
            if other is bsdf:
                return place
        self.owners.append(bsdf)
        if shape.id() in self.baked:
            file = self.baked[shape.id()]
            self.names.append(file.name)
            self.rows.append(self._neural(file))
        else:
            self.names.append(bsdf.id() or f"material of {shape.id()}")
            self.rows.append(self._row(bsdf, shape.id()))
        return len(self.rows) - 1

    def table(self) -> Array:
        """All rows, at least one."""
        return np.array(self.rows, MATERIAL) if self.rows else np.zeros(1, MATERIAL)

    def _neural(self, file: Path) -> Row:
        row = _blank(NEURAL)
        if file not in self.files:
            artifact = read_material(*split_name(file))
            if is_transmission(artifact):
                raise InputError(file, "transmits light in a Slang scene", fix=SLANG_LIMIT)
            check_material(file, artifact)
            self.files[file] = self.builder.add_neural(artifact)
        row["data"], row["flags"] = self.files[file], TWO_SIDED
        return row

    def _layered(self, inline: Layered) -> Row:
        row, material = _blank(LAYERED), inline.material
        if has_sheen(material) and not self.sheen:
            self.sheen = add_sheen(self.builder)
        sheen = self.sheen if has_sheen(material) else 0
        # the scalar variant cannot measure how far the guess of the albedo is from the truth
        guide = albedo_ratio(inline) if dr.is_jit_v(mi.Float) else None
        row["data"] = add_layered(self.builder, material, sheen, guide)
        row["flags"] = TWO_SIDED
        self.layered.append(material)
        return row

    def _row(self, bsdf: Any, owner: str) -> Row:
        kind = bsdf.class_name()
        if kind == "TwoSidedBRDF":
            sides = [child for child in children(bsdf).values() if isinstance(child, mi.BSDF)]
            if any(side is not sides[0] for side in sides):
                raise _unknown(owner, "a twosided material with two different sides")
            row = self._row(sides[0], owner)
            row["flags"] |= TWO_SIDED
            return row
        if kind == "MaskBSDF":
            found = children(bsdf)
            row = self._row(found["nested_bsdf"], owner)
            if row["flags"] & MASKED:
                raise _unknown(owner, "a mask of a mask")
            row["opacity"] = value(self.builder, found["opacity"], owner)
            row["flags"] |= MASKED
            return row
        inline = inline_of(bsdf)
        if isinstance(inline, Layered):
            return self._layered(inline)
        if inline is not None:
            raise _unknown(owner, type(inline).__name__)
        build = BUILDERS.get(kind)
        if build is None:
            raise _unknown(owner, kind)
        return build(self.builder, bsdf, owner)


def _unknown(owner: str, kind: str) -> InputError:
    return InputError(
        f"shape {owner}",
        "has a material that the Slang backend lacks",
        got=kind,
        expected=", ".join(sorted({*BUILDERS, "neural", "layered", "twosided", "mask"})),
        fix=SLANG_LIMIT,
    )


def _blank(kind: int) -> Row:
    row = np.zeros((), MATERIAL)
    row["kind"], row["eta"] = kind, 1.0
    row["color"], row["second"] = constant(1.0), constant(1.0)
    return row


def _diffuse(builder: DataBuilder, bsdf: Any, owner: str) -> Row:
    row = _blank(DIFFUSE)
    row["color"] = value(builder, children(bsdf)["reflectance"], owner)
    return row


def _plastic(builder: DataBuilder, bsdf: Any, owner: str) -> Row:
    row, found = _blank(PLASTIC), children(bsdf)
    row["eta"] = numbers(mi.traverse(bsdf)["eta"])[0]
    row["color"] = value(builder, found["diffuse_reflectance"], owner)
    if "specular_reflectance" in found:
        row["second"] = value(builder, found["specular_reflectance"], owner)
    row["inside"] = printed(bsdf, "fdr_int")
    row["weight"] = printed(bsdf, "specular_sampling_weight")
    row["flags"] = NONLINEAR if printed(bsdf, "nonlinear") else 0
    return row


def _conductor(builder: DataBuilder, bsdf: Any, owner: str) -> Row:
    row, found = _blank(CONDUCTOR), children(bsdf)
    if "specular_reflectance" in found:
        row["color"] = value(builder, found["specular_reflectance"], owner)
    for name, field in (("eta", "index"), ("k", "k")):
        part = value(builder, found[name], owner)
        if part["texture"]:
            raise InputError(f"shape {owner}", f"has a textured {name}", fix=SLANG_LIMIT)
        row[field] = part["constant"]
    return row


def _rough_conductor(builder: DataBuilder, bsdf: Any, owner: str) -> Row:
    row = _conductor(builder, bsdf, owner)
    row["alpha"] = _alpha(builder, bsdf, owner)
    return row


def _alpha(builder: DataBuilder, bsdf: Any, owner: str) -> Array:
    """Roughness along u and v; only GGX with visible normals."""
    text = str(bsdf)
    if "distribution = ggx" not in text or printed(bsdf, "sample_visible") != 1:
        raise InputError(
            f"shape {owner}",
            "has a microfacet distribution that the Slang backend lacks",
            expected="ggx with sample_visible",
            fix=SLANG_LIMIT,
        )
    found = children(bsdf)
    if "alpha" in found:
        alpha = value(builder, found["alpha"], owner)
        alpha["constant"] = np.maximum(alpha["constant"], 1e-4)
        return alpha
    parts = [value(builder, found[name], owner) for name in ("alpha_u", "alpha_v")]
    if any(part["texture"] for part in parts):
        raise InputError(f"shape {owner}", "has textured anisotropy", fix=SLANG_LIMIT)
    u, v = (max(float(part["constant"][0]), 1e-4) for part in parts)
    return constant(np.array([u, v, 0.0]))


def _dielectric(builder: DataBuilder, bsdf: Any, owner: str) -> Row:
    row, found = _blank(GLASS), children(bsdf)
    row["eta"] = numbers(mi.traverse(bsdf)["eta"])[0]
    for name, field in (("specular_reflectance", "color"), ("specular_transmittance", "second")):
        if name in found:
            row[field] = value(builder, found[name], owner)
    return row


def _rough_dielectric(builder: DataBuilder, bsdf: Any, owner: str) -> Row:
    row = _dielectric(builder, bsdf, owner)
    row["alpha"] = _alpha(builder, bsdf, owner)
    return row


def _principled(builder: DataBuilder, bsdf: Any, owner: str) -> Row:
    row, found, parameters = _blank(PRINCIPLED), children(bsdf), mi.traverse(bsdf)
    for name, field in (("base_color", "color"), ("roughness", "alpha"), ("metallic", "second")):
        row[field] = value(builder, found[name], owner)
    fixed = ("clearcoat", "clearcoat_gloss", "anisotropic")
    for name in (*fixed, "spec_trans", "spec_tint", "sheen", "flatness"):
        part = value(builder, found[name], owner) if name in found else constant(0.0)
        if part["texture"] or (name not in fixed and part["constant"].any()):
            raise InputError(
                f"shape {owner}", f"has a {name} that the Slang backend lacks", fix=SLANG_LIMIT
            )
        if name in fixed:
            row["k"][fixed.index(name)] = part["constant"][0]
    if "eta" in parameters:
        row["eta"] = numbers(parameters["eta"])[0]
    else:
        row["eta"] = 2.0 / (1.0 - (0.08 * numbers(parameters["specular"])[0]) ** 0.5) - 1.0
    return row


BUILDERS: Mapping[str, Callable[[DataBuilder, Any, str], Row]] = {
    "SmoothDiffuse": _diffuse,
    "SmoothPlastic": _plastic,
    "SmoothConductor": _conductor,
    "RoughConductor": _rough_conductor,
    "SmoothDielectric": _dielectric,
    "RoughDielectric": _rough_dielectric,
    "Principled": _principled,
}


def printed(node: Any, name: str) -> float:
    """A number that a Mitsuba object only tells in its description."""
    found = re.search(rf"\b{name} = \[?([-+.\deE]+)", str(node))
    if found is None:
        raise InputError(node.class_name(), f"does not tell its {name}", fix=SLANG_LIMIT)
    return float(found[1])
