"""Fitting: losses, schedule, phases, and that a short fit comes close to its reference."""

from __future__ import annotations

import dataclasses
import itertools
import math
from pathlib import Path

import pytest
import torch

from etendue.artifact import Artifact
from etendue.bake import train
from etendue.bake.fit import Fit, Subject, from_checkpoint, start, to_checkpoint
from etendue.bake.material import bake
from etendue.bake.target import Batch, produce
from etendue.bsdf.layered import Layered

from .conftest import RESOLUTION, TINY, painted, plain

FITTED = dataclasses.replace(TINY, steps=240, texels=256, pairs=8, reuse=4)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return bake(plain(), FITTED, tmp_path_factory.mktemp("fit") / "plain.eta")


def test_loss_decreases_in_a_short_fit(fitted: Artifact) -> None:
    losses = [loss for _, loss in fitted.header["quality"]["history"]]
    assert losses[-1] < 0.1**0.5 * losses[0]  # a tenth of the squared error
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


def test_the_loss_is_relative_to_the_target() -> None:
    """A tenth too bright costs the same whatever the value."""
    errors = []
    for level in (1.0, 8.0):
        target = torch.full((4, 3), level)
        assert float(train.loss_evaluator(target, target)) == 0
        errors.append(float(train.loss_evaluator(1.1 * target, target)))
    assert errors[1] / errors[0] == pytest.approx(1.0, rel=0.03)


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


def test_every_visit_of_a_pool_sees_each_texel_once() -> None:
    order = train._order(TINY, 3, TINY.texels)
    count = TINY.texels * TINY.pool
    assert order.shape == (TINY.pool * TINY.reuse, TINY.texels)
    for visit in order.reshape(TINY.reuse, count):
        assert torch.equal(visit.sort().values, torch.arange(count))
    assert not torch.equal(order, train._order(TINY, 4, TINY.texels))
    assert torch.equal(order, train._order(TINY, 3, TINY.texels))


def test_progress_saving_and_the_switch_of_phases(tmp_path: Path) -> None:
    """Pools are 6 steps, phases whole pools; half of 20 steps is about 2 pools."""
    told, phases = [], []
    subjects = [Subject(Layered(painted(), walks=1), RESOLUTION, painted().texture.data)]
    train.run(
        TINY,
        start(TINY, subjects),
        subjects,
        progress=lambda step, total, loss: told.append((step, total)),
        save=lambda training: phases.append(bool(training.fit.features)),
        stop=lambda: False,
    )
    assert told == [(6, 20), (12, 20), (18, 20), (20, 20)]
    assert phases == [True, True, False, False]


def test_a_fit_that_is_good_enough_lands_early() -> None:
    """The rate falls to its end within a tenth of the planned steps, and there the bake ends."""
    settings = dataclasses.replace(TINY, steps=120, texels=32, pool=1, reuse=2)
    asked: list[int] = []
    subjects = [Subject(Layered(painted(), walks=1), RESOLUTION, painted().texture.data)]
    training = start(settings, subjects)

    def reached(fit: Fit) -> bool:
        assert not fit.features
        asked.append(training.step)
        return len(asked) == 2

    train.run(
        settings,
        training,
        subjects,
        progress=lambda step, total, loss: None,
        save=lambda training: None,
        stop=lambda: False,
        reached=reached,
    )
    assert asked == [70, 80]
    assert training.landing == (80, 92) and training.step == 92
    rates = [train.learning_rate(settings, k, (80, 92)) for k in range(80, 93)]
    assert all(a > b for a, b in itertools.pairwise(rates))
    assert rates[0] == train.learning_rate(settings, 80)
    assert rates[-1] == pytest.approx(settings.lr_end)
    saved = to_checkpoint(training, {})
    again = from_checkpoint(settings, saved, subjects)
    assert again.landing == (80, 92) and again.fit.smooth == training.fit.smooth
