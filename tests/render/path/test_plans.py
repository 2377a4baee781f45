"""Plans of samples without a renderer: order, time, and the unbiasedness of stopping."""

from __future__ import annotations

import numpy as np
import pytest

from etendue.render.noise import noise
from etendue.render.path.adaptive import Adaptive, rounds, tile_numbers
from etendue.render.path.camera_rays import GROUP, Block, Window, passes, sweep
from etendue.render.path.pace import Pace
from etendue.render.path.uniform import Uniform
from etendue.render.path.work import Work

WINDOW = Window(0, 0, 16, 12, 16, 12)


class Clock:
    """Time that passes only when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Tracer:
    """Random samples keyed by pixel and sample number; a path takes a fixed time on a clock."""

    def __init__(self, window: Window, seed: int = 0, clock: Clock | None = None) -> None:
        self.window, self.seed, self.clock = window, seed, clock
        self.per_path, self.overhead = 1e-6, 1e-3

    def __call__(self, block: Block) -> tuple[np.ndarray, int, int]:
        samples = np.empty((block.pixels, block.samples, 3))
        for row, pixel in enumerate(block.numbers):
            for k in range(0, block.samples, GROUP):
                key = (self.seed, int(pixel), (block.sample + k) // GROUP)
                part = min(GROUP, block.samples - k)
                start = (block.sample + k) % GROUP
                drawn = self.draw(np.random.default_rng(key), int(pixel))
                samples[row, k : k + part] = drawn[start : start + part]
        both = np.concatenate([samples, samples**2], -1)
        shape = (block.pixels, block.samples // block.group, block.group, 6)
        if self.clock is not None:
            self.clock.now += self.overhead + block.paths * self.per_path
        return both.reshape(shape).sum(2), 0, block.paths

    def draw(self, rng: np.random.Generator, pixel: int) -> np.ndarray:
        return rng.gamma(2.0, 0.5, (GROUP, 3))


def run(plan: Uniform | Adaptive, tracer: Tracer, limit: int) -> None:
    while (block := plan.next(limit, float("inf"))) is not None:
        plan.add(block, *tracer(block)[:2])


@pytest.mark.parametrize("spp", [1, 7, 16, 23, 47, 64])
def test_sweeps_are_groups_then_falling_powers_of_two(spp: int) -> None:
    sizes, done = [], 0
    while step := sweep(done, spp, 32, spp):
        sizes.append(step)
        done += step
    assert done == spp
    small = [s for s in sizes if s < GROUP]
    assert small == sorted(set(small), reverse=True)
    assert all(s % GROUP == 0 or (s & (s - 1)) == 0 for s in sizes)


@pytest.mark.parametrize("limit", [50, 16 * 12 * 16, 10**6])
def test_the_uniform_plan_is_the_list_of_passes(limit: int) -> None:
    plan, blocks = Uniform(WINDOW, 39), []
    zeros = np.zeros
    while (block := plan.next(limit, float("inf"))) is not None:
        blocks.append(block)
        plan.add(block, zeros((block.pixels, block.samples // block.group, 6)), 0)
    assert blocks == list(passes(WINDOW, 39, limit))
    assert (plan.sums.counts == 39).all()


def test_cutting_and_resuming_change_no_bit() -> None:
    tracer, films = Tracer(WINDOW), []
    for limits in ([10**6], [100], [77, 5000]):
        plan = Uniform(WINDOW, 45)
        turn = 0
        while (block := plan.next(limits[turn % len(limits)], float("inf"))) is not None:
            plan.add(block, *tracer(block)[:2])
            turn += 1
            again = Uniform(WINDOW, 45)  # as if killed after every pass
            again.restore({k: v.copy() for k, v in plan.state().items()})
            plan = again
        films.append(plan.film(0, finished=True))
    assert all((f.rgb == films[0].rgb).all() and f.complete for f in films)


@pytest.mark.parametrize("pixels", [(16, 12), (64, 64)])
@pytest.mark.parametrize("seconds", [0.5, 3.0])
def test_a_time_is_met(pixels: tuple[int, int], seconds: float) -> None:
    clock = Clock()
    window = Window(0, 0, *pixels, *pixels)
    tracer = Tracer(window, clock=clock)
    tracer.draw = lambda rng, pixel: np.ones((GROUP, 3))  # type: ignore[method-assign]
    tracer.per_path = 2e-5
    work = Work(tracer, Uniform(window, 1 << 24), 1 << 21, seconds, clock=clock)
    assert work.run(lambda: False, {})
    assert abs(clock.now / seconds - 1) < 0.05
    film = work.plan.film(0, finished=True)
    assert film.complete and film.spp >= 1


def test_a_time_too_short_still_gives_every_pixel_a_sample() -> None:
    clock = Clock()
    work = Work(Tracer(WINDOW, clock=clock), Uniform(WINDOW, 1 << 24), 1 << 21, 1e-6, clock=clock)
    assert work.run(lambda: False, {})
    assert work.plan.film(0, finished=True).spp == 1


def test_a_last_sweep_that_is_long_is_cut() -> None:
    clock, window = Clock(), Window(0, 0, 128, 64, 128, 64)
    tracer = Tracer(window, clock=clock)
    tracer.draw = lambda rng, pixel: np.ones((GROUP, 3))  # type: ignore[method-assign]
    tracer.per_path = 1e-4  # a sweep takes 0.8 s
    plan = Uniform(window, 1 << 24)
    Work(tracer, plan, 1 << 21, 5.2, clock=clock).run(lambda: False, {})
    counts = plan.sums.counts
    assert counts.max() == counts.min() + 1 and (np.diff(counts) <= 0).all()
    assert abs(clock.now / 5.2 - 1) < 0.05


def test_the_pace_follows_the_latest_passes() -> None:
    pace = Pace(10.0, 100, Clock())
    pace.add(1000, 1.0)
    assert pace.afford() == pytest.approx(10_000)
    for _ in range(20):
        pace.add(1000, 2.0)
    assert pace.rate == pytest.approx(500, rel=0.01)
    assert Pace(None, 100).afford() == float("inf")


def test_rounds_grow_by_a_third_to_a_half() -> None:
    steps = np.array(rounds(500))
    assert steps[0] == 1 and steps[-1] == 500 and (np.diff(steps) > 0).all()
    inner = steps[4:-1] / steps[3:-2]
    assert inner.min() > 1.3 and inner.max() <= 1.5


def test_tiles_lie_on_the_grid_of_the_whole_picture() -> None:
    whole = tile_numbers(Window(0, 0, 32, 24, 32, 24)).reshape(24, 32)
    assert whole.max() == 11 and (whole[:8, :8] == 0).all() and whole[8, 8] == 5
    crop = tile_numbers(Window(6, 8, 4, 8, 32, 24)).reshape(8, 4)
    assert (crop == [0, 0, 1, 1]).all()


class Rare(Tracer):
    """A pixel is 0.1, and with a chance of one in 40 ten times its mean: stopping early is easy."""

    mean = 0.1 + 1.0 / 40

    def draw(self, rng: np.random.Generator, pixel: int) -> np.ndarray:
        return np.repeat(0.1 + (rng.random((GROUP, 1)) < 1 / 40), 3, 1)


def test_stopping_is_unbiased_where_stopping_by_the_own_samples_is_not() -> None:
    window = Window(0, 0, 4, 2, 4, 2)
    means, naive = [], []
    for seed in range(200):
        plan = Adaptive(window, 1024, 0.012)
        run(plan, Rare(window, seed), 10**6)
        means.append(plan.film(0, finished=True).rgb.mean())
        # the same tiles when each half judges itself
        own = Adaptive(window, 1024, 0.012)
        errors = own._errors
        own._errors = lambda half, errors=errors: errors(1 - half)  # type: ignore[method-assign]
        run(own, Rare(window, seed), 10**6)
        naive.append(own.film(0, finished=True).rgb.mean())
    error = [np.std(x) / np.sqrt(len(x)) for x in (means, naive)]
    assert abs(np.mean(means) - Rare.mean) < 3.5 * error[0]
    assert np.mean(naive) < Rare.mean - 5 * error[1]


class Mixed(Tracer):
    """The left half of the picture is flat, the right one is noisy."""

    def draw(self, rng: np.random.Generator, pixel: int) -> np.ndarray:
        if pixel % 16 < 8:
            return np.full((GROUP, 3), 0.5)
        return rng.gamma(0.5, 1.0, (GROUP, 3))


def test_samples_go_where_noise_is() -> None:
    plan = Adaptive(WINDOW, 4096, 0.02)
    run(plan, Mixed(WINDOW), 10**5)
    film = plan.film(0, finished=True)
    counts = film.counts
    assert film.complete and (counts[:, :8] == 32).all() and counts[:, 8:].min() > 200
    assert noise(film.rgb, film.variance()) < 0.02
    np.testing.assert_array_equal(film.rgb[:, :8], np.float32(0.5))


def test_adaptive_bits_do_not_depend_on_passes_or_kills() -> None:
    films = []
    for limit in (10**6, 3000):
        plan = Adaptive(WINDOW, 1024, 0.02)
        while (block := plan.next(limit, float("inf"))) is not None:
            plan.add(block, *Mixed(WINDOW)(block)[:2])
            again = Adaptive(WINDOW, 1024, 0.02)
            again.restore({k: v.copy() for k, v in plan.state().items()})
            plan = again
        films.append(plan.film(0, finished=True))
    np.testing.assert_array_equal(films[0].rgb, films[1].rgb)
    np.testing.assert_array_equal(films[0].counts, films[1].counts)


def test_the_most_samples_end_it() -> None:
    plan = Adaptive(WINDOW, 100, 1e-6)
    run(plan, Mixed(WINDOW), 10**6)
    assert plan.film(0, finished=True).counts.max() == 128  # rounded up to whole groups


def test_an_interrupted_first_round_is_incomplete() -> None:
    plan = Adaptive(WINDOW, 100, 0.1)
    block = plan.next(50 * 32, float("inf"))
    assert block is not None
    plan.add(block, *Mixed(WINDOW)(block)[:2])
    film = plan.film(0, finished=False)
    assert film.interrupted and film.spp == 0 and (film.rgb[-1] == 0).all()
