"""The plan of samples where noise is: tiles stop when they are good enough, without bias.

Samples of a pixel go alternately, in groups of 16, to two halves that are independent. Whether a
tile of half A stops after its first n samples is decided by the first n of half B alone, and the
other way round: given B, the mean of A is one over a fixed number of samples, hence unbiased, and
so is (A + B) / 2 with its constant weights. Stopping by a tile's own samples would be biased: dark
is what has not met its rare bright paths yet, and dark tiles would stop first. Where one half needs
to go on, the other is traced along, since it decides, but its picture keeps the n it stopped at.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from etendue.render.film import Film
from etendue.render.noise import sample_variance, squared_noise
from etendue.render.path.camera_rays import GROUP, Block, Window

TILE = 8  # pixels a side; tiles lie on the grid of the full picture
LEAST_BLOCK = 2048  # paths


def rounds(limit: int) -> list[int]:
    """Groups per half after which tiles are judged: 1, 2, 3, 4, 6, 8, 12, ... `limit`."""
    steps = [1]
    while steps[-1] < limit:
        n = steps[-1]
        steps.append(min(limit, n + max(1, 1 << (n.bit_length() - 2)) if n > 1 else 2))
    return steps


def tile_numbers(window: Window) -> np.ndarray:
    """Number of each pixel's tile (pixels,), from 0 without gaps."""
    y, x = np.mgrid[0 : window.height, 0 : window.width]
    rows, columns = (window.y + y) // TILE, (window.x + x) // TILE
    wide = window.full_width // TILE + 1
    return np.unique(rows * wide + columns, return_inverse=True)[1].ravel()


class Adaptive:
    """What has been rendered and what comes next (a `Plan`); `error` is the noise of a tile."""

    counted = False

    def __init__(self, window: Window, spp: int, error: float) -> None:
        self.shape, self.error = (window.height, window.width), error
        pixels = window.width * window.height
        self.tiles = tile_numbers(window)
        self.sizes = np.bincount(self.tiles)
        self.rounds = rounds(max(1, -(-spp // (2 * GROUP))))
        self.round = 0
        self.streams = np.zeros((2, pixels, 6))  # all samples of each half
        self.kept = np.zeros((2, pixels, 6))  # those of the picture, once the tile has stopped
        self.taken = np.zeros(pixels, np.int64)  # groups in each stream
        self.stopped = np.zeros(
            (2, len(self.sizes)), np.int64
        )  # after how many groups; 0 = not yet
        self.invalid = self.done = 0

    def next(self, limit: int, afford: float) -> Block | None:
        """At most `limit` paths, or a pixel; `afford` more fit into the time, all told."""
        todo = self._todo()
        while not len(todo):
            if self.round + 1 >= len(self.rounds):
                return None
            self._judge()
            if self.stopped.all():
                return None
            self.round += 1
            todo = self._todo()
        start = int(self.taken[todo[0]])
        samples = 2 * GROUP * (self.rounds[self.round] - start)
        todo = todo[self.taken[todo] == start]
        count = min(len(todo), max(1, limit // samples))
        if self.round:
            fitting = int(min(afford, 1e15)) // samples
            if fitting < min(max(1, LEAST_BLOCK // samples), len(todo)):
                return None
            count = min(count, fitting)
        chosen = todo[:count].astype(np.uint32)
        return Block(0, count, 2 * GROUP * start, samples, GROUP, chosen)

    def _todo(self) -> np.ndarray:
        """Pixels of running tiles that lack samples of this round."""
        running = ~self._ended()[self.tiles]
        return np.flatnonzero(running & (self.taken < self.rounds[self.round]))

    def _ended(self) -> np.ndarray:
        """Tiles (tiles,) of which both halves have stopped."""
        return np.all(self.stopped > 0, axis=0)

    def _judge(self) -> None:
        """Stop the halves of tiles whose other half is good enough after this round."""
        groups = self.rounds[self.round]
        running = ~self._ended()
        for half in (0, 1):
            good = self._errors(1 - half) <= self.error**2
            new = good & (self.stopped[half] == 0) & running
            pixels = new[self.tiles]
            self.kept[half][pixels] = self.streams[half][pixels]
            self.stopped[half][new] = groups

    def _errors(self, half: int) -> np.ndarray:
        """Squared noise (tiles,) that two halves like this one have together."""
        samples = np.maximum(GROUP * self.taken, 2)[:, None]
        mean, variance = sample_variance(self.streams[half], samples)
        noise = squared_noise(mean, variance / (2.0 * samples))
        return np.bincount(self.tiles, noise) / self.sizes

    def add(self, block: Block, groups: np.ndarray, invalid: int) -> None:
        """Take the results of a block that `next` gave."""
        where = block.numbers
        for group in range(groups.shape[1]):
            self.streams[group % 2, where] += groups[:, group]
        self.taken[where] += groups.shape[1] // 2
        self.invalid += invalid
        self.done += block.paths

    def progress(self) -> tuple[int, int]:
        """Tiles that have stopped, and all."""
        return int(self._ended().sum()), len(self.sizes)

    def film(self, seed: int, *, finished: bool, **shown: Any) -> Film:
        """The mean of both halves; its count is that of equal halves with the same variance."""
        used = np.where(self.stopped[:, self.tiles] > 0, self.stopped[:, self.tiles], self.taken)
        sums = np.where((self.stopped[:, self.tiles] > 0)[..., None], self.kept, self.streams)
        samples = GROUP * np.maximum(used, 1)
        means = (sums / samples[..., None]).mean(0).reshape(*self.shape, 6)
        counts = (4 * samples[0] * samples[1]) // samples.sum(0) * (used.min(0) > 0)
        counts = counts.reshape(self.shape)
        return Film(
            rgb=means[..., :3].astype(np.float32),
            squares=means[..., 3:],
            counts=counts,
            spp_wanted=int(counts.min()) + (0 if finished else 1),
            seed=seed,
            invalid=self.invalid,
            **shown,
        )

    def state(self) -> dict[str, np.ndarray]:
        """Everything that `restore` needs to go on."""
        numbers = np.array([self.invalid, self.done, self.round], np.int64)
        arrays = (self.streams, self.kept, self.taken, self.stopped, numbers)
        return dict(zip(_STATE, arrays, strict=True))

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on where another run stood."""
        for name in _STATE[:-1]:
            getattr(self, name)[:] = state[name]
        self.invalid, self.done, self.round = (int(n) for n in state["numbers"])


_STATE = ("streams", "kept", "taken", "stopped", "numbers")
