"""The one place that chooses an LLVM for Dr.Jit and activates a Mitsuba variant."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType

from etendue.core.errors import DeviceError

DEFAULT_VARIANT = "llvm_ad_rgb"
CUDA_VARIANT = "cuda_ad_rgb"
LLVM_VARIABLE = "DRJIT_LIBLLVM_PATH"


def bundled_llvm() -> Path | None:
    """Path of the libLLVM that the `karellen-llvm-core` wheel put into this environment."""
    found = sorted(Path(sys.prefix, "lib").glob("libLLVM.so.*"), key=_version)
    return found[-1] if found else None


def llvm_library() -> Path | None:
    """The LLVM that Dr.Jit is going to load: the user's choice, else the bundled one.

    `None` leaves the choice to Dr.Jit, which takes what the system has.
    """
    chosen = os.environ.get(LLVM_VARIABLE)
    return Path(chosen) if chosen else bundled_llvm()


def activate(variant: str = DEFAULT_VARIANT) -> ModuleType:
    """Import Mitsuba with `variant` set and return the module; cheap when already active.

    An LLVM variant is tried in a child process first (once per machine, see `caps`), because an
    unsuitable LLVM aborts the process; here it is a `DeviceError` instead.
    """
    active = sys.modules.get("mitsuba")
    if active is not None and active.variant() == variant:
        return active
    if variant.startswith("llvm"):
        from etendue.device.caps import llvm_answer

        answer = llvm_answer()
        if not answer["usable"]:
            raise _unusable(variant, answer["why"])
    return select(variant)


def select(variant: str) -> ModuleType:
    """`activate` without the trial, for the child process that makes it.

    Dr.Jit kernels need LLVM 19 or newer, so the bundled library is named through
    DRJIT_LIBLLVM_PATH unless the user has set that variable.
    """
    library = llvm_library()
    if library is not None:
        os.environ[LLVM_VARIABLE] = str(library)
    try:
        import mitsuba

        mitsuba.set_variant(variant)
    except (ImportError, NameError) as error:  # a missing libatomic shows as a NameError
        raise _unusable(variant, " ".join(str(error).split())) from error
    return mitsuba


def _unusable(variant: str, reason: str) -> DeviceError:
    return DeviceError(variant, f"cannot be used here ({reason})", fix="See `etendue doctor`")


def _version(path: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in path.name.split(".so.")[1].split(".") if part.isdecimal())
