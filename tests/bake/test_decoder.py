"""Decoders that are taken over: what is read, and where latents on them begin."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from etendue.artifact import Artifact, join_materials, write_artifact
from etendue.bake import network
from etendue.bake.decoder import (
    ENCODER_SHARE,
    EXAMPLES,
    begin_on,
    donor_of,
    nearest,
    read_donor,
    with_decoder,
)
from etendue.bake.fit import Subject, is_decoder, start
from etendue.bake.network import evaluate
from etendue.bake.target import produce
from etendue.bake.train import loss_evaluator
from etendue.bsdf.layered import Layered
from etendue.core.errors import InputError

from .conftest import RESOLUTION, TINY, matte, painted


def untrained(name: str, side: int, seed: int) -> Artifact:
    """A material on one decoder, whatever its name, size and seed."""
    params = network.init_params("2x16", "2x16", torch.Generator().manual_seed(0))
    tensors = {n: value.numpy() for n, value in params.items()}
    texels = (4 * side * side - 1) // 3
    latents = np.random.default_rng(seed).normal(size=(texels, 8))
    tensors["latents"] = latents.astype(np.float16)
    tensors["energy"] = np.ones((33, 3), np.float32)
    tensors["albedo"] = np.zeros((3, 9), np.float32)
    arch = {"evaluator": "2x16", "sampler": "2x16"}
    header = {"kind": "material", "name": name, "arch": arch, "lod": {"resolution": side}}
    return Artifact(header, tensors)


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    members = [untrained("oak", 32, 1), untrained("gold", 1, 2)]
    decoder = [n for n in members[0].tensors if is_decoder(n)]
    joined = join_materials(members, {"arch": members[0].header["arch"]}, decoder)
    write_artifact(tmp_path / "set.eta", joined)
    return tmp_path / "set.eta"


def test_examples_come_evenly_from_all_materials(pair: Path) -> None:
    donor = read_donor(pair)
    oak, gold = untrained("oak", 32, 1), untrained("gold", 1, 2)
    assert donor.examples.shape == (EXAMPLES // 2 + 1, 8)
    np.testing.assert_array_equal(donor.examples[-1], gold.tensors["latents"][0])
    rows = {row.tobytes() for row in oak.tensors["latents"].astype(np.float32)}
    found = {row.tobytes() for row in donor.examples[:-1].astype(np.float32)}
    assert found <= rows and len(found) == EXAMPLES // 2
    only = read_donor(Path(f"{pair}#gold"))
    np.testing.assert_array_equal(only.examples, gold.tensors["latents"])
    assert only.tensors.keys() == donor.tensors.keys()


def test_settings_name_the_decoder_and_what_came_with_it(pair: Path) -> None:
    donor = read_donor(pair)
    settings = with_decoder(TINY, donor)
    assert settings.arch == "2x16" and not settings.reciprocal
    assert settings.encoder_share == ENCODER_SHARE
    other = dataclasses.replace(donor, examples=donor.examples + 1)
    assert with_decoder(TINY, other).decoder != settings.decoder


def test_what_is_no_decoder(pair: Path, tmp_path: Path) -> None:
    write_artifact(tmp_path / "field.eta", Artifact({"kind": "field"}, {}))
    with pytest.raises(InputError, match="wrong kind of data; got field"):
        read_donor(tmp_path / "field.eta")
    with pytest.raises(InputError, match="no such material; got tin, expected one of: gold, oak"):
        read_donor(Path(f"{pair}#tin"))
    broken = untrained("oak", 4, 1)
    tensors = {n: a for n, a in broken.tensors.items() if n != "evaluator.w1"}
    with pytest.raises(InputError, match="evaluator"):
        donor_of(Artifact(broken.header, tensors), "broken.eta")


def test_nearest_orders_examples_by_their_loss(pair: Path) -> None:
    donor = read_donor(pair)
    subject = Subject(Layered(matte(), walks=16), 1)
    found = nearest(TINY, donor, subject)
    assert sorted(map(bytes, found)) == sorted(map(bytes, donor.examples))
    batch = produce(subject.reference, 512, 4, 1, 5, 0, at_centres=True)
    params = {n: torch.from_numpy(v) for n, v in donor.tensors.items()}
    losses = []
    for row in found[:: len(found) // 8]:
        latent = torch.from_numpy(row.astype(np.float32)).expand(512, 8)
        losses.append(float(loss_evaluator(evaluate(latent, batch.wi, batch.wo, params), batch.f)))
    assert losses == sorted(losses), "seen on samples of another stream"


def test_encoders_and_latents_begin_at_the_examples() -> None:
    donor = donor_of(untrained("oak", 32, 1))
    settings = with_decoder(TINY, donor)
    subjects = [
        Subject(Layered(painted(), walks=1), RESOLUTION, painted().texture.data, "0/"),
        Subject(Layered(matte(), walks=1), 1, None, "1/"),
    ]
    decoder = begin_on(settings, donor, subjects)
    assert decoder.starts["0/"].shape == (8,)
    fit = start(settings, subjects, decoder).fit
    bias = fit.params["0/encoder.b4"].detach().numpy()
    np.testing.assert_allclose(bias, decoder.starts["0/"])
    latents = fit.params["1/latents"].detach().numpy()
    np.testing.assert_allclose(latents, decoder.starts["1/"][None])
    assert all(not fit.params[n].requires_grad for n in donor.tensors)
