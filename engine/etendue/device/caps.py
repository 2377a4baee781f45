"""What this machine can run: the best Mitsuba variant, asked once and remembered on disk."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from etendue.core.errors import DeviceError, InputError
from etendue.core.files import atomic_path
from etendue.device.drjit import CUDA_VARIANT, DEFAULT_VARIANT, llvm_library
from etendue.device.probe import ask

FALLBACK_VARIANT = "scalar_rgb"
DEVICES = ("auto", "cpu", "cuda")
CUDA_DRIVER = "libcuda.so.1"
PROBE_VERSION = 1  # part of the key: raise it when the probe asks something new


def best_variant(device: str = "auto") -> tuple[str, str]:
    """The variant to render with and why: CUDA where it works, else LLVM, else `scalar_rgb`.

    `device` "cpu" leaves CUDA out. The test render runs in a child process the first time; a
    success is remembered until Dr.Jit, Mitsuba, the library or the processor changes. A failure is
    asked again every time.
    """
    if device != "cpu" and cuda_answer()["usable"]:
        return CUDA_VARIANT, "CUDA works"
    answer = llvm_answer()
    if answer["usable"]:
        return DEFAULT_VARIANT, f"LLVM {answer['llvm']} works"
    return FALLBACK_VARIANT, f"LLVM is not usable ({answer['why']}); rendering is slower"


def array_variant(device: str = "auto") -> str:
    """The variant whose arrays do the work on `device`: "cpu", "cuda", or "auto" for the faster.

    Raises `InputError` for another name and `DeviceError` where CUDA is asked for in vain; that
    LLVM is usable is for `activate` to find out.
    """
    if device not in DEVICES:
        raise InputError("--device", "is unknown", got=device, expected=", ".join(DEVICES))
    if device == "cpu":
        return DEFAULT_VARIANT
    answer = cuda_answer()
    if not answer["usable"] and device == "cuda":
        raise DeviceError("cuda", f"cannot be used here ({answer['why']})", fix="--device cpu")
    return CUDA_VARIANT if answer["usable"] else DEFAULT_VARIANT


def cuda_answer() -> dict[str, Any]:
    """The answer of the CUDA test render; without a driver no child is asked."""
    try:
        ctypes.CDLL(CUDA_DRIVER)
    except OSError:
        return {"usable": False, "why": "no CUDA driver is installed"}
    return _remembered("cuda", CUDA_VARIANT, "usable")


def llvm_answer() -> dict[str, Any]:
    """The answer of the LLVM test render, from the cache when nothing has changed."""
    return _remembered("llvm", DEFAULT_VARIANT, "llvm")


def _remembered(name: str, variant: str, told: str) -> dict[str, Any]:
    path = cache_folder() / f"{name}-{_key(name)}.json"
    try:
        stored = json.loads(path.read_text())
        if isinstance(stored, dict) and stored.get("usable") is True and told in stored:
            return stored
    except (OSError, ValueError):
        pass  # absent or damaged: ask again
    answer = ask("render", variant)
    if answer["usable"]:
        try:
            with atomic_path(path) as temporary:
                temporary.write_text(json.dumps(answer))
        except (InputError, OSError):
            pass  # an unwritable cache costs a second, not a picture
    return answer


def cache_folder() -> Path:
    """Where answers are kept: `$XDG_CACHE_HOME/etendue`, by default `~/.cache/etendue`."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "etendue"


def processor() -> str:
    """The processor's model name."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _key(name: str) -> str:
    """A hash of everything the answer depends on."""
    parts = [str(PROBE_VERSION), processor()]
    for package in ("drjit", "mitsuba"):
        try:
            parts.append(metadata.version(package))
        except metadata.PackageNotFoundError:
            parts.append("absent")
    if name == "cuda":
        parts.append(_driver())
        return hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]
    library = llvm_library()
    parts.append(str(library))
    if library is not None and library.exists():
        status = library.stat()
        parts += [str(status.st_mtime_ns), str(status.st_size)]
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]


def _driver() -> str:
    try:
        return Path("/proc/driver/nvidia/version").read_text().partition("\n")[0]
    except OSError:
        return "unknown"
