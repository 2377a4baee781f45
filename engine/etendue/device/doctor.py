"""Every device and library: usable or not, why, and what to do about it."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Any

from etendue.device.caps import processor
from etendue.device.drjit import LLVM_VARIABLE, bundled_llvm, llvm_library
from etendue.device.probe import FEATURES, ask

REINSTALL = "pip install --force-reinstall --no-deps"
SLANG_FIX = 'pip install "etendue[slang]"'
VULKAN_FIX = "install a Vulkan driver (Debian: mesa-vulkan-drivers 25 or newer, from backports)"
GPU_OPTIONAL = "nothing to do: optional, needs an NVIDIA GPU and its driver"
NEEDED = ("numpy", "torch", "drjit", "mitsuba", "MaterialX", "OpenImageIO", "safetensors")
ICD_FOLDERS = ("/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d", "/usr/local/share/vulkan/icd.d")


@dataclass(frozen=True)
class Row:
    """One thing that was looked at."""

    name: str
    usable: bool
    why: str
    version: str = ""
    fix: str = ""  # empty when there is nothing to do
    required: bool = False  # étendue does not run without it

    def as_dict(self) -> dict[str, Any]:
        """The row as plain data."""
        return asdict(self)


def examine() -> list[Row]:
    """Look at everything; questions that may end a process are put to child processes."""
    questions = {
        "llvm": ("render", "llvm_ad_rgb"),
        "scalar": ("render", "scalar_rgb"),
        "cuda": ("render", "cuda_ad_rgb"),
        "torch": ("torch_cuda",),
    }
    if util.find_spec("slangpy"):
        questions |= {"vulkan": ("slang", "vulkan"), "slang cpu": ("slang", "cpu")}
    with ThreadPoolExecutor(max_workers=2) as pool:
        pending = {name: pool.submit(ask, *words) for name, words in questions.items()}
        answers = {name: future.result() for name, future in pending.items()}
    rows = [_python(), _cpu(), *(_library(name) for name in NEEDED)]
    builders: tuple[Callable[[Mapping[str, Any]], list[Row]], ...] = (_drjit, _torch, _vulkan)
    return [*rows, *(row for build in builders for row in build(answers))]


def healthy(rows: list[Row]) -> bool:
    """Whether étendue can bake and render here (perhaps slowly)."""
    return all(row.usable for row in rows if row.required)


def _python() -> Row:
    good = sys.version_info >= (3, 11)
    fix = "" if good else "install Python 3.11 or newer"
    return Row("python", good, sys.executable, platform.python_version(), fix, required=True)


def _cpu() -> Row:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Row("cpu", True, f"{processor()}, {cores} threads", platform.machine(), required=True)


def _library(name: str) -> Row:
    try:
        return Row(name, True, "installed", metadata.version(name), required=True)
    except metadata.PackageNotFoundError:
        return Row(name, False, "not installed", fix=f"pip install {name}", required=True)


def _drjit(answers: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """The LLVM library and the Mitsuba variants."""
    llvm, scalar, cuda = answers["llvm"], answers["scalar"], answers["cuda"]
    path = llvm_library()
    where = str(path) if path else "chosen by Dr.Jit from the system"
    return [
        Row(
            "LLVM",
            llvm["usable"],
            where if llvm["usable"] else f"{where}: {llvm['why']}",
            llvm.get("llvm", ""),
            "" if llvm["usable"] else _llvm_fix(),
        ),
        Row(
            "llvm_ad_rgb",
            llvm["usable"],
            llvm["why"] if llvm["usable"] else "needs LLVM 19 or newer; scalar_rgb is used instead",
            fix="" if llvm["usable"] else "see LLVM",
        ),
        Row(
            "scalar_rgb",
            scalar["usable"],
            scalar["why"],
            fix="" if scalar["usable"] else f"{REINSTALL} mitsuba drjit (apt: libatomic1)",
            required=True,
        ),
        Row("cuda_ad_rgb", cuda["usable"], cuda["why"], fix="" if cuda["usable"] else GPU_OPTIONAL),
    ]


def _llvm_fix() -> str:
    if os.environ.get(LLVM_VARIABLE) and bundled_llvm():
        return f"unset {LLVM_VARIABLE} to use the bundled LLVM"
    if bundled_llvm():
        return f"{REINSTALL} karellen-llvm-core (apt: libatomic1)"
    return "pip install karellen-llvm-core (or apt-get install libllvm19)"


def _torch(answers: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    cuda = answers["torch"]
    fix = "" if cuda["usable"] else GPU_OPTIONAL
    return [Row("torch cuda", cuda["usable"], cuda["why"], fix=fix)]


def _vulkan(answers: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """The Vulkan driver, slangpy and the features of its device."""
    drivers = _icds()
    files = ", ".join(drivers) if drivers else "no driver manifest found"
    if "vulkan" not in answers:
        absent = "slangpy is not installed"
        return [
            Row("vulkan driver", False, f"{files}; not tried: {absent}", fix=SLANG_FIX),
            Row("slang", False, absent, fix=SLANG_FIX),
            *(Row(name, False, absent, fix=SLANG_FIX) for name in FEATURES),
        ]
    vulkan, cpu = answers["vulkan"], answers["slang cpu"]
    version = metadata.version("slangpy")
    rows = [
        Row(
            "vulkan driver",
            vulkan["usable"],
            vulkan["why"] if vulkan["usable"] else f"{files}; {vulkan['why']}",
            fix="" if vulkan["usable"] else VULKAN_FIX,
        ),
        Row(
            "slang",
            vulkan["usable"] or cpu["usable"],
            "Vulkan device" if vulkan["usable"] else f"CPU device only: {cpu['why']}",
            version,
            "" if vulkan["usable"] else VULKAN_FIX,
        ),
    ]
    features = vulkan.get("features", {})
    for name in FEATURES:
        has = bool(features.get(name))
        why = "supported" if has else "not supported by this device"
        missing = "needs a GPU or driver that offers it" if vulkan["usable"] else VULKAN_FIX
        rows.append(
            Row(
                name,
                has,
                why if vulkan["usable"] else "no Vulkan device",
                "",
                "" if has else missing,
            )
        )
    return [*rows, *_kernels(features, vulkan["usable"])]


def _kernels(features: Mapping[str, Any], vulkan: bool) -> list[Row]:
    """How `--backend slang` can trace rays and run networks here."""
    if not vulkan:
        return []
    rays = features.get("ray_query")
    rows = [
        Row(
            "slang rays",
            True,
            "ray queries" if rays else "software hierarchy: the device has no ray queries",
        ),
        Row("kernel scalar", True, "float32 loops; runs everywhere"),
    ]
    for kernel, feature, instead in (
        ("divergent", "cooperative_vector", "scalar loops are used instead"),
        ("coherent", "cooperative_matrix", "--kernel coherent is refused"),
    ):
        has = bool(features.get(feature))
        why = f"by {feature}" if has else f"the device lacks {feature}; {instead}"
        fix = "" if has else "needs a GPU or driver that offers it"
        rows.append(Row(f"kernel {kernel}", has, why, fix=fix))
    return rows


def _icds() -> list[str]:
    """File names of the installed Vulkan driver manifests."""
    return sorted(p.stem for folder in ICD_FOLDERS for p in Path(folder).glob("*.json"))
