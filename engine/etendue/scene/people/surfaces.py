"""What rooms and people are made of: names that a table can look up, and looks for pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from etendue.core.errors import InputError
from etendue.scene.material import Layer, LayeredMaterial, LayerKind, Stack
from etendue.scene.scene import Surface

_STACK = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Look:
    """How a material scatters light, with the colours it comes in (linear, one is picked)."""

    colors: tuple[tuple[float, float, float], ...]
    kind: str = "matt"  # matt, coated, metal or glass
    alpha: float = 0.3  # GGX alpha of the coat or the metal


MATERIALS = {
    "plasterboard": Look(((0.78, 0.76, 0.72), (0.62, 0.68, 0.72), (0.74, 0.66, 0.54))),
    "concrete": Look(((0.42, 0.41, 0.39), (0.52, 0.51, 0.5))),
    "brick": Look(((0.42, 0.17, 0.11), (0.5, 0.26, 0.18))),
    "wood": Look(((0.36, 0.19, 0.09), (0.52, 0.33, 0.17), (0.2, 0.1, 0.05)), "coated", 0.3),
    "metal": Look(((0.72, 0.73, 0.74), (0.86, 0.86, 0.84)), "metal", 0.3),
    "glass": Look(((0.95, 0.97, 0.96),), "glass"),
    "tile": Look(((0.6, 0.6, 0.58), (0.32, 0.34, 0.36)), "coated", 0.15),
    "fabric": Look(((0.12, 0.2, 0.32), (0.3, 0.3, 0.32), (0.36, 0.12, 0.1), (0.16, 0.26, 0.16))),
    "plastic": Look(((0.75, 0.75, 0.75), (0.05, 0.05, 0.06)), "coated", 0.2),
    "skin": Look(((0.62, 0.4, 0.3), (0.45, 0.26, 0.17), (0.22, 0.12, 0.08)), "coated", 0.45),
    "leather": Look(((0.06, 0.04, 0.03), (0.2, 0.11, 0.06)), "coated", 0.35),
    "hair": Look(((0.03, 0.02, 0.015), (0.14, 0.08, 0.04), (0.3, 0.22, 0.12))),
    "eye": Look(((0.8, 0.8, 0.78),), "coated", 0.1),
    "lamp": Look(((0.8, 0.8, 0.8),)),
}


def surface(name: str, seed: int, emission: tuple[float, float, float] | None = None) -> Surface:
    """A surface of the material `name`, in one of its colours; `emission` is radiance, RGB."""
    look = MATERIALS.get(name)
    if look is None:
        raise InputError("material", "is unknown", got=name, expected=", ".join(MATERIALS))
    rng = np.random.default_rng([seed, *name.encode()])
    picked = np.array(look.colors[rng.integers(len(look.colors))])
    tint = rng.uniform(0.7, 1.25, 3) if name == "fabric" else rng.uniform(0.85, 1.1)
    color = np.clip(picked * tint, 0, 0.98)
    red, green, blue = (float(c) for c in color)
    layers = _layers(look, (red, green, blue))
    material = LayeredMaterial(name, layers, (Stack(_STACK, tuple(range(len(layers)))),))
    flat = {
        "base": color,
        "roughness": np.array([np.sqrt(look.alpha) if look.kind != "matt" else 1.0]),
        "metallic": np.array([float(look.kind == "metal")]),
        "coat": np.array([float(look.kind == "coated")]),
    }
    glow = None if emission is None else np.array(emission, np.float32).reshape(1, 1, 3)
    return Surface(material, emission=glow, flat=flat)


def _layers(look: Look, color: tuple[float, float, float]) -> tuple[Layer, ...]:
    alpha = (look.alpha, look.alpha)
    matt = Layer(LayerKind.DIFFUSE, albedo=color, roughness=0.3)
    if look.kind == "coated":
        return Layer(LayerKind.DIELECTRIC, alpha=alpha, eta=1.45), matt
    if look.kind == "metal":
        return (Layer(LayerKind.CONDUCTOR, alpha=alpha, f0=color),)
    if look.kind == "glass":
        return Layer(LayerKind.DIELECTRIC, eta=1.5, smooth=True), Layer(LayerKind.OPEN)
    return (matt,)
