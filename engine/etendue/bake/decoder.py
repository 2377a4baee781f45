"""A decoder that is taken over from a baked material or set, and where latents on it may begin."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from etendue.artifact import (
    SET,
    Artifact,
    digest,
    material_names,
    pick_material,
    read_artifact,
    read_material,
    split_name,
)
from etendue.bake.fit import Decoder, Subject, is_decoder
from etendue.bake.network import evaluate
from etendue.bake.settings import BakeSettings
from etendue.bake.target import produce
from etendue.bake.train import loss_evaluator
from etendue.bsdf.neural import check_material
from etendue.formats.material import plain

EXAMPLES = 512  # latents of the donor that are tried
TEXELS, PAIRS = 256, 8  # of a new material that they are tried on
ENCODER_SHARE = 0.75  # of the steps, at least: short bakes leave single latents as outliers
PROBE = 800_001  # number of the reference samples for it, which no step uses


@dataclass(frozen=True)
class Donor:
    """What a bake takes over."""

    arch: dict[str, object]  # of the artifact's header
    tensors: dict[str, np.ndarray]  # frames, evaluator, sampler
    examples: np.ndarray  # (n, 8) latents of the donor's own materials, evenly from all of them


def donor_of(artifact: Artifact, source: object = "decoder") -> Donor:
    """The decoder of a material, or of a set with examples from every material of it."""
    members = [artifact]
    if artifact.header.get("kind") == SET:
        names = material_names(source, artifact)
        members = [pick_material(source, artifact, name) for name in names]
    examples = []
    for member in members:
        check_material(source, member)
        latents = plain(member.header, member.tensors, source)["latents"]
        count = max(1, EXAMPLES // len(members))
        generator = np.random.default_rng(len(latents))
        chosen = generator.choice(len(latents), min(count, len(latents)), replace=False)
        examples.append(latents[chosen])
    decoded = plain(members[0].header, members[0].tensors, source)
    tensors = {n: v for n, v in decoded.items() if is_decoder(n)}
    return Donor(dict(members[0].header["arch"]), tensors, np.concatenate(examples))


def read_donor(path: Path) -> Donor:
    """The decoder of `FILE.eta`, a material or a set, or of `FILE.eta#NAME`."""
    file, name = split_name(path)
    artifact = read_artifact(file) if name is None else read_material(file, name)
    if artifact.header.get("kind") != SET:
        artifact = read_material(file, name)  # refuses other kinds
    return donor_of(artifact, path)


def with_decoder(settings: BakeSettings, donor: Donor) -> BakeSettings:
    """Settings of a bake on the networks of `donor`."""
    return dataclasses.replace(
        settings,
        arch=str(donor.arch["evaluator"]),
        sampler=str(donor.arch["sampler"]),
        reciprocal=bool(donor.arch.get("reciprocal")),
        encoder_share=max(settings.encoder_share, ENCODER_SHARE),
        decoder=digest({}, {**donor.tensors, "examples": donor.examples}),
    )


def begin_on(settings: BakeSettings, donor: Donor, subjects: Sequence[Subject]) -> Decoder:
    """What `fit.start` needs: the networks, and the examples that suit each material best.

    A latent vector far from the right one is often in another valley of the loss, and a material
    without texture has no encoder that would lead out of it.
    """
    starts = {s.key: nearest(settings, donor, s)[0] for s in subjects}
    return Decoder(donor.tensors, starts, donor.examples.std(0))


def nearest(settings: BakeSettings, donor: Donor, subject: Subject) -> np.ndarray:
    """The examples (n, 8) by how well each of them alone would do for all of a material."""
    where = (subject.resolution, subject.seed, PROBE)
    batch = produce(subject.reference, TEXELS, PAIRS, *where, at_centres=True)
    params = {n: torch.from_numpy(v.astype(np.float32)) for n, v in donor.tensors.items()}

    def error(latent: Tensor) -> float:
        value = evaluate(latent.expand(TEXELS, -1), batch.wi, batch.wo, params)
        return float(loss_evaluator(value, batch.f))

    examples = torch.from_numpy(donor.examples.astype(np.float32))
    with torch.no_grad():
        errors = [error(latent[None]) for latent in examples]
    return donor.examples[np.argsort(errors, kind="stable")]
