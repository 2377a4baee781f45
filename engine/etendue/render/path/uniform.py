"""The plan of equal samples for all pixels, until there are enough of them or time is up.

Samples come in sweeps over the picture: whole groups of 16 as long as they last, then 8, 4, 2, 1.
A pixel's sums are therefore those of its samples in one fixed order, whoever cuts the sweeps into
blocks, and a timed picture with n samples has the bits of one that n samples were asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from etendue.render.film import Accumulator, Film
from etendue.render.path.camera_rays import GROUP, Block, Window, sweep

LEAST_BLOCK = 2048  # paths; fewer are not worth a launch
CUT_FROM = 0.02  # a last sweep longer than this part of the whole time is cut short


class Uniform:
    """What has been rendered and what comes next (a `Plan`)."""

    counted = True

    def __init__(self, window: Window, spp: int) -> None:
        self.pixels, self.spp = window.width * window.height, spp
        self.sums = Accumulator(window.height, window.width)
        self.done = 0
        self._cutting = False

    def next(self, limit: int, afford: float) -> Block | None:
        """At most `limit` paths, or a pixel; `afford` more fit into the time, all told."""
        counts = self.sums.counts
        low, first = int(counts.min()), int(counts.argmin())  # counts fall from the top
        if first:
            end = int(counts[0])
        else:
            end = low + sweep(low, self.spp, limit // self.pixels, self._fitting(low, afford))
            if end == low and not self._worth_cutting(low, afford):
                return None
        count = min(self.pixels - first, max(1, limit // max(end - low, 1)))
        if end == low:
            self._cutting, end = True, low + 1
        if self._cutting:
            if afford < min(LEAST_BLOCK, self.pixels - first):
                return None
            count = min(count, int(min(afford, limit)))
        return Block(first, count, low, end - low, min(GROUP, end - low))

    def _fitting(self, low: int, afford: float) -> int:
        """Samples per pixel that fit; the first always does."""
        most = min(afford / self.pixels, float(self.spp))
        return max(int(most), 1 if low == 0 else 0)

    def _worth_cutting(self, low: int, afford: float) -> bool:
        if low >= self.spp or afford < LEAST_BLOCK:
            return False
        return self.pixels > CUT_FROM * (self.done + afford)

    def add(self, block: Block, groups: np.ndarray, invalid: int) -> None:
        """Take the results of a block that `next` gave."""
        self.sums.add(block.first, groups, block.samples, invalid)
        self.done += block.paths

    def progress(self) -> tuple[int, int]:
        """Paths done and paths in all."""
        return self.done, self.pixels * self.spp

    def film(self, seed: int, *, finished: bool, **shown: Any) -> Film:
        """The picture so far; `finished` when nothing but the plan itself ended it."""
        wanted = int(self.sums.counts.min()) if finished else self.spp
        return self.sums.film(wanted, seed, **shown)

    def state(self) -> dict[str, np.ndarray]:
        """Everything that `restore` needs to go on."""
        numbers = np.array([self.sums.invalid, self.done], np.int64)
        return {"sums": self.sums.sums, "counts": self.sums.counts, "numbers": numbers}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on where another run stood."""
        self.sums.sums[:], self.sums.counts[:] = state["sums"], state["counts"]
        self.sums.invalid, self.done = (int(n) for n in state["numbers"])
