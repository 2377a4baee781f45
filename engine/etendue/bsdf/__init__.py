"""Scattering models on Dr.Jit, one convention for all (see `base`).

Dr.Jit looks for LLVM when it is first imported, and this package's modules import it, so the
library that works has to be named before.
"""

from __future__ import annotations

import os

from ..device.drjit import LLVM_VARIABLE, llvm_library

if (library := llvm_library()) is not None:
    os.environ.setdefault(LLVM_VARIABLE, str(library))
del library
