"""How large the next pass and the next picture may be so that the viewer answers in time."""

from __future__ import annotations

from dataclasses import dataclass, replace

DIVISORS = (1, 2, 3, 4, 6, 8)
LEAST_PATHS = 2048
MOVING_S = 0.07  # of one picture while the camera moves
PASS_S = 0.12  # of one pass while it rests: the longest that a command waits
MOST_SAMPLES = 16  # per pixel in a sweep
SWING = 2.5  # largest change that one measurement makes


@dataclass(frozen=True)
class Pace:
    """How many paths take `seconds`; corrected after each pass, whatever a launch costs."""

    seconds: float
    paths: int = 8 * LEAST_PATHS

    def measured(self, paths: int, seconds: float) -> Pace:
        """After a pass of so many paths."""
        factor = self.seconds / max(seconds, 1e-6)
        found = paths * min(max(factor, 1 / SWING), SWING)
        middle = int(0.5 * (self.paths + found))
        if factor > 1:  # a pass that was quick because it was small proves nothing against more
            return replace(self, paths=max(self.paths, middle))
        return replace(self, paths=max(LEAST_PATHS, min(self.paths, middle)))


def even(size: tuple[int, int], divisor: int = 1) -> tuple[int, int]:
    """`size` divided, with even sides."""
    return max(2, size[0] // divisor // 2 * 2), max(2, size[1] // divisor // 2 * 2)


def divisor(size: tuple[int, int], paths: int) -> int:
    """The smallest divisor of the sides at which a sample per pixel is at most `paths` paths."""
    for found in DIVISORS:
        width, height = even(size, found)
        if width * height <= paths:
            return found
    return DIVISORS[-1]


def samples(pixels: int, spp: int, wanted: int, paths: int) -> int:
    """Samples per pixel of the next sweep: a power of two that fits into a pass."""
    fitting = min(paths // pixels, MOST_SAMPLES, wanted - spp, max(spp, 1))
    return 1 << max(fitting, 1).bit_length() - 1
