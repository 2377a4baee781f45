"""Fitting: losses, schedule, phases, and that a short fit comes close to its reference."""

from __future__ import annotations

import dataclasses
import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from etendue.artifact import Artifact
from etendue.bake import train
from etendue.bake.latents import parameter_pyramid
from etendue.bake.material import bake
from etendue.bake.network import mlp
from etendue.bake.target import Batch, produce
from etendue.bsdf.layered import Layered
from etendue.bsdf.pyramid import level_offsets

from .conftest import RESOLUTION, TINY, painted, plain

FITTED = dataclasses.replace(TINY, steps=240, texels=256, pairs=8, reuse=4)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return bake(plain(), FITTED, tmp_path_factory.mktemp("fit") / "plain.eta")


def test_loss_decreases_in_a_short_fit(fitted: Artifact) -> None:
    losses = [loss for _, loss in fitted.header["quality"]["history"]]
    assert losses[-1] < 0.1 * losses[0]
    assert all(math.isfinite(loss) for loss in losses)


def test_learning_rate_warms_up_then_falls_as_a_cosine() -> None:
    settings = dataclasses.replace(TINY, steps=1000, lr_end=0.1)
    rates = [train.learning_rate(settings, k) for k in range(1001)]
    assert rates[0] == pytest.approx(0.01)
    assert max(rates) == pytest.approx(rates[99], rel=1e-3)
    assert rates[500] == pytest.approx(0.55) and rates[1000] == pytest.approx(0.1)
    assert all(a > b for a, b in itertools.pairwise(rates[100:]))


def test_evaluator_loss_is_zero_only_at_the_target() -> None:
    target = torch.tensor([[0.5, 0.0, 30.0]])
    assert float(train.loss_evaluator(target, target)) == 0
    assert float(train.loss_evaluator(1.1 * target, target)) > 1e-3


def test_sampler_loss_is_least_at_the_true_density() -> None:
    """E_p[-(f / p) log q] over a two-valued f is least for q in proportion to f (Gibbs)."""
    f = torch.tensor([1.0, 3.0])[:, None, None].expand(2, 1, 3)
    pdf = torch.full((2, 1), 0.5)
    one = torch.zeros(2, 1, 3)
    batch = Batch(torch.zeros(2, 2), torch.zeros(2).long(), one, one, f, pdf)
    losses = {
        q: float(train.loss_sampler(torch.tensor([[1 - q], [q]]).log(), batch))
        for q in (0.5, 0.65, 0.75, 0.85, 0.95)
    }
    assert min(losses, key=lambda q: losses[q]) == 0.75


def test_directions_of_infinite_density_do_not_train_the_sampler() -> None:
    batch = produce(Layered(plain(), walks=1), 32, 2, 1, 0, 0, at_centres=False)
    pdf = batch.pdf.clone()
    pdf[3, 1] = torch.inf
    log_q = torch.zeros(32, 2, requires_grad=True)
    train.loss_sampler(log_q, dataclasses.replace(batch, pdf=pdf)).backward()
    assert log_q.grad is not None and log_q.grad[3, 1] == 0
    assert bool((log_q.grad[:3] < 0).all())


def test_dropping_the_encoder_keeps_its_latents() -> None:
    data = painted().texture.data
    fit = train.start(TINY, data)
    fit.step = 7
    with torch.no_grad():
        expected = mlp(torch.from_numpy(parameter_pyramid(data)), fit.params, "encoder")
    after = train.drop_encoder(TINY, fit)
    assert after.features is None and after.step == 7
    assert not any(name.startswith("encoder") for name in after.params)
    assert after.params["latents"].shape == (level_offsets(RESOLUTION)[-1], 8)
    assert after.params["latents"].requires_grad
    torch.testing.assert_close(after.params["latents"].detach(), expected)


def test_every_visit_of_a_pool_sees_each_texel_once() -> None:
    order = train._order(TINY, 3)
    count = TINY.texels * TINY.pool
    assert order.shape == (TINY.pool * TINY.reuse, TINY.texels)
    for visit in order.reshape(TINY.reuse, count):
        assert torch.equal(visit.sort().values, torch.arange(count))
    assert not torch.equal(order, train._order(TINY, 4))
    assert torch.equal(order, train._order(TINY, 3))


def test_encoder_reads_the_texel_its_batch_names() -> None:
    batch = produce(Layered(painted(), walks=1), 200, 1, RESOLUTION, 0, 0, at_centres=True)
    index = train._texel_index(batch, RESOLUTION)
    data = painted().texture.data
    rows = parameter_pyramid(data)[index.numpy()]
    finest = batch.level.numpy() == 0
    column, row = np.floor(batch.uv.numpy()[finest].T * RESOLUTION).astype(int)
    scaled = (data[row, column] - data.mean((0, 1))) / data.std((0, 1))
    np.testing.assert_allclose(rows[finest, :3], scaled, atol=1e-3)
    np.testing.assert_allclose(rows[:, -1], batch.level.numpy() / 4, atol=1e-6)


def test_progress_saving_and_the_switch_of_phases(tmp_path: Path) -> None:
    """Pools are 6 steps, phases whole pools; half of 20 steps is about 2 pools."""
    told, phases = [], []
    train.run(
        TINY,
        train.start(TINY, painted().texture.data),
        Layered(painted(), walks=1),
        progress=lambda step, total, loss: told.append((step, total)),
        save=lambda fit: phases.append(fit.features is not None),
        stop=lambda: False,
    )
    assert told == [(6, 20), (12, 20), (18, 20), (20, 20)]
    assert phases == [True, True, False, False]
