"""Bakes of the viewer: started, watched, stopped, resumed, and found again."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from etendue.artifact import read_artifact
from etendue.core.errors import InputError
from etendue.view import bakes
from etendue.view.bakes import COMPLETE, FAILED, RUNNING, STOPPED, BakeJob, Progress


def until(output: Path, *states: str, steps: int = 0, seconds: float = 150) -> Progress:
    """Wait until the bake of `output` is in one of `states`, with so many losses."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = bakes.read(output)
        if found is not None and found.state in states and len(found.losses) >= steps:
            return found
        time.sleep(0.05)
    raise AssertionError(bakes.read(output))


@pytest.fixture(autouse=True)
def no_bake_is_left(tmp_path: Path) -> Iterator[None]:
    yield
    for file in tmp_path.glob(".*.job.json"):
        output = tmp_path / file.name.removeprefix(".").removesuffix(".job.json")
        found = bakes.read(output)
        if found is not None and found.state == RUNNING:
            os.kill(found.pid, signal.SIGKILL)


def test_stopped_resumed_and_complete(scene: Path, tmp_path: Path) -> None:
    output = tmp_path / "plum.eta"
    job = BakeJob(scene.parent / "plum.mtlx", output, steps=320, arch="2x16", resolution=64)
    bakes.start(job)
    assert until(output, RUNNING, steps=1).total == 320
    with pytest.raises(InputError, match="being baked already"):
        bakes.start(job)
    assert bakes.stop(output)
    stopped = until(output, STOPPED)
    assert 0 < stopped.step < 320 and not output.exists() and not bakes.stop(output)
    bakes.start(stopped.job, resume=True)
    done = until(output, COMPLETE)
    assert done.step == 320 and done.losses[: len(stopped.losses)] == stopped.losses
    steps = [step for step, _ in done.losses]
    assert steps == sorted(steps) and done.losses[-1][1] < done.losses[0][1]
    assert read_artifact(output).header["name"] == "Plum"


def test_a_bake_that_fails_says_why(tmp_path: Path) -> None:
    (tmp_path / "bad.mtlx").write_text("<materialx/>")
    job = BakeJob(tmp_path / "bad.mtlx", tmp_path / "bad.eta", steps=10)
    bakes.start(job)
    assert "bad.mtlx" in until(job.output, FAILED).message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"material": Path("absent.mtlx")}, "needs a .mtlx"),
        ({"output": Path("x.exr")}, "writes a .eta"),
        ({"output": Path("/absent/folder/x.eta")}, "lies in no folder"),
        ({"arch": "9x9"}, "arch"),
        ({"latents": "; rm"}, "latents"),
    ],
)
def test_jobs_that_cannot_be_started(
    scene: Path, tmp_path: Path, change: dict[str, object], words: str
) -> None:
    job = BakeJob(scene.parent / "plum.mtlx", tmp_path / "x.eta")
    with pytest.raises(InputError, match=words):
        bakes.start(replace(job, **change))  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_another_process_with_that_number_is_no_bake(scene: Path, tmp_path: Path) -> None:
    output = tmp_path / "x.eta"
    table = {
        "material": str(scene.parent / "plum.mtlx"), "output": str(output), "minutes": 1,
        "steps": 0, "arch": "2x32", "resolution": 512, "latents": "f16", "weights": "f32",
        "seed": 0, "pid": os.getpid(),
    }  # fmt: skip
    bakes.job_file(output).write_text(json.dumps(table))
    assert not bakes.alive(output) and not bakes.stop(output)
    found = bakes.read(output)
    assert found is not None and found.state == FAILED


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"pid": "x"}'])
def test_damaged_job_files_are_none(tmp_path: Path, text: str) -> None:
    bakes.job_file(tmp_path / "x.eta").write_text(text)
    assert bakes.read(tmp_path / "x.eta") is None


def test_half_written_lines_are_left_out(tmp_path: Path) -> None:
    output = tmp_path / "x.eta"
    rows = '{"step": 1, "total": 9, "loss": 2.5}\n{"step": 2, "tot'
    bakes.lines_file(output).write_text(rows)
    assert bakes._rows(bakes.lines_file(output)) == [{"step": 1, "total": 9, "loss": 2.5}]
