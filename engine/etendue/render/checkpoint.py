"""The state of an unfinished picture on disk, so that a killed rendering goes on where it stood.

The file is safetensors with a hashed header, as artifacts are; it is written beside itself and
renamed, so that whenever the process is killed the last complete one is there.
"""

from __future__ import annotations

import dataclasses
import glob
import hashlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from etendue.artifact import Artifact, read_artifact, write_artifact
from etendue.core.errors import InputError

KIND = "unfinished picture"
DEFAULT_S = 60.0


def checkpoint_path(output: Path) -> Path:
    """Where an unfinished `output` keeps its state."""
    return output.with_name(output.name + ".checkpoint")


@dataclass
class Store:
    """Where, how often and for which picture the state is kept."""

    path: Path
    identity: str  # of scene and options
    every_s: float = DEFAULT_S
    resume: bool = False
    written: float = field(default_factory=time.monotonic)

    def load(self) -> tuple[dict[str, np.ndarray], float] | None:
        """Arrays and seconds spent so far, None when there is nothing to go on from."""
        if not self.resume or not self.path.exists():
            return None
        fix = "Render without --resume to start again"
        try:
            artifact = read_artifact(self.path, kind=KIND)
        except InputError as error:
            raise InputError(
                self.path, f"is no usable checkpoint ({str(error).partition(': ')[2]})", fix=fix
            ) from None
        if artifact.header.get("identity") != self.identity:
            raise InputError(self.path, "belongs to another scene or other options", fix=fix)
        return dict(artifact.tensors), float(artifact.header["seconds"])

    def due(self) -> bool:
        """Whether it is time to write."""
        return time.monotonic() - self.written >= self.every_s

    def write(self, state: Mapping[str, np.ndarray], seconds: float) -> None:
        """Replace the file by the present state."""
        new = self.path.with_name(self.path.name + ".new")
        header = {"kind": KIND, "identity": self.identity, "seconds": seconds}
        write_artifact(new, Artifact(header, state))
        with new.open("rb") as file:
            os.fsync(file.fileno())
        new.replace(self.path)
        self.written = time.monotonic()


def remove_checkpoint(output: Path) -> None:
    """`output` is finished: nothing of its unfinished state stays."""
    path = checkpoint_path(output)
    for name in (path.name, path.name + ".new"):
        path.with_name(name).unlink(missing_ok=True)
    for stale in path.parent.glob(f".{glob.escape(path.name)}-*.new"):  # of a killed process
        stale.unlink(missing_ok=True)


def identity(*parts: Any) -> str:
    """SHA-256 over the content of `parts`: data classes, mappings, sequences, arrays, plain values.

    Equal content gives the same in every process.
    """
    state = hashlib.sha256()
    _feed(state, parts)
    return state.hexdigest()


def _feed(state: Any, value: Any) -> None:
    state.update(f"{type(value).__name__}(".encode())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        for entry in dataclasses.fields(value):
            state.update(entry.name.encode())
            _feed(state, getattr(value, entry.name))
    elif isinstance(value, Mapping):
        for key in sorted(value, key=str):
            _feed(state, str(key))
            _feed(state, value[key])
    elif isinstance(value, tuple | list):
        for item in value:
            _feed(state, item)
    elif isinstance(value, np.ndarray):
        state.update(f"{value.dtype.str}{value.shape}".encode())
        state.update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, bytes):
        state.update(f"{len(value)}:".encode() + value)
    else:
        text = str(value)
        state.update(f"{len(text)}:{text}".encode())
    state.update(b")")
