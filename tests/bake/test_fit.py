"""What is trained: latents by encoder and directly, tensors of several materials side by side."""

from __future__ import annotations

import numpy as np
import torch

from etendue.bake.fit import (
    Subject,
    drop_encoder,
    from_checkpoint,
    is_decoder,
    latent_of,
    start,
    texel_index,
    to_checkpoint,
)
from etendue.bake.latents import parameter_pyramid
from etendue.bake.network import encode
from etendue.bake.target import produce
from etendue.bsdf.layered import Layered
from etendue.bsdf.pyramid import level_offsets

from .conftest import RESOLUTION, TINY, painted, plain


def test_dropping_the_encoder_keeps_its_latents() -> None:
    data = painted().texture.data
    fit = start(TINY, [Subject(Layered(painted()), RESOLUTION, data)]).fit
    with torch.no_grad():
        expected = encode(torch.from_numpy(parameter_pyramid(data)), fit.params, "encoder")
    after = drop_encoder(TINY, fit)
    assert not after.features
    assert not any(name.startswith("encoder") for name in after.params)
    assert after.params["latents"].shape == (level_offsets(RESOLUTION)[-1], 8)
    assert after.params["latents"].requires_grad
    torch.testing.assert_close(after.params["latents"].detach(), expected)


def test_encoder_reads_the_texel_its_batch_names() -> None:
    batch = produce(Layered(painted(), walks=1), 200, 1, RESOLUTION, 0, 0, at_centres=True)
    index = texel_index(batch, RESOLUTION)
    data = painted().texture.data
    rows = parameter_pyramid(data)[index.numpy()]
    finest = batch.level.numpy() == 0
    column, row = np.floor(batch.uv.numpy()[finest].T * RESOLUTION).astype(int)
    scaled = (data[row, column] - data.mean((0, 1))) / data.std((0, 1))
    np.testing.assert_allclose(rows[finest, :3], scaled, atol=1e-3)
    np.testing.assert_allclose(rows[:, -1], batch.level.numpy() / 4, atol=1e-6)


def pair() -> list[Subject]:
    """A textured and a constant material."""
    textured = Subject(Layered(painted(), walks=1), RESOLUTION, painted().texture.data, "0/")
    return [textured, Subject(Layered(plain(), walks=1), 1, None, "1/", 1)]


def test_two_materials_share_the_decoder_and_nothing_else() -> None:
    fit = start(TINY, pair()).fit
    own = {n for n in fit.params if not is_decoder(n)}
    assert "1/latents" in own and "0/encoder.w0" in own
    assert all(name.startswith(("0/", "1/")) for name in own)
    after = drop_encoder(TINY, fit)
    assert {n for n in after.params if not is_decoder(n)} == {"0/latents", "1/latents"}
    assert after.params["1/latents"].shape == (1, 8)
    assert torch.equal(after.params["1/latents"], fit.params["1/latents"])
    assert all(torch.equal(after.params[n], fit.params[n]) for n in fit.params if is_decoder(n))


def test_direct_latents_start_as_what_the_encoder_said() -> None:
    subject, _ = pair()
    batch = produce(subject.reference, 50, 1, RESOLUTION, 0, 0, at_centres=True)
    fit = start(TINY, pair()).fit
    direct = latent_of(drop_encoder(TINY, fit), subject, batch)
    torch.testing.assert_close(direct, latent_of(fit, subject, batch), atol=1e-6, rtol=1e-5)


def test_a_checkpoint_holds_every_tensor_of_every_material() -> None:
    training = start(TINY, pair())
    again = from_checkpoint(TINY, to_checkpoint(training, {}), pair())
    fit, other = training.fit, again.fit
    assert fit.params.keys() == other.params.keys()
    assert all(torch.equal(v, other.params[n]) for n, v in fit.params.items())
    assert fit.features.keys() == other.features.keys() == {"0/"}
    training.fit = drop_encoder(TINY, fit)
    later = from_checkpoint(TINY, to_checkpoint(training, {}), pair())
    assert torch.equal(later.fit.params["0/latents"], training.fit.params["0/latents"])
    assert not later.fit.features
