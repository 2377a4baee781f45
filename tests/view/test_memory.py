"""Pictures in shared memory: whole or not at all."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from etendue.view.memory import Shared
from etendue.view.protocol import decode, encode


@pytest.fixture
def shared() -> Iterator[Shared]:
    memory = Shared.create()
    yield memory
    memory.close()


def image(value: float, height: int = 8, width: int = 6) -> np.ndarray:
    return np.full((height, width, 3), value, np.float32)


def test_what_was_written_is_read(shared: Shared) -> None:
    a, b = image(1.5), image(-2.0)
    shared.write(7, (a, b))
    other = Shared.attach(os.dup(shared.descriptor))
    read = other.read(7, 2, 8, 6)
    assert read is not None and (read[0] == a).all() and (read[1] == b).all()
    other.close()


def test_an_overwritten_picture_is_not_read(shared: Shared) -> None:
    shared.write(1, (image(1.0),))
    shared.write(2, (image(2.0),))
    assert shared.read(1, 1, 8, 6) is not None  # the other slot
    shared.write(3, (image(3.0),))
    assert shared.read(1, 1, 8, 6) is None


def test_a_picture_being_written_is_not_read(shared: Shared) -> None:
    shared.write(2, (image(2.0),))
    shared._number(0)[0] = 2 * 4 + 1
    assert shared.read(2, 1, 8, 6) is None and shared.read(4, 1, 8, 6) is None


def test_never_a_mixture(shared: Shared) -> None:
    done = threading.Event()

    def write() -> None:
        for generation in range(1, 400):
            shared.write(generation, (image(generation, 64, 64),))
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    mixed = []
    while not done.is_set():
        for generation in range(1, 400):
            read = shared.read(generation, 1, 64, 64)
            if read is not None and not (read[0] == generation).all():
                mixed.append(generation)
    writer.join()
    assert not mixed


def test_sizes_that_do_not_fit(shared: Shared) -> None:
    with pytest.raises(ValueError, match="no such picture"):
        shared.write(0, (np.zeros((5000, 5000, 3), np.float32),))


@pytest.mark.parametrize("line", [b"", b"{", b"[1]", b"3", b'"x"', b"\xff\xfe", b"[" * 100_000])
def test_lines_that_are_no_messages(line: bytes) -> None:
    assert decode(line) is None


def test_messages_are_lines() -> None:
    message = {"do": "look", "camera": {"origin": [0.1, -2.0, 3e9]}, "text": "zwei\nZeilen"}
    line = encode(message)
    assert line.count(b"\n") == 1 and decode(line) == message
