"""Cross-compile the shaders: `tools/slangc.py` prints a table of what each target gets.

The compiler is the library inside the slangpy wheel, driven through its C interface; no device is
needed. Entry points are compiled as `render/path/slang_stage.py` links them: with one module
`neural/linear_*` and values for the extern constants.
"""

from __future__ import annotations

import argparse
import ctypes
import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SHADERS = ROOT / "shaders"
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
CONSTANTS = {"CAPACITY": 32, "LAYERS": 3, "KINDS": 255, "LIGHTS": 63, "FEATURES": 63}
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
_WHOLE = ("spirv", "spirv-asm", "cuda", "metal")  # targets with one blob for all entry points


@dataclass(frozen=True)
class Compiled:
    """Code, or the first error."""

    code: str
    error: str

    @property
    def signs(self) -> tuple[str, ...]:
        """Which of `SIGNS` stand in the code, the target's own prelude apart."""
        body = self.code.rpartition("#endif")[2] if "SLANG_PRELUDE" in self.code else self.code
        return tuple(sign for sign in SIGNS if sign in body)


class Compiler:
    """The compiler library of the slangpy wheel."""

    def __init__(self) -> None:
        spec = util.find_spec("slangpy")
        if spec is None or spec.origin is None:
            raise SystemExit("slangc: slangpy is not installed")
        folder = Path(spec.origin).parent
        self.library = ctypes.CDLL(str(next(folder.glob("libslang-compiler.so*"))))
        p, i, s = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
        for name, result, arguments in (
            ("spCreateSession", p, [s]),
            ("spCreateCompileRequest", p, [p]),
            ("spProcessCommandLineArguments", i, [p, ctypes.POINTER(s), i]),
            ("spCompile", i, [p]),
            ("spGetDiagnosticOutput", s, [p]),
            ("spDestroyCompileRequest", None, [p]),
            ("spGetEntryPointCodeBlob", i, [p, i, i, ctypes.POINTER(p)]),
            ("spGetTargetCodeBlob", i, [p, i, ctypes.POINTER(p)]),
        ):
            function = getattr(self.library, name)
            function.restype, function.argtypes = result, arguments
        self.session = self.library.spCreateSession(None)

    def run(self, target: str, *arguments: str) -> Compiled:
        """Compile with the arguments of slangc's command line."""
        request = self.library.spCreateCompileRequest(self.session)
        words = [word.encode() for word in (*arguments, "-target", target)]
        array = (ctypes.c_char_p * len(words))(*words)
        code = self.library.spProcessCommandLineArguments(request, array, len(words))
        if code >= 0:
            code = self.library.spCompile(request)
        blob = ctypes.c_void_p()
        text = ""
        if code >= 0:
            # the other getter crashes on the wrong kind of target
            if target in _WHOLE:
                self.library.spGetTargetCodeBlob(request, 0, ctypes.byref(blob))
            else:
                self.library.spGetEntryPointCodeBlob(request, 0, 0, ctypes.byref(blob))
            text = _bytes(blob).decode(errors="replace") if blob else ""
        told = (self.library.spGetDiagnosticOutput(request) or b"").decode(errors="replace")
        self.library.spDestroyCompileRequest(request)
        errors = re.findall(r"error\[(E\d+)\]: ([^\n]*)", told)
        return Compiled(text, "" if text else ": ".join(errors[0]) if errors else "no code")


def _bytes(blob: Any) -> bytes:
    """Content of an ISlangBlob: its table holds query, retain, release, pointer, size."""
    table = ctypes.cast(blob, ctypes.POINTER(ctypes.c_void_p))[0]
    methods = ctypes.cast(table, ctypes.POINTER(ctypes.c_void_p))
    pointer = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(methods[3])(blob)
    size = ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.c_void_p)(methods[4])(blob)
    content = ctypes.string_at(pointer, size) if size else b""
    ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_void_p)(methods[2])(blob)
    return content


def compile_entry(compiler: Compiler, module: str, linear: str, target: str) -> Compiled:
    """One entry point for one target."""
    entry, stage = ENTRIES[module]
    constants = dict(CONSTANTS)
    if linear == "coopmat":
        constants["EDGE"] = 8 if target == "metal" else 16  # Metal has 8 x 8 only
    lines = [f"import neural.linear_{linear};"]
    lines += [f"export public static const int {name} = {v};" for name, v in constants.items()]
    lines.append(f'#include "{module}.slang"')
    kind, *options = TARGETS[target]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "linked.slang")
        source.write_text("\n".join(lines))
        words = (str(source), "-I", str(SHADERS), "-entry", entry, "-stage", stage, *options)
        return compiler.run(kind, *words)


def rows(modules: Sequence[str], linears: Sequence[str], targets: Sequence[str]) -> list[list[str]]:
    """(module, linear, target, what came out) for every combination."""
    compiler, table = Compiler(), []
    for module in modules:
        for linear in linears:
            for target in targets:
                made = compile_entry(compiler, module, linear, target)
                told = f"no: {made.error}" if made.error else ", ".join(made.signs) or "yes"
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
