"""Pictures in memory that two processes share: two slots, each with a number before and after.

The writer puts an odd number into the slot, then the pixels, then the next even number. A reader
whose number is odd, or has changed when it is done, has read a mixture and drops it. The memory has
no name: it is handed on as a file descriptor and goes when both processes are gone.
"""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass

import numpy as np

SLOTS = 2
IMAGES = 2  # a picture, and the one it is compared with
PIXELS = 4096 * 2304  # most of one picture
_HEADER = 64  # bytes; the first eight hold the number
_IMAGE = PIXELS * 3 * 4
_SLOT = _HEADER + IMAGES * _IMAGE


@dataclass(frozen=True)
class Shared:
    """The memory and its descriptor."""

    descriptor: int
    data: mmap.mmap

    @classmethod
    def create(cls) -> Shared:
        """New memory; pages count only once they are written."""
        descriptor = os.memfd_create("etendue-view")
        os.ftruncate(descriptor, SLOTS * _SLOT)
        return cls.attach(descriptor)

    @classmethod
    def attach(cls, descriptor: int) -> Shared:
        """The memory behind a descriptor."""
        return cls(descriptor, mmap.mmap(descriptor, SLOTS * _SLOT))

    def close(self) -> None:
        """Let go of it."""
        self.data.close()
        os.close(self.descriptor)

    def _number(self, slot: int) -> np.ndarray:
        return np.frombuffer(self.data, np.uint64, 1, slot * _SLOT)

    def _pixels(self, slot: int, image: int, height: int, width: int) -> np.ndarray:
        if not (0 < height * width <= PIXELS and 0 <= slot < SLOTS and 0 <= image < IMAGES):
            raise ValueError(f"no such picture: {slot}, {image}, {width}x{height}")
        at = slot * _SLOT + _HEADER + image * _IMAGE
        flat = np.frombuffer(self.data, np.float32, height * width * 3, at)
        return flat.reshape(height, width, 3)

    def write(self, generation: int, images: tuple[np.ndarray, ...]) -> int:
        """Put pictures (H, W, 3) of equal size into the slot of `generation`; the slot."""
        slot = generation % SLOTS
        self._number(slot)[0] = 2 * generation + 1
        for k, image in enumerate(images):
            height, width = image.shape[:2]
            self._pixels(slot, k, height, width)[:] = image
        self._number(slot)[0] = 2 * generation + 2
        return slot

    def read(
        self, generation: int, count: int, height: int, width: int
    ) -> tuple[np.ndarray, ...] | None:
        """Copies of the pictures of `generation`, None when they were overwritten meanwhile."""
        slot, wanted = generation % SLOTS, 2 * generation + 2
        if int(self._number(slot)[0]) != wanted:
            return None
        copies = tuple(self._pixels(slot, k, height, width).copy() for k in range(count))
        return copies if int(self._number(slot)[0]) == wanted else None
