"""From frames to what a screen shows, in a thread of its own; only the newest frame counts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from etendue.view import tonemap
from etendue.view.tonemap import Look
from etendue.view.worker import Frame

ROWS = 64  # that are converted in one go: the interpreter is free for the window in between


@dataclass(frozen=True)
class Wish:
    """How frames are shown."""

    look: Look = field(default_factory=Look)
    wipe: tuple[float, float] = (1 / 3, 2 / 3)  # where the reference and the difference begin


@dataclass(frozen=True)
class Picture:
    """Bytes for a screen, and the frame that they show."""

    rgb: np.ndarray  # (H, W, 3) uint8
    frame: Frame


def compose(frame: Frame, wish: Wish) -> np.ndarray:
    """Picture (H, W, 3) uint8; of a comparison the scene, the reference and their difference."""
    shown = [_displayed(image, frame.layer, wish.look) for image in frame.images]
    if len(shown) < 2:
        return shown[0]
    width = shown[0].shape[1]
    first, second = (round(min(max(f, 0.0), 1.0) * width) for f in wish.wipe)
    picture = shown[0].copy()
    picture[:, first:second] = shown[1][:, first:second]
    if frame.layer == "rgb" and second < width:
        a, b = (image[:, second:] for image in frame.images)
        picture[:, second:] = tonemap.difference(a, b, wish.look)
    return picture


def _displayed(image: np.ndarray, layer: str, look: Look) -> np.ndarray:
    if layer != "rgb":
        return tonemap.auxiliary(layer, image)
    rows = [tonemap.fast(image[y : y + ROWS], look) for y in range(0, len(image), ROWS)]
    return np.concatenate(rows)


class Presenter:
    """Shows every frame that nobody overtakes; `show` is called in the presenter's thread."""

    def __init__(self, show: Callable[[Picture], None]) -> None:
        self.show = show
        self.changed = threading.Condition()
        self.frame: Frame | None = None
        self.wish = Wish()
        self.dirty = self.closing = False
        self.thread = threading.Thread(target=self._serve, name="presenter", daemon=True)
        self.thread.start()

    def present(self, frame: Frame) -> None:
        """A new frame."""
        with self.changed:
            self.frame, self.dirty = frame, True
            self.changed.notify()

    def adjust(self, *, look: Look | None = None, wipe: tuple[float, float] | None = None) -> None:
        """The same frame in another way."""
        with self.changed:
            self.wish = replace(self.wish, look=look or self.wish.look, wipe=wipe or self.wish.wipe)
            self.dirty = True
            self.changed.notify()

    def close(self) -> None:
        """End the thread."""
        with self.changed:
            self.closing = True
            self.changed.notify()
        self.thread.join()

    def _serve(self) -> None:
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.closing or (self.dirty and self.frame))
                if self.closing:
                    return
                frame, wish, self.dirty = self.frame, self.wish, False
            assert frame is not None
            self.show(Picture(compose(frame, wish), frame))
