"""A baked material in other number formats: smaller, and as near as these allow.

Nothing is trained and no reference is needed: from the stored numbers alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from etendue.artifact import Artifact, digest
from etendue.bake.energy import albedo_map, bound_energy
from etendue.bsdf.neural import check_material
from etendue.bsdf.neural_numpy import LATENTS, draw, evaluate, lobes, normalize
from etendue.formats import latents as latent_formats
from etendue.formats import weights as weight_formats
from etendue.formats.material import plain, resolution, texel_count

SAMPLES = 4096
EPSILON = 0.01  # as in the loss: values well below are dark enough to be anything
FLOOR = 1e-4  # of the metric's eigenvalues, relative to the largest


def requantise(
    artifact: Artifact,
    *,
    latents: str = "f16",
    weights: str = "f32",
    seed: int = 0,
    source: object = "artifact",
) -> Artifact:
    """`artifact` with latents and networks in the named formats.

    Latents of so few texels that the format would not save anything stay f16. The evaluator's last
    bias makes up for the mean change of log f, the energy table is lowered where the changed
    material would reflect too much, and the albedo guide is fitted again.
    Raises `InputError` for unknown formats, incomplete artifacts and numbers out of range.
    """
    latent_formats.check_format(latents)
    weight_formats.check_format(weights)
    check_material(source, artifact)
    before = plain(artifact.header, artifact.tensors, source)
    values = before.pop("latents")
    stored = weight_formats.encode(before, weights)
    networks = weight_formats.decode(source, stored)
    coded = latent_formats.encode(values, "f16")
    if latents != "f16":
        metric = sensitivity(values, networks, seed)
        other = _encoded(values, latents, metric, seed)
        if _size(other.tensors) < _size(coded.tensors):
            coded = other
        else:
            latents = "f16"
    texels = texel_count(resolution(source, artifact.header))
    after = latent_formats.decode(source, latents, coded.tensors, texels)
    exact = after.astype(np.float64)
    last = max(name for name in networks if name.startswith("evaluator.b"))
    shift = _mean_change((values, before), (after, networks), seed)
    stored[last] = (networks[last] - shift).astype(stored[last].dtype)
    networks[last] = stored[last].astype(np.float32)
    energy, peaks = bound_energy(exact, networks, seed)
    networks["energy"] = stored["energy"] = energy
    stored["albedo"] = albedo_map(exact, networks, seed)
    header = dict(artifact.header)
    header["latent"] = {
        "channels": LATENTS,
        "format": latents,
        "max_error": [float(e) for e in np.abs(after - values).max(0)],
        "max_bound": [float(e) for e in coded.bound.max(0)],
    }
    header["weights"] = {"format": weights}
    header["provenance"] = dict(header.get("provenance", {})) | {
        "requantised_from_sha256": digest(artifact.header, artifact.tensors),
        "requantised_seed": seed,
    }
    header["quality"] = dict(header.get("quality", {})) | {
        "peak_albedo_before_bound": round(float(peaks.max()), 5)
    }
    return Artifact(header, stored | coded.tensors)


def _encoded(
    values: np.ndarray, form: str, metric: np.ndarray, seed: int
) -> latent_formats.Encoded:
    """Latents in a format; of those that are learned the error itself is the bound."""
    if form not in latent_formats.FIELDS:
        return latent_formats.encode(values, form, metric=metric, seed=seed)
    from etendue.bake.latent_distill import distill

    tensors = distill(values, form, metric, seed)
    found = latent_formats.decode("latents", form, tensors, len(values))
    return latent_formats.Encoded(tensors, np.abs(found.astype(np.float64) - values))


def sensitivity(latents: np.ndarray, tensors: Mapping[str, np.ndarray], seed: int) -> np.ndarray:
    """G (8, 8): a small error e of a latent changes log f by e^T G e in the mean square.

    G is the mean of J J^T, J the gradient of log(f |cos| + 0.01) by central differences, over
    `_places`, as a share of its largest eigenvalue and with none below `FLOOR`.
    """
    texel, wi, wo = _places(latents, tensors, seed)
    z = latents[texel].astype(np.float64)
    gradient = np.empty((SAMPLES, LATENTS, 3))
    for c in range(LATENTS):
        step = 1e-3 * np.eye(LATENTS)[c] * max(float(z[:, c].std()), 1e-3)
        high, low = (np.log(evaluate(z + s, wi, wo, tensors) + EPSILON) for s in (step, -step))
        gradient[:, c] = (high - low) / (2 * step[c])
    metric = np.einsum("nac,nbc->ab", gradient, gradient) / (3 * SAMPLES)
    share, axes = np.linalg.eigh(metric)
    if not share[-1] > 0:  # light does not depend on the latents
        return np.eye(LATENTS)
    return (axes * np.maximum(share / share[-1], FLOOR)) @ axes.T


def _mean_change(
    before: tuple[np.ndarray, Mapping[str, np.ndarray]],
    after: tuple[np.ndarray, Mapping[str, np.ndarray]],
    seed: int,
) -> np.ndarray:
    """Mean of log f (3,) of the latents and tensors `after` less that of those `before`."""
    texel, wi, wo = _places(*before, seed)
    old, new = (
        np.log(evaluate(z[texel].astype(np.float64), wi, wo, tensors) + EPSILON)
        for z, tensors in (before, after)
    )
    return (new - old).mean(0)


def _places(
    latents: np.ndarray, tensors: Mapping[str, np.ndarray], seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random texels (n,) and directions wi, wo (n, 3).

    Outgoing directions come in turn from the material's own sampler and all of the hemisphere.
    """
    generator = np.random.default_rng(seed)
    texel = generator.integers(0, len(latents), SAMPLES)
    wi, around = _hemisphere(generator), _hemisphere(generator)
    z = latents[texel].astype(np.float64)
    wo = draw(lobes(z, wi, tensors), wi, generator.random((SAMPLES, 3)))
    own = (np.arange(SAMPLES) % 2 == 0) & (wo[:, 2] > 0)
    return texel, wi, np.where(own[:, None], wo, around)


def _hemisphere(generator: np.random.Generator) -> np.ndarray:
    """Nearly uniform directions (SAMPLES, 3), none on the horizon."""
    w = generator.normal(size=(SAMPLES, 3))
    w[:, 2] = np.abs(w[:, 2]) + 0.05
    return normalize(w)


def _size(tensors: Mapping[str, np.ndarray]) -> int:
    return sum(array.nbytes for array in tensors.values())
