"""Baked materials as the page's ball gets them: networks, energy and one level of the latents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from etendue.artifact import read_material
from etendue.bsdf.neural_numpy import is_reciprocal
from etendue.bsdf.pyramid import level_offsets, level_sizes
from etendue.formats.material import plain, resolution

FINEST = 128  # texels per side of the level that is sent
MOST = 16  # materials


@dataclass(frozen=True)
class PageMaterial:
    """What describes a material, and its numbers: float32, little endian."""

    description: Mapping[str, Any]
    content: bytes


def page_materials(baked: Mapping[str, Path]) -> list[PageMaterial]:
    """The neural materials of a scene, by the first shape that has each; `baked` as `BuiltScene`'s.

    Those that transmit have other networks, which the ball does not know, and are left out.
    """
    files = dict.fromkeys(baked.values())
    made = [_page_material(path) for path in list(files)[:MOST]]
    return [material for material in made if material is not None]


def _page_material(path: Path) -> PageMaterial | None:
    artifact = read_material(path)
    if "evaluator.w0" not in artifact.tensors:
        return None
    tensors = plain(artifact.header, artifact.tensors, path)
    side, level = latent_level(resolution(path, artifact.header))
    parts = {"frames": tensors["frames"], "energy": tensors["energy"]}
    layers = sum(name.startswith("evaluator.w") for name in tensors)
    for k in range(layers):
        parts |= {f"{kind}{k}": tensors[f"evaluator.{kind}{k}"] for kind in "wb"}
    parts["latents"] = tensors["latents"][level]
    ends = np.cumsum([array.size for array in parts.values()]).tolist()
    description = {
        "name": str(artifact.header.get("name", path.stem)),
        "symmetric": is_reciprocal(tensors),
        "side": side,
        "sizes": [parts["w0"].shape[1], *(parts[f"w{k}"].shape[0] for k in range(layers))],
        "parts": {
            name: [end - array.size, end]
            for (name, array), end in zip(parts.items(), ends, strict=True)
        },
    }
    flat = np.concatenate([np.asarray(array, "<f4").reshape(-1) for array in parts.values()])
    return PageMaterial(description, flat.tobytes())


def latent_level(side: int) -> tuple[int, slice]:
    """Side and texels of the finest level that is sent, of a pyramid with `side`."""
    sizes, offsets = level_sizes(side), level_offsets(side)
    k = next(k for k, size in enumerate(sizes) if size <= FINEST)
    return sizes[k], slice(offsets[k], offsets[k + 1])
