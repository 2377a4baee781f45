"""The one place that opens a Slang device and loads shaders for it, gated by what it can do.

Using a feature that a device lacks is not always an error there: a driver without cooperative
matrices computes garbage in silence. So every module that needs a feature is listed in `NEEDS`,
and `load` refuses to compile it for a device that does not report the feature.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from etendue import layout
from etendue.core.errors import DeviceError
from etendue.device.caps import cache_folder
from etendue.device.probe import FEATURES

# module -> features without which it must not reach a driver
NEEDS: Mapping[str, tuple[str, ...]] = {
    "render/path.rq": ("ray_query", "acceleration_structure"),
    "render/path.rt": ("ray_tracing", "acceleration_structure"),
    "neural/linear_coopvec": ("cooperative_vector",),
    "neural/linear_coopmat": ("cooperative_matrix",),
}
KNOWN = (*FEATURES, "acceleration_structure", "wave_ops", "half", "timestamp_query")
# unfilled arrays are filled by the callee, which the compiler cannot see through an interface
QUIET = ("41016", "41035")
T = TypeVar("T")
_CONSEQUENCE = "E39999"  # a file that imports a broken one
_DIAGNOSTIC = re.compile(r"error\[(E\d+)\]: (.+)\n\s*--> ([^\n]+):(\d+):\d+")


@dataclass(frozen=True)
class SlangDevice:
    """An open device and the features that shaders may use on it."""

    raw: Any  # slangpy.Device
    kind: str
    name: str
    features: frozenset[str]

    @property
    def software(self) -> bool:
        """Whether a processor does the work."""
        return self.kind == "cpu" or "llvmpipe" in self.name

    def require(self, module: str) -> None:
        """Raise `DeviceError` unless the device has everything that `module` needs."""
        missing = [name for name in NEEDS.get(module, ()) if name not in self.features]
        if missing:
            raise DeviceError(
                f"shader {module}",
                f"needs {' and '.join(missing)}, which {self.name} does not offer",
                fix="See `etendue doctor`; another kernel does the same work without",
            )


def open_device(kind: str = "vulkan", *, without: Iterable[str] = ()) -> SlangDevice:
    """Open a device of `kind` ("vulkan", "cpu", "cuda", ...).

    Features named in `without` are treated as absent, which makes slower kernels testable.
    """
    try:
        import slangpy as spy
    except ImportError:
        raise DeviceError(
            "slang", "slangpy is not installed", fix='pip install "etendue[slang]"'
        ) from None
    try:
        raw = spy.Device(
            type=getattr(spy.DeviceType, kind),
            enable_rhi_validation=False,
            enable_hot_reload=False,
            compiler_options=_options(),
            shader_cache_path=_cache("slang"),
            module_cache_path=_cache("slang-modules"),
        )
    except (RuntimeError, AttributeError) as error:
        raise DeviceError(
            f"slang device {kind}", f"cannot be opened ({error})", fix="See `etendue doctor`"
        ) from None
    found = {name for name in KNOWN if raw.has_feature(getattr(spy.Feature, name))}
    return SlangDevice(raw, kind, raw.info.adapter_name, frozenset(found - set(without)))


def load(
    device: SlangDevice,
    module: str,
    entries: Iterable[str],
    *,
    with_modules: Iterable[str] = (),
    constants: Mapping[str, int] | None = None,
    fresh: bool = False,
) -> Any:
    """Link entry points of `module` with others and the values of its extern constants.

    `fresh` reads all files anew, as after an edit. Returns a `slangpy.ShaderProgram`. Raises
    `DeviceError` for a missing feature and for an error in a shader, then with file and line.
    """
    parts = [module, *with_modules]
    for part in parts:
        device.require(part)
    import slangpy as spy

    session = device.raw.slang_session
    try:
        if fresh:
            session = device.raw.create_slang_session(compiler_options=_options())
        modules = [session.load_module(f"{part}.slang") for part in parts]
        if constants:
            lines = [f"export public static const int {k} = {v};" for k, v in constants.items()]
            name = "_".join(["constants", *(f"{k}_{v}" for k, v in constants.items())]).lower()
            modules.append(session.load_module_from_source(name, "\n".join(lines)))
        points = [modules[0].entry_point(entry) for entry in entries]
        return session.link_program(modules, points)
    except (spy.SlangCompileError, RuntimeError) as error:
        raise DeviceError(f"shader {module}", readable(str(error))) from None


def _options() -> Any:
    import slangpy as spy

    return spy.SlangCompilerOptions(
        {"include_paths": [str(layout.shaders())], "disable_warnings": list(QUIET)}
    )


def stamp() -> tuple[int, int]:
    """Changes whenever a shader file is written, added or removed."""
    times = [file.stat().st_mtime_ns for file in layout.shaders().rglob("*.slang")]
    return len(times), max(times, default=0)


@dataclass
class Reloading(Generic[T]):
    """What `build` makes of the shaders, made again after an edit.

    `build(fresh)` may raise `DeviceError`: its message goes to `say` and the old result is kept
    until the next edit, so that a broken shader never stops a running program.
    """

    build: Callable[[bool], T]
    say: Callable[[str], None]

    def __post_init__(self) -> None:
        self._stamp = stamp()
        self._made = self.build(False)

    def current(self) -> T:
        """The newest result that compiles."""
        now = stamp()
        if now != self._stamp:
            self._stamp = now
            try:
                self._made = self.build(True)
            except DeviceError as error:
                self.say(str(error))
        return self._made


def readable(message: str) -> str:
    """The first errors of a compiler message as `file:line: text`, one after the other."""
    root = f"{layout.shaders()}/"
    found = [
        f"{file.strip().removeprefix(root)}:{line}: {text} ({code})"
        for code, text, file, line in _DIAGNOSTIC.findall(message)
        if code != _CONSEQUENCE
    ]
    if found:
        return "does not compile: " + "; ".join(found[:3])
    return "does not compile: " + " ".join(message.split())[:500]


def _cache(name: str) -> Path | None:
    """A folder for what was compiled; entries are found by the content they were made of."""
    folder = cache_folder() / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None  # an unwritable cache costs compile time, not a picture
    return folder
