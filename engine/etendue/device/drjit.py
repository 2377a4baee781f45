"""The one place that chooses an LLVM for Dr.Jit and activates a Mitsuba variant."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType

DEFAULT_VARIANT = "llvm_ad_rgb"


def bundled_llvm() -> Path | None:
    """Path of the libLLVM that the `karellen-llvm-core` wheel put into this environment."""
    found = sorted(Path(sys.prefix, "lib").glob("libLLVM.so.*"))
    return found[-1] if found else None


def activate(variant: str = DEFAULT_VARIANT) -> ModuleType:
    """Import Mitsuba with `variant` set and return the module; cheap when already active.

    Dr.Jit kernels need LLVM 19 or newer (older ones abort the process), so the bundled library is
    named through DRJIT_LIBLLVM_PATH unless the user has set that variable.
    """
    library = bundled_llvm()
    if library is not None:
        os.environ.setdefault("DRJIT_LIBLLVM_PATH", str(library))
    import mitsuba

    if mitsuba.variant() != variant:
        mitsuba.set_variant(variant)
    return mitsuba
