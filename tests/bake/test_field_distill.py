"""Training and distillation on a coloured ball: it is learned, kept, resumed, and refused."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from etendue.artifact import read_artifact
from etendue.bake import field_distill
from etendue.bake.field_distill import (
    NotGoodEnoughError,
    Stages,
    convert,
)
from etendue.bake.field_fit import FieldSettings, generator_of
from etendue.bake.field_hard import Watch, weights
from etendue.bake.field_judge import agreement, show
from etendue.bake.field_pool import (
    EPOCH,
    POSES,
    UNSEEN,
    draw,
    fill,
    hardest,
    point_errors,
    pose_of,
    random_rays,
    ray_errors,
)
from etendue.bake.field_train import look_through, psnr, train
from etendue.bake.material import checkpoint_path
from etendue.bake.train import BakeStoppedError
from etendue.core.errors import InputError
from etendue.field.base import density
from etendue.field.data import Dataset, Photos
from etendue.field.file import Field, make_model, read_field
from etendue.field.march import STEP, composite, march, span, through
from etendue.field.occupancy import survey
from etendue.field.rays import Cube, Rays, View, look_at, sphere

SMALL: dict[str, dict[str, int]] = {
    "hashgrid": {"levels": 4, "coarsest": 6, "finest": 32, "log2_table": 12, "width": 32},
    "vm": {"size": 24, "density_rank": 4, "color_rank": 8},
    "cp": {"size": 32, "density_rank": 16, "color_rank": 16},
    "mlp": {"width": 48, "depth": 4, "bands": 4},
    "hashvm": {
        "levels": 2,
        "coarsest": 8,
        "finest": 24,
        "log2_table": 9,
        "width": 16,
        "size": 9,
        "density_rank": 3,
        "color_rank": 4,
    },
    "grid": {"size": 24},
}
QUICK = FieldSettings(steps=96, rays=256)


def ball() -> Field:
    """A grid with a ball of radius 0.3 whose colour is its position."""
    size = 24
    axis = torch.linspace(0, 1, size)
    p = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    values = torch.zeros(size**3, 28)
    values[:, 0] = 60 * (0.3 - (p - 0.5).norm(dim=-1)).clamp(-0.2, 0.08)
    values[:, [1, 10, 19]] = 12 * (p - 0.5)
    model = make_model("grid", {"size": size})
    params = {"values": values}
    found = survey(lambda x: model.log_density(params, x), STEP, 0)
    return Field(model, params, Cube((0.0, 0.0, 0.0), 2.0), found, "ball", 1.5)


def photos(field: Field, count: int, side: int = 20) -> Photos:
    """What cameras around the ball see of it."""
    views, pictures = [], []
    for direction in sphere(count):
        view = View(
            look_at(3 * direction, (0, 0, 0)), side, side, (1.4 * side,) * 2, (side / 2,) * 2
        )
        seen = look_through(field, view)
        alpha = seen.alpha.clamp(min=1e-6)[:, None]
        flat = torch.cat([seen.rgb / alpha, seen.alpha[:, None]], -1)
        views.append(view)
        pictures.append(flat.reshape(side, side, 4).numpy().astype(np.float32))
    return Photos(tuple(views), tuple(pictures), ("",) * count)


@pytest.fixture(scope="module")
def data() -> Dataset:
    field = ball()
    return Dataset(photos(field, 24), photos(field, 5), field.cube, 1.5)


@pytest.fixture(scope="module")
def taught(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Field:
    """A hash grid trained on photos of the ball."""
    out = tmp_path_factory.mktemp("field") / "ball.eta"
    model = make_model("hashgrid", SMALL["hashgrid"])
    made = train(data, model, FieldSettings(steps=160, rays=384), out)
    assert read_field(out).info["psnr_test_db"] == made.info["psnr_test_db"]
    return made


def test_photos_teach_what_others_show(data: Dataset, taught: Field) -> None:
    white = float(np.mean([np.square(1 - _over(p)).mean() for p in data.test.pictures]))
    assert psnr(taught, data.test) > 24 > -10 * math.log10(white) + 8
    assert psnr(ball(), data.test) > 45, "the photos show the ball"
    assert float(taught.occupancy.mask.float().mean()) < 0.9


def _over(picture: np.ndarray) -> np.ndarray:
    return picture[..., :3] * picture[..., 3:] + 1 - picture[..., 3:]


@pytest.mark.parametrize("kind", SMALL)
def test_every_kind_learns_from_another(kind: str, taught: Field, tmp_path: Path) -> None:
    model = make_model(kind, SMALL[kind])
    params = model.init(torch.Generator().manual_seed(0))
    fresh = Field(model, params, taught.cube, taught.occupancy, "x", 1.5)
    before = agreement(taught, fresh, 0)["psnr_teacher_db"]
    made = convert(taught, model, QUICK, tmp_path / "out.eta")
    assert made.info["psnr_teacher_db"] > before + 6
    assert made.info["opacity_error"] < 0.8
    assert read_artifact(tmp_path / "out.eta").header["model"]["kind"] == kind
    assert read_field(tmp_path / "out.eta").cube == taught.cube
    assert not checkpoint_path(tmp_path / "out.eta").exists()


def test_a_grid_teaches_too_and_has_no_features(tmp_path: Path) -> None:
    made = convert(ball(), make_model("vm", SMALL["vm"]), QUICK, tmp_path / "vm.eta")
    assert made.info["psnr_teacher_db"] > 20
    assert Stages.of(300, features=False) == Stages(0, 60)
    assert Stages.of(300, features=True) == Stages(20, 60)


def test_a_copy_agrees_and_another_does_not(taught: Field) -> None:
    same = agreement(taught, taught, 0)
    assert same == {"psnr_teacher_db": 120.0, "density_error": 0.0, "opacity_error": 0.0}
    assert agreement(ball(), taught, 0)["psnr_teacher_db"] > 20


def test_rendered_colours_alone_say_nothing_of_what_is_hidden() -> None:
    """A change inside the ball, which no ray sees, is an error of densities only."""
    hidden = ball()
    values = hidden.params["values"].clone()
    size = round(len(values) ** (1 / 3))
    middle = torch.zeros(size, size, size, dtype=torch.bool)
    middle[size // 2 - 1 : size // 2 + 1, size // 2 - 1 : size // 2 + 1, size // 2] = True
    values[middle.flatten(), 0] = -2.0
    few = FieldSettings(rays=64)
    for plan, low, high in ((None, 0.0, 1e-7), (Stages(0, 10**6), 1e-5, 1.0)):
        loss = field_distill.teacher_loss(hidden, hidden.model, few, plan, features=False)
        found = float(loss({"values": values}, hidden.occupancy, 5, generator_of(0, 5)))
        assert low <= found < high, plan


def test_losses_of_a_teacher_against_itself_vanish(taught: Field) -> None:
    few = FieldSettings(rays=64)
    loss = field_distill.teacher_loss(taught, taught.model, few, Stages(0, 0), features=True)
    value = loss(taught.params, taught.occupancy, 5, generator_of(0, 5))
    assert float(value) < 1e-12
    moved = {n: v + 0.1 if n == "net.b1" else v for n, v in taught.params.items()}
    assert float(loss(moved, taught.occupancy, 5, generator_of(0, 5))) > 1e-6


def test_lessons_are_whole_rays_as_the_marcher_sees_them(taught: Field) -> None:
    """A ray of a pool, composited, is the ray rendered; and what lies behind is left out."""
    pool = fill(taught, 32, seed=3, epoch=0, features=True)
    lesson = draw(pool, 32, generator_of(3, 1))
    s, told = lesson.samples, lesson.answers
    assert lesson.count == 32 and len(s.t) == len(told.rgb)
    assert (s.ray.diff() >= 0).all() and (s.t.diff()[s.ray.diff() == 0] > 0).all()
    sigma = density(told.log_sigma)
    assert (through(s, 32, sigma) > UNSEEN * 0.99).all()
    for ray in s.ray.unique()[:5]:
        own = s.rows(s.ray == ray)
        origin = own.x[0] - own.t[0] * own.d[0]
        whole = Rays(origin[None], own.d[:1])
        jitter = (own.t[0] - span(whole)[0]) / own.dt[0] % 1 - 0.5
        seen = march(
            lambda x, d: taught.model.query(taught.params, x, d), whole, taught.occupancy,
            jitter.reshape(1),
        )  # fmt: skip
        mine = composite(s, 32, told.rgb, sigma)
        torch.testing.assert_close(mine.rgb[ray], seen.rgb[0], atol=3e-3, rtol=0)
    again = fill(taught, 32, seed=3, epoch=0, features=True)
    assert torch.equal(again.samples.x, pool.samples.x) and torch.equal(again.x, pool.x)
    assert not torch.equal(fill(taught, 32, seed=3, epoch=1, features=True).x, pool.x)


def test_the_hardest_rays_are_among_those_learned_from(taught: Field) -> None:
    """Of a student that is wrong on one side, rays through that side are chosen."""
    pool = fill(taught, 32, seed=3, epoch=0, features=True)
    lesson = draw(pool, 128, generator_of(3, 1))
    side = lesson.samples.x[:, 0] > 0.6
    wrong = lesson.answers.rows(torch.arange(len(side)))
    wrong.rgb[side] = 1 - wrong.rgb[side]
    far = lesson.x[:, 1] > 0.55
    astray = lesson.told.rows(torch.arange(len(far)))
    astray.log_sigma[far] = astray.log_sigma[far] - 3.0
    errors = ray_errors(lesson, wrong), point_errors(lesson, astray)
    chosen = hardest(lesson, *errors, 32)
    assert chosen.count == 32 and len(chosen.x) == len(lesson.x) // 4
    assert (chosen.samples.ray.diff() >= 0).all()
    met = {k: [bool((s.x[s.ray == r, 0] > 0.6).any()) for r in range(n)]
           for k, s, n in (("all", lesson.samples, 128), ("hard", chosen.samples, 16))}  # fmt: skip
    assert np.mean(met["hard"]) > 0.9 > 0.8 > np.mean(met["all"])
    assert (chosen.x[: len(chosen.x) // 2, 1] > 0.55).float().mean() > 0.9 > far.float().mean()
    whole = hardest(lesson, *errors, 128)
    torch.testing.assert_close(whole.samples.t.sum(), lesson.samples.t.sum())
    assert whole.pose.sort().values.equal(lesson.pose.sort().values)


def test_more_cameras_stand_where_the_student_errs(taught: Field) -> None:
    """Half of them by weight, the rest anywhere; the weights are the mean errors."""
    errors, counts = torch.zeros(POSES), torch.zeros(POSES)
    counts[:10], errors[:10] = 5.0, 5.0
    errors[3] = 500.0
    wanted = weights(errors, counts)
    assert float(wanted[3] / wanted[4]) == pytest.approx(100, rel=0.1)
    assert wanted[20] == 1.0 and wanted.min() >= 0.099, (
        "nothing is known of it, and none is left out"
    )
    seen = random_rays(4096, taught.occupancy, 1.5, generator_of(0, 0), wanted)
    pose = pose_of(torch.nn.functional.normalize(seen.origin - 0.5, dim=-1))
    share = torch.bincount(pose, minlength=POSES) / 4096
    own = float(wanted[3] / wanted.sum())
    assert float(share[3]) == pytest.approx(0.5 * own + 0.5 / POSES, rel=0.25)
    pool = fill(taught, 32, seed=3, epoch=1, features=True, poses=wanted)
    assert len(pool.pose) == len(pool.starts) - 1


def test_poses_are_those_of_the_pool_also_when_it_is_made_again() -> None:
    watch = Watch(2)
    watch.tensors["errors"][5], watch.tensors["counts"][5] = 8.0, 2.0
    watch.tensors["errors"][6], watch.tensors["counts"][6] = 2.0, 2.0
    first = watch.poses(1).clone()
    assert first[5] > first[6]
    watch.tensors["errors"][6] = 1e6
    assert torch.equal(watch.poses(1), first) and not torch.equal(watch.poses(2), first)


def test_a_grid_begins_with_samples_of_its_teacher() -> None:
    """A grid of the same size is its teacher, but for colours that waves cannot say."""
    own = ball()
    start = field_distill.first_guess(own, own.model)
    copy = Field(own.model, start, own.cube, own.occupancy, "x", own.distance)
    found = agreement(own, copy, 0)
    assert found["psnr_teacher_db"] > 50 and found["density_error"] < 1e-3
    head = field_distill.first_guess(own, make_model("vm", SMALL["vm"]))
    assert head == {}, "a grid has no colour head to give"


def test_coarse_grids_are_taken_in() -> None:
    model = make_model("grid", {"size": 24})
    params: Any = model.learning(model.init(torch.Generator().manual_seed(0)))  # type: ignore[attr-defined]
    assert sorted(params) == ["coarse2", "coarse4", "coarse8", "values"]
    params["coarse4"] += torch.linspace(0, 1, 6).repeat_interleave(36)[:, None]  # a ramp along x
    taken: Any = model.learned(params)  # type: ignore[attr-defined]
    assert list(taken) == ["values"]
    x = torch.rand(500, 3, generator=torch.Generator().manual_seed(1))
    plain = model.log_density({"values": params["values"]}, x)
    torch.testing.assert_close(model.log_density(taken, x), plain + x[:, 0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("stop_at", [16, 48])
def test_interrupted_and_resumed_equals_uninterrupted(
    stop_at: int, taught: Field, tmp_path: Path
) -> None:
    model = make_model("vm", SMALL["vm"])
    convert(taught, model, QUICK, tmp_path / "whole.eta")
    steps: list[int] = []
    out = tmp_path / "parts.eta"
    with pytest.raises(BakeStoppedError):
        convert(
            taught, model, QUICK, out,
            progress=lambda step, total, loss: steps.append(step),
            stop=lambda: steps[-1:] == [stop_at],
        )  # fmt: skip
    assert not out.exists() and checkpoint_path(out).exists()
    with pytest.raises(InputError, match="is the state of an unfinished training"):
        convert(taught, model, QUICK, out)
    other = FieldSettings(steps=200, rays=256)
    with pytest.raises(InputError, match=r"other settings; got .*steps 96, expected .*steps 200"):
        convert(taught, model, other, out, resume=True)
    with pytest.raises(InputError, match="belongs to a training on something else"):
        convert(ball(), model, QUICK, out, resume=True, stages=Stages(6, 16))
    convert(taught, model, QUICK, out, resume=True)
    whole, parts = (read_artifact(tmp_path / f"{n}.eta").tensors for n in ("whole", "parts"))
    assert all(np.array_equal(parts[name], value) for name, value in whole.items())


def test_what_is_hard_is_remembered_when_it_is_resumed(taught: Field, tmp_path: Path) -> None:
    """Stopped within a pool whose cameras stand where the student had erred."""
    model, plan = make_model("vm", SMALL["vm"]), FieldSettings(steps=EPOCH + 64, rays=32)
    convert(taught, model, plan, tmp_path / "whole.eta", hard=2)
    steps: list[int] = []
    with pytest.raises(BakeStoppedError):
        convert(
            taught, model, plan, tmp_path / "parts.eta", hard=2,
            progress=lambda step, total, loss: steps.append(step),
            stop=lambda: steps[-1:] == [EPOCH + 32],
        )  # fmt: skip
    convert(taught, model, plan, tmp_path / "parts.eta", hard=2, resume=True)
    whole, parts = (read_artifact(tmp_path / f"{n}.eta").tensors for n in ("whole", "parts"))
    assert all(np.array_equal(parts[name], value) for name, value in whole.items())


def test_a_bad_copy_is_not_written(taught: Field, tmp_path: Path) -> None:
    few = FieldSettings(steps=2, rays=64)
    with pytest.raises(NotGoodEnoughError, match=r"was not written; got .* dB, expected >= 60 dB"):
        convert(taught, make_model("grid", SMALL["grid"]), few, tmp_path / "g.eta", min_psnr=60)
    assert not list(tmp_path.iterdir()), "more steps may be tried at once"


def test_training_that_diverges_says_so(taught: Field, tmp_path: Path) -> None:
    wild = FieldSettings(steps=64, rays=64, rate=100.0)
    broken: Any = Field(taught.model, {n: v * math.nan for n, v in taught.params.items()},
                        taught.cube, taught.occupancy)  # fmt: skip
    with pytest.raises(InputError, match="training: has diverged"):
        convert(broken, make_model("vm", SMALL["vm"]), wild, tmp_path / "x.eta")
    for bad in (FieldSettings(steps=0), FieldSettings(rays=0), FieldSettings(rate=0.0)):
        with pytest.raises(InputError, match="out of range"):
            bad.check()


def test_rays_come_from_outside_and_pictures_show_the_ball(taught: Field) -> None:
    rays = random_rays(500, taught.occupancy, 1.5, torch.Generator().manual_seed(0))
    torch.testing.assert_close((rays.origin - 0.5).norm(dim=-1), torch.full((500,), 1.5))
    first, *rest = show(taught, 3, 24)
    assert len(rest) == 2 and first.shape == (24, 24, 3)
    assert first[0, 0].min() > 0.9 and first[12, 12].min() < 0.8
