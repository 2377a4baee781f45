"""What this machine can run: the best Mitsuba variant, asked once and remembered on disk."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from etendue.core.errors import InputError
from etendue.core.files import atomic_path
from etendue.device.drjit import DEFAULT_VARIANT, llvm_library
from etendue.device.probe import ask

FALLBACK_VARIANT = "scalar_rgb"
PROBE_VERSION = 1  # part of the key: raise it when the probe asks something new


def best_variant() -> tuple[str, str]:
    """The variant to render with and why: `llvm_ad_rgb` when it works here, else `scalar_rgb`.

    The test render runs in a child process the first time; a success is remembered until Dr.Jit,
    Mitsuba, the LLVM library or the processor changes. A failure is asked again every time.
    """
    answer = llvm_answer()
    if answer["usable"]:
        return DEFAULT_VARIANT, f"LLVM {answer['llvm']} works"
    return FALLBACK_VARIANT, f"LLVM is not usable ({answer['why']}); rendering is slower"


def llvm_answer() -> dict[str, Any]:
    """The answer of the LLVM test render, from the cache when nothing has changed."""
    path = cache_folder() / f"llvm-{_key()}.json"
    try:
        stored = json.loads(path.read_text())
        if isinstance(stored, dict) and stored.get("usable") is True and "llvm" in stored:
            return stored
    except (OSError, ValueError):
        pass  # absent or damaged: ask again
    answer = ask("render", DEFAULT_VARIANT)
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


def _key() -> str:
    """A hash of everything the answer depends on."""
    parts = [str(PROBE_VERSION), processor()]
    for package in ("drjit", "mitsuba"):
        try:
            parts.append(metadata.version(package))
        except metadata.PackageNotFoundError:
            parts.append("absent")
    library = llvm_library()
    parts.append(str(library))
    if library is not None and library.exists():
        status = library.stat()
        parts += [str(status.st_mtime_ns), str(status.st_size)]
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]
