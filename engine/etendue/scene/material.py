"""A layered material as data: stacks of layers whose parameters are constants or texture channels.

Conventions (shared with `bsdf/layered.py`, its only interpreter):

* Local shading frame: +z normal, +x = dp/du, +y = z cross x (image "up").
* `ParameterTexture.data[row, column, channel]`; row 0 is v = 0, the *top* of an image, column 0
  is u = 0; texel centres at (i + 0.5) / size; both axes wrap; bilinear lookup.
* A material is a statistical mixture  f = sum_s weight_s f_s  of `Stack`s (weights are RGB and may
  exceed one in sum only for additive graphs); a stack is walked from `layers[0]` (top) down to
  `layers[-1]` (opaque, or OPEN where light leaves the stack downwards).
* A material with an open stack transmits. Below it lies the inside of a solid (`interior` says
  what light loses there) or, without an interior, air: the surface is a thin wall.
* Every layer has its own local frame (`normal` slopes, `tangent` direction) inside the shading
  frame.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

ALPHA_MIN = 0.03  # smoothest GGX we model; smaller roughness is raised to this (no delta lobes)


class LayerKind(IntEnum):
    """What a layer is; DIELECTRIC refracts to the layer below, the others end a stack."""

    BLACK = 0  # absorbs everything (stands for light that is transmitted and lost)
    DIFFUSE = 1  # energy-preserving Oren-Nayar
    CONDUCTOR = 2  # GGX with the generalised Schlick / F82 Fresnel
    DIELECTRIC = 3  # GGX interface, reflects and refracts; a medium lies below it
    OPEN = 4  # nothing: light that arrives here leaves the stack


@dataclass(frozen=True)
class Channel:
    """A parameter that is read from `ParameterTexture.data[..., index]`."""

    index: int


Scalar = float | Channel
RGB = tuple[Scalar, Scalar, Scalar]
Pair = tuple[Scalar, Scalar]

WHITE: RGB = (1.0, 1.0, 1.0)
BLACK_RGB: RGB = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Layer:
    """One scattering layer; fields that its kind does not use are ignored."""

    kind: LayerKind
    name: str = ""
    alpha: Pair = (0.3, 0.3)  # GGX alpha along tangent / bitangent (already squared roughness)
    normal: Pair = (0.0, 0.0)  # slopes: frame normal = normalize(normal[0], normal[1], 1)
    tangent: Pair = (1.0, 0.0)  # direction in the xy plane, normalised after lookup
    # CONDUCTOR: F = f0 + (f90 - f0)(1-c)^5 - b c (1-c)^6, b such that F(c=1/7) is f82 times
    # the value without b (Kutz et al. 2021, "Novel aspects of the Adobe Standard Material")
    f0: RGB = WHITE
    f82: RGB = WHITE
    f90: RGB = WHITE
    # DIELECTRIC
    eta: Scalar = 1.5  # refractive index below / above this interface
    reflect_tint: RGB = WHITE  # multiplies the exact Fresnel reflectance, <= 1
    transmit_tint: RGB = WHITE  # multiplies 1 - F, <= 1
    # Medium below a DIELECTRIC interface, optical depths at normal incidence
    tau_absorb: RGB = BLACK_RGB
    tau_scatter: Scalar = 0.0  # grey scattering depth, single-scattering albedo 1
    g: Scalar = 0.0  # Henyey-Greenstein mean cosine
    # DIELECTRIC in an open stack
    smooth: bool = False  # a mirror: no lobe but delta directions; all layers of a stack or none
    film_eta: Scalar = 1.0  # refractive index of a thin film on the interface, relative to above
    film_thickness: Scalar = 0.0  # nanometres, 0 = no film
    # DIFFUSE
    albedo: RGB = (0.8, 0.8, 0.8)  # of the Lambert / EON lobe itself
    roughness: Scalar = 0.0  # Oren-Nayar sigma in [0, 1]


@dataclass(frozen=True)
class Stack:
    """Layers from top to bottom under an optional sheen, taken with an RGB weight.

    f = sheen_color f_sheen + (1 - max E_sheen(wi), E_sheen(wo)) f_walk, weighted by `weight`.
    """

    weight: RGB
    layers: tuple[int, ...]  # indices into `LayeredMaterial.layers`; the last one is no DIELECTRIC
    sheen_color: RGB = BLACK_RGB
    sheen_roughness: Scalar = 0.3


@dataclass(frozen=True)
class ParameterTexture:
    """float32 (H, W, C) in linear units; C may be 0 for a constant material (then H = W = 1)."""

    channels: tuple[str, ...] = ()
    data: np.ndarray = field(default_factory=lambda: np.zeros((1, 1, 0), np.float32))


@dataclass(frozen=True)
class Interior:
    """What light meets inside a solid: transmittance exp(-absorption length), RGB."""

    absorption: tuple[float, float, float] = (0.0, 0.0, 0.0)  # per unit of scene length


@dataclass(frozen=True)
class LayeredMaterial:
    """Everything that baking or reference rendering needs to know of a material."""

    name: str
    layers: tuple[Layer, ...]
    stacks: tuple[Stack, ...]
    texture: ParameterTexture = ParameterTexture()
    notes: tuple[str, ...] = ()  # one line per input that is not modelled and what replaces it
    source_hash: str = ""  # SHA-256 over the document and every image it reads
    interior: Interior | None = None  # of the solid below open stacks, None for a thin wall

    def is_open(self, stack: Stack) -> bool:
        """Whether light passes through `stack`."""
        return self.layers[stack.layers[-1]].kind == LayerKind.OPEN

    @property
    def transmits(self) -> bool:
        """Whether any stack is open."""
        return any(map(self.is_open, self.stacks))
