"""Frames through the pipeline: overlap, order, and what an end leaves behind."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from etendue.core.errors import InputError
from etendue.render.frames import Shot
from etendue.render.sequence import DEVICES, SAVING, FrameInterruptedError, sequence
from etendue.schedule import Scheduler, TaskError

PATIENCE_S = 20.0


def shots(count: int, done: tuple[int, ...] = ()) -> list[Shot]:
    nothing: Any = None
    return [Shot(k, nothing, Path(f"{k}.exr"), str(k), k in done) for k in range(count)]


def test_one_frame_is_finished_while_the_next_is_sampled() -> None:
    """Each waits for the other to have begun, which a loop could not offer."""
    saving, sampling = threading.Event(), threading.Event()
    here = threading.get_ident()

    def sample(shot: Shot) -> int:
        assert threading.get_ident() == here
        if shot.number == 1:
            sampling.set()
            assert saving.wait(PATIENCE_S)
        return shot.number

    def save(shot: Shot, value: int) -> int:
        assert threading.get_ident() != here
        if shot.number == 0:
            saving.set()
            assert sampling.wait(PATIENCE_S)
        return 10 * value

    with Scheduler(DEVICES, threads=(SAVING,)) as scheduler:
        found = list(sequence(scheduler, shots(5, done=(2,)), sample, save))
    assert [(shot.number, value) for shot, value in found] == [
        (0, 0), (1, 10), (2, None), (3, 30), (4, 40),
    ]  # fmt: skip


def test_no_more_than_two_frames_are_in_memory() -> None:
    alive, most, lock = 0, 0, threading.Lock()

    def sample(shot: Shot) -> int:
        nonlocal alive, most
        with lock:
            alive += 1
            most = max(most, alive)
        return shot.number

    def save(shot: Shot, value: int) -> int:
        nonlocal alive
        threading.Event().wait(0.005)  # the slower of the two
        with lock:
            alive -= 1
        return value

    with Scheduler(DEVICES, threads=(SAVING,)) as scheduler:
        assert len(list(sequence(scheduler, shots(20), sample, save))) == 20
    assert most == 2


def test_what_ends_a_frame_ends_the_sequence_after_those_before_it() -> None:
    sampled, saved = [], []

    def sample(shot: Shot) -> int:
        sampled.append(shot.number)
        if shot.number == 2:
            raise FrameInterruptedError(2)
        return shot.number

    with (
        pytest.raises(FrameInterruptedError, match="frame 2") as caught,
        Scheduler(DEVICES, threads=(SAVING,)) as scheduler,
    ):
        for _, value in sequence(scheduler, shots(6), sample, lambda shot, value: value):
            saved.append(value)
    assert caught.value.frame == 2 and saved == [0, 1] and sampled == [0, 1, 2]


@pytest.mark.parametrize(
    ("error", "told"),
    [(InputError("0.exr", "cannot be written"), InputError), (OSError, TaskError)],
)
def test_a_picture_that_cannot_be_saved_ends_it_too(error: Any, told: type[Exception]) -> None:
    sampled = []

    def save(shot: Shot, value: None) -> None:
        raise error

    with pytest.raises(told), Scheduler(DEVICES, threads=(SAVING,)) as scheduler:
        list(sequence(scheduler, shots(9), lambda shot: sampled.append(shot.number), save))
    assert len(sampled) <= 2
