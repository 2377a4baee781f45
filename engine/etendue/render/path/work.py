"""Passes one after the other, as a plan asks for them: with a clock, a checkpoint, a witness."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from etendue.core.errors import InputError
from etendue.render.checkpoint import Store
from etendue.render.film import Film
from etendue.render.path.camera_rays import Block, Window
from etendue.render.path.pace import Pace

PROBE_PIXELS, PROBE_SAMPLES = 1024, 4  # rendered and thrown away to learn the pace
AOV = "aov/"

Progress = Callable[[int, int], None]
Trace = Callable[[Block], tuple[np.ndarray, int, int]]


@dataclass(frozen=True)
class Pass:
    """What one pass did."""

    paths: int
    segments: int  # rays along paths, without those towards lights
    seconds: float
    noise: float | None  # of the picture so far; measured after passes 1, 2, 4, 8, ...


Watch = Callable[[Pass], None]


class Plan(Protocol):
    """Which paths come next, and what has come of the ones before: `Uniform` or `Adaptive`."""

    done: int
    counted: bool  # whether the number of samples is known beforehand

    def next(self, limit: int, afford: float) -> Block | None:
        """The next block, None at the end; `limit` paths at most, `afford` fit into the time."""
        ...

    def add(self, block: Block, groups: np.ndarray, invalid: int) -> None:
        """Take the results of a block that `next` gave."""
        ...

    def progress(self) -> tuple[int, int]:
        """How much is done, of how much."""
        ...

    def film(self, seed: int, *, finished: bool, **shown: Any) -> Film:
        """The picture so far."""
        ...

    def state(self) -> dict[str, np.ndarray]:
        """Everything that `restore` needs."""
        ...

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on where another run stood."""
        ...


class Tracing(Protocol):
    """Traces blocks of a window."""

    @property
    def window(self) -> Window:
        """The pixels."""
        ...

    def __call__(self, block: Block) -> tuple[np.ndarray, int, int]:
        """Sums over groups, samples not finite, segments."""
        ...


@dataclass
class Work:
    """A plan being carried out."""

    trace: Tracing
    plan: Plan
    pass_samples: int
    seconds: float | None = None
    store: Store | None = None
    watch: Watch | None = None
    progress: Progress | None = None
    clock: Callable[[], float] = time.monotonic
    spent: float = 0.0  # seconds, by the runs before this one
    passes: int = 0

    def __post_init__(self) -> None:
        self.began = self.clock()

    @property
    def counted(self) -> bool:
        """Whether the number of samples is known beforehand."""
        return self.seconds is None and self.plan.counted

    def restore(self) -> dict[str, np.ndarray]:
        """Take over what an earlier run stored; its auxiliary images."""
        found = self.store.load() if self.store is not None else None
        if found is None:
            return {}
        state, self.spent = found
        try:
            self.plan.restore(state)
        except (KeyError, ValueError) as error:
            assert self.store is not None
            raise InputError(
                self.store.path,
                f"does not fit this picture ({error})",
                fix="Render without --resume to start again",
            ) from error
        return {k.removeprefix(AOV): v for k, v in state.items() if k.startswith(AOV)}

    def run(self, stop: Callable[[], bool], guides: Mapping[str, np.ndarray]) -> bool:
        """Go on until the plan ends (True) or `stop` says so (False)."""
        pace = self._pace()
        self._report(pace)
        while not stop():
            block = self.plan.next(pace.limit(self.pass_samples), pace.afford())
            if block is None:
                return True
            start = self.clock()
            groups, invalid, segments = self.trace(block)
            self.plan.add(block, groups, invalid)
            elapsed = self.clock() - start
            pace.add(block.paths, elapsed)
            self._witness(block, segments, elapsed)
            if self.store is not None and self.store.due():
                self._write(guides)
            self._report(pace)
        if self.store is not None:
            self._write(guides)
        return False

    def _witness(self, block: Block, segments: int, elapsed: float) -> None:
        if self.watch is None:
            return
        self.passes += 1
        noise = None
        if self.passes & (self.passes - 1) == 0:  # a look at all pixels: not after every pass
            noise = self.plan.film(0, finished=False).noise
        self.watch(Pass(block.paths, segments, elapsed, noise))

    def _write(self, guides: Mapping[str, np.ndarray]) -> None:
        assert self.store is not None
        shown = {AOV + name: image for name, image in guides.items()}
        spent = self.spent + self.clock() - self.began
        self.store.write({**self.plan.state(), **shown}, spent)

    def _pace(self) -> Pace:
        """The clock; when one is wanted, paths all over the picture are timed and forgotten."""
        window = self.trace.window
        pixels = window.width * window.height
        if self.seconds is None:
            return Pace(None, pixels, self.clock)
        left = self.seconds - self.spent - (self.clock() - self.began)
        pace = Pace(max(left, 0.0), pixels, self.clock)
        step = max(1, pixels // PROBE_PIXELS)
        chosen = np.arange(step // 2, pixels, step, dtype=np.uint32)
        probe = Block(0, len(chosen), 0, PROBE_SAMPLES, PROBE_SAMPLES, chosen)
        for _ in range(2):  # the first one compiles
            start = self.clock()
            self.trace(probe)
            elapsed = self.clock() - start
        pace.add(probe.paths, elapsed)
        return pace

    def _report(self, pace: Pace) -> None:
        if self.progress is None:
            return
        if self.seconds is None or pace.end is None:
            self.progress(*self.plan.progress())
            return
        left = max(pace.end - pace.clock(), 0.0)
        self.progress(round(1000 * max(self.seconds - left, 0.0)), round(1000 * self.seconds))
