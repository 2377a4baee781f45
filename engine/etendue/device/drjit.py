"""The one place that chooses an LLVM for Dr.Jit and activates a Mitsuba variant."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType

from etendue.core.errors import DeviceError

DEFAULT_VARIANT = "llvm_ad_rgb"
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

    Dr.Jit kernels need LLVM 19 or newer (older ones abort the process), so the bundled library is
    named through DRJIT_LIBLLVM_PATH unless the user has set that variable.
    """
    library = llvm_library()
    if library is not None:
        os.environ[LLVM_VARIABLE] = str(library)
    try:
        import mitsuba

        if mitsuba.variant() != variant:
            mitsuba.set_variant(variant)
    except (ImportError, NameError) as error:  # a missing libatomic shows as a NameError
        reason = " ".join(str(error).split())
        raise DeviceError(
            variant, f"cannot be used ({reason})", fix="See `etendue doctor`"
        ) from error
    return mitsuba


def _version(path: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in path.name.split(".so.")[1].split(".") if part.isdecimal())
