"""Cross-compile the shaders: `tools/slangc.py` prints a table of what each target gets.

No device is needed (`etendue.device.slang_compiler`). Entry points are compiled as
`render/path/slang_stage.py` links them: with one module `neural/linear_*` and values for the extern
constants.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from etendue.device.slang_compiler import Compiled, Compiler

ENTRIES = {
    "neural/decode": ("decode_main", "compute"),
    "render/path.bvh": ("path_main", "compute"),
    "render/path.rq": ("path_main", "compute"),
    "render/path.rt": ("path_main", "raygeneration"),
    "render/path.wave": ("scatter_main", "compute"),
}
LINEARS = ("scalar", "coopvec", "coopmat")
TARGETS: dict[str, tuple[str, ...]] = {
    "spirv": ("spirv-asm",),
    "hlsl": ("hlsl", "-profile", "sm_6_9"),
    "cuda": ("cuda",),
    "optix": ("cuda", "-capability", "optix_coopvec"),
    "metal": ("metal",),
    "wgsl": ("wgsl",),
}
CONSTANTS = {"CAPACITY": 32, "LAYERS": 3, "KINDS": 255, "LIGHTS": 63, "FEATURES": 63 | 1024}
CONSTANTS |= {"SCALARS": 160, "CHANNELS": 16, "INTERFACES": 3, "LOBES": 6}
# what tells that hardware does the work
SIGNS = (
    "OpCooperativeMatrixMulAddKHR",
    "OpCooperativeVectorMatrixMulAddNV",
    "OpRayQueryProceedKHR",
    "OpTraceRayKHR",
    "__builtin_MatVecMulAdd",
    "RayQuery<",
    "TraceRay(",
    "dx::linalg::Matrix<",
    "slangOptixCoopVecMatMul",  # the wrapper of optixCoopVecMatMul
    "optixTrace",
    "Slang_CUDA_WMMA",
    "simdgroup_multiply_accumulate",
    "intersection_query",
)


def signs(code: str) -> tuple[str, ...]:
    """Which of `SIGNS` stand in the code, the target's own prelude apart."""
    body = code.rpartition("#endif")[2] if "SLANG_PRELUDE" in code else code
    return tuple(sign for sign in SIGNS if sign in body)


def compile_entry(compiler: Compiler, module: str, linear: str, target: str) -> Compiled:
    """One entry point for one target."""
    entry, stage = ENTRIES[module]
    constants = dict(CONSTANTS)
    if linear == "coopmat":
        constants["EDGE"] = 8 if target == "metal" else 16  # Metal has 8 x 8 only
    return compiler.entry(module, entry, stage, TARGETS[target], constants, linear)


def rows(modules: Sequence[str], linears: Sequence[str], targets: Sequence[str]) -> list[list[str]]:
    """(module, linear, target, what came out) for every combination."""
    compiler, table = Compiler(), []
    for module in modules:
        for linear in linears:
            for target in targets:
                made = compile_entry(compiler, module, linear, target)
                told = f"no: {made.error}" if made.error else ", ".join(signs(made.code)) or "yes"
                table.append([module, linear, target, told])
    return table


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--module", choices=list(ENTRIES), action="append")
    parser.add_argument("--linear", choices=LINEARS, action="append")
    parser.add_argument("--target", choices=list(TARGETS), action="append")
    chosen = parser.parse_args(arguments)
    table = rows(
        chosen.module or list(ENTRIES), chosen.linear or LINEARS, chosen.target or list(TARGETS)
    )
    print("| entry point | networks | target | result |\n|---|---|---|---|")
    for row in table:
        print("| " + " | ".join(row) + " |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
