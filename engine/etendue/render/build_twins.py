"""Neural materials where no LLVM is usable: numpy twins for the plain-Python path tracer."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from etendue.artifact import Artifact, read_material
from etendue.bsdf import neural_numpy
from etendue.bsdf.neural import check_material
from etendue.bsdf.pyramid import level_offsets
from etendue.bsdf.transmission_artifact import is_transmission
from etendue.core.errors import DeviceError
from etendue.formats.material import plain
from etendue.render.build_state import ParsedState
from etendue.render.build_twin_transmission import TransmissionTwin

Array = np.ndarray


class NeuralTwin:
    """`NumpyBSDF` of one artifact; everything happens on the level nearest to the footprint."""

    def __init__(self, artifact: Artifact) -> None:
        self.tensors = {
            name: tensor.astype(np.float64)
            for name, tensor in plain(artifact.header, artifact.tensors).items()
            if tensor.dtype.kind == "f"
        }
        self.resolution = int(artifact.header["lod"]["resolution"])
        self.offsets = level_offsets(self.resolution)

    @classmethod
    def load(cls, path: str | Path, name: str | None = None) -> NeuralTwin | TransmissionTwin:
        """Read and verify a `.eta` file, whether light passes through it or not.

        `name` is that of a material in a set.
        """
        artifact = read_material(path, name)
        if is_transmission(artifact):
            return TransmissionTwin(artifact, path)
        check_material(path, artifact)
        return cls(artifact)

    def eval(
        self, uv: Array, wi: Array, wo: Array, footprint: float, rng: np.random.Generator
    ) -> Array:
        """f |cos theta_o|."""
        return neural_numpy.evaluate(self.latent(uv, footprint), wi, wo, self.tensors)

    def pdf(self, uv: Array, wi: Array, wo: Array, footprint: float) -> float:
        """Density of `sample`."""
        lobes = neural_numpy.lobes(self.latent(uv, footprint), wi, self.tensors)
        return float(neural_numpy.density(lobes, wi, wo))

    def sample(self, uv: Array, wi: Array, u: Array, footprint: float) -> tuple[Array, float]:
        """Direction and density."""
        lobes = neural_numpy.lobes(self.latent(uv, footprint), wi, self.tensors)
        wo = neural_numpy.draw(lobes, wi, u)
        return wo, float(neural_numpy.density(lobes, wi, wo))

    def latent(self, uv: Array, footprint: float) -> Array:
        """Bilinear, wrapping lookup at the level whose texel is nearest to the footprint."""
        texels = max(footprint * self.resolution, 1.0)
        level = min(int(math.log2(texels) + 0.5), len(self.offsets) - 2)
        side, start = self.resolution >> level, self.offsets[level]
        corner = np.floor((uv - np.floor(uv)) * side - 0.5)
        tx, ty = (uv - np.floor(uv)) * side - 0.5 - corner
        total = np.zeros(neural_numpy.LATENTS)
        for dy, wy in ((0, 1 - ty), (1, ty)):
            for dx, wx in ((0, 1 - tx), (1, tx)):
                column, row = int(corner[0] + dx) % side, int(corner[1] + dy) % side
                total += wx * wy * self.tensors["latents"][start + row * side + column]
        return total


Twin = NeuralTwin | TransmissionTwin


def take_twins(state: ParsedState) -> dict[str, Twin]:
    """Put a stand-in for every neural material of an XML scene; the twins by shape name."""
    twins: dict[int, Twin] = {}
    for node in state.of_type("BSDF"):
        props = state.props(node)
        if props.plugin_name() == "neural":
            name = props["material"] if "material" in props else None
            twins[node] = NeuralTwin.load(props["filename"], name)
            props.set_plugin_name("diffuse")
            for key in ("filename", "material"):
                if key in props:
                    del props[key]
    two_sided: dict[int, Twin] = {}
    for node in state.of_type("BSDF"):
        for _, child in state.children(node, "BSDF"):
            if child in twins and state.props(node).plugin_name() != "twosided":
                raise DeviceError(
                    "neural material inside another material",
                    "needs a usable LLVM",
                    fix="See `etendue doctor`",
                )
            if child in twins:
                two_sided[node] = twins[child]
    twins |= two_sided
    found: dict[str, Twin] = {}
    for shape in state.of_type("Shape"):
        for _, child in state.children(shape, "BSDF"):
            if child in twins:
                found[state.props(shape).id()] = twins[child]
    return found
