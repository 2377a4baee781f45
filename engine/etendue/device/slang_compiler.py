"""The Slang compiler without a device: the library inside the slangpy wheel, by its C interface."""

from __future__ import annotations

import ctypes
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from typing import Any

from etendue import layout
from etendue.core.errors import DeviceError

_WHOLE = ("spirv", "spirv-asm", "cuda", "metal")  # targets with one blob for all entry points


@dataclass(frozen=True)
class Compiled:
    """Code, or the first error."""

    code: str
    error: str


class Compiler:
    """The compiler library of the slangpy wheel."""

    def __init__(self) -> None:
        spec = util.find_spec("slangpy")
        if spec is None or spec.origin is None:
            raise DeviceError(
                "slangpy", "is not installed", fix='Run: pip install "etendue[slang]"'
            )
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

    def entry(
        self,
        module: str,
        entry: str,
        stage: str,
        target: Sequence[str],
        constants: Mapping[str, int],
        linear: str = "scalar",
    ) -> Compiled:
        """An entry point of the shaders, linked with `neural/linear_*` and the extern constants.

        `target` is the name of one, and options for it.
        """
        lines = [f"import neural.linear_{linear};"]
        lines += [f"export public static const int {name} = {v};" for name, v in constants.items()]
        lines.append(f'#include "{module}.slang"')
        kind, *options = target
        with tempfile.TemporaryDirectory(prefix="etendue-slang-") as folder:
            source = Path(folder, "linked.slang")
            source.write_text("\n".join(lines), encoding="utf-8")
            words = (str(source), "-I", str(layout.shaders()), "-entry", entry, "-stage", stage)
            return self.run(kind, *words, *options)


def _bytes(blob: Any) -> bytes:
    """Content of an ISlangBlob: its table holds query, retain, release, pointer, size."""
    table = ctypes.cast(blob, ctypes.POINTER(ctypes.c_void_p))[0]
    methods = ctypes.cast(table, ctypes.POINTER(ctypes.c_void_p))
    pointer = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(methods[3])(blob)
    size = ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.c_void_p)(methods[4])(blob)
    content = ctypes.string_at(pointer, size) if size else b""
    ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_void_p)(methods[2])(blob)
    return content
