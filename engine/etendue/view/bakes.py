"""Bakes that the viewer starts: processes of their own, which live on when the viewer does not.

What a bake is and how far it is lies in files beside its output: any viewer finds it again.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import etendue
from etendue.core.errors import InputError
from etendue.core.files import atomic_path

ARCHITECTURES = ("2x16", "2x32", "3x64")
LATENTS = ("f16", "bfp8", "bfp4", "cb4", "cb3", "cb2")
WEIGHTS = ("f32", "f16", "bfp8")
RUNNING, STOPPED, COMPLETE, FAILED = "running", "stopped", "complete", "failed"


@dataclass(frozen=True)
class BakeJob:
    """What is baked into what."""

    material: Path
    output: Path
    minutes: float = 3.0
    steps: int = 0  # instead of the time, when above zero
    arch: str = "2x32"
    resolution: int = 512
    latents: str = "f16"
    weights: str = "f32"
    seed: int = 0

    def arguments(self, *, resume: bool) -> list[str]:
        """Of `etendue bake`."""
        words = [str(self.material), "-o", str(self.output), "--arch", self.arch]
        words += ["--resolution", str(self.resolution), "--seed", str(self.seed)]
        words += ["--latents", self.latents, "--weights", self.weights]
        words += ["--progress", str(lines_file(self.output))]
        if resume:  # the number of steps is in the checkpoint
            return [*words, "--resume"]
        length = ["--steps", str(self.steps)] if self.steps else ["--time", str(self.minutes)]
        return [*words, *length, "--restart"]


@dataclass(frozen=True)
class Progress:
    """How far a bake is."""

    job: BakeJob
    state: str
    step: int = 0
    total: int = 0
    losses: tuple[tuple[int, float], ...] = ()
    message: str = ""  # why it failed
    pid: int = 0


def lines_file(output: Path) -> Path:
    """Steps and errors, a line of JSON each."""
    return output.with_name(f".{output.name}.progress.jsonl")


def log_file(output: Path) -> Path:
    """Whatever the bake printed."""
    return output.with_name(f".{output.name}.log")


def job_file(output: Path) -> Path:
    """The job and its process."""
    return output.with_name(f".{output.name}.job.json")


def checkpoint_file(output: Path) -> Path:
    """Where an unfinished bake keeps its work (`bake.material.checkpoint_path`)."""
    return output.with_name(output.name + ".checkpoint")


def start(job: BakeJob, *, resume: bool = False) -> int:
    """Start, or go on if anything was kept; the process outlives the viewer. Its number."""
    check(job)
    resume = resume and checkpoint_file(job.output).exists()
    if not resume:
        lines_file(job.output).unlink(missing_ok=True)
    environment = dict(os.environ)
    paths = [str(Path(etendue.__file__).parents[1]), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    command = [sys.executable, "-m", "etendue", "bake", *job.arguments(resume=resume)]
    write = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    files = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log_file(job.output)), write, 0o666),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    # in a session of its own: closing the terminal or the viewer does not end it
    pid = os.posix_spawn(command[0], command, environment, file_actions=files, setsid=True)
    table = {**asdict(job), "pid": pid}
    with atomic_path(job_file(job.output)) as temporary:
        temporary.write_text(json.dumps(table, default=str), encoding="utf-8")
    return pid


def check(job: BakeJob) -> None:
    """Raise `InputError` for a job that cannot be started."""
    if job.material.suffix.lower() != ".mtlx" or not job.material.is_file():
        raise InputError("bake", "needs a .mtlx to fit to", got=job.material)
    if job.output.suffix != ".eta":
        raise InputError("bake", "writes a .eta file", got=job.output.name)
    if not job.output.absolute().parent.is_dir():
        raise InputError(job.output, "lies in no folder", fix="Choose another folder")
    for name, value, known in (
        ("arch", job.arch, ARCHITECTURES),
        ("latents", job.latents, LATENTS),
        ("weights", job.weights, WEIGHTS),
    ):
        if value not in known:
            raise InputError(name, "is unknown", got=value, expected=", ".join(known))
    if read(job.output) is not None and alive(job.output):
        raise InputError(job.output, "is being baked already", fix="Stop that bake first")


def stop(output: Path) -> bool:
    """Ask a bake to keep its work and end; whether there was one."""
    found = read(output)
    if found is None or found.state != RUNNING:
        return False
    os.kill(found.pid, signal.SIGINT)
    return True


def alive(output: Path) -> bool:
    """Whether the process of a bake still runs, and is that bake."""
    found = _job(output)
    if found is None or found[1] <= 0:
        return False
    with suppress(ChildProcessError):  # of another viewer
        os.waitpid(found[1], os.WNOHANG)
    try:
        words = Path(f"/proc/{found[1]}/cmdline").read_bytes().split(b"\0")
        state = Path(f"/proc/{found[1]}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    starting = words == [b""]  # the process has no arguments yet
    ours = b"bake" in words and str(output).encode() in words
    return state not in "ZX" and (starting or ours)


def read(output: Path) -> Progress | None:
    """How far the bake of `output` is, None when there is none that we know of."""
    found = _job(output)
    if found is None:
        return None
    job, pid = found
    rows = _rows(lines_file(output))
    losses = tuple((int(row["step"]), float(row["loss"])) for row in rows)
    step, total = (losses[-1][0], int(rows[-1]["total"])) if rows else (0, 0)
    if alive(output):
        return Progress(job, RUNNING, step, total, losses, "", pid)
    state, message = _ending(job, step, total)
    return Progress(job, state, step, total, losses, message, pid)


def _ending(job: BakeJob, step: int, total: int) -> tuple[str, str]:
    """The state of a bake whose process has ended, and why it failed."""
    if checkpoint_file(job.output).exists():
        return STOPPED, ""
    if job.output.is_file() and step >= total > 0:
        return COMPLETE, ""
    try:
        text = log_file(job.output).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        text = ""
    last = text.splitlines()[-1] if text else "it ended without a word"
    return (STOPPED if last.startswith("interrupted") else FAILED), last.removeprefix("error: ")


def _job(output: Path) -> tuple[BakeJob, int] | None:
    try:
        table = json.loads(job_file(output).read_text(encoding="utf-8"))
        pid = int(table.pop("pid"))
        job = BakeJob(
            Path(table["material"]), Path(table["output"]), float(table["minutes"]),
            int(table["steps"]),
            str(table["arch"]), int(table["resolution"]), str(table["latents"]),
            str(table["weights"]), int(table["seed"]),
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return (job, pid) if job.output == output else None


def _rows(file: Path) -> list[dict[str, Any]]:
    """The complete lines; the last one may be in the making."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    rows = []
    for line in lines:
        try:
            row = json.loads(line)
            rows.append({key: row[key] for key in ("step", "total", "loss")})
        except (ValueError, KeyError, TypeError):
            continue
    return rows
