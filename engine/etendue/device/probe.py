"""Questions whose answer may end the process; run as `python -m etendue.device.probe QUESTION`.

A too old LLVM aborts while it compiles the first kernel, a broken driver may crash on creation of
a device. So `ask` puts each question to a child process and reads one line of JSON from it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

TIMEOUT_S = 120.0
COMMAND = ("-m", "etendue.device.probe")
FEATURES = ("ray_query", "ray_tracing", "cooperative_vector", "cooperative_matrix")


def ask(
    question: str, *arguments: str, environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The child's answer; always holds `usable` and `why`, whatever happened to the child."""
    source = str(Path(__file__).resolve().parents[2])
    paths = [source, *filter(None, [os.environ.get("PYTHONPATH")])]
    child = {**os.environ, **(environment or {}), "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, *COMMAND, question, *arguments]
    try:
        done = subprocess.run(
            command, env=child, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return {"usable": False, "why": f"gave no answer within {TIMEOUT_S:.0f} s"}
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode == 0 and lines:
        return json.loads(lines[-1])
    return {"usable": False, "why": _death(done.returncode, done.stderr)}


def render(variant: str) -> dict[str, Any]:
    """Path-trace 8x8 pixels: instruction selection fails here and not at start-up."""
    from etendue.device.drjit import select

    mi: Any = select("scalar_rgb")  # always possible, and chooses the LLVM before the import
    import drjit as dr

    if variant.startswith("cuda") and not dr.has_backend(dr.JitBackend.CUDA):
        return {"usable": False, "why": "no CUDA device and driver were found"}
    select(variant)
    scene = mi.cornell_box()
    scene["sensor"]["film"] = {"type": "hdrfilm", "width": 8, "height": 8}
    image = mi.TensorXf(mi.render(mi.load_dict(scene), spp=4))
    mean = float(dr.mean(image, axis=None).array[0])
    if not 0.05 < mean < 1.0:
        return {"usable": False, "why": f"rendered a wrong picture (mean radiance {mean:.3g})"}
    answer: dict[str, Any] = {"usable": True, "why": "rendered a test picture"}
    if variant.startswith("cuda"):
        answer["cooperative_vectors"] = _cooperative_vectors()
    if variant.startswith("llvm"):
        from drjit.detail import llvm_version

        answer["llvm"] = ".".join(str(part) for part in llvm_version())
    return answer


def _cooperative_vectors() -> bool:
    """Whether the driver multiplies matrices by cooperative vectors of half precision."""
    import drjit as dr
    import drjit.nn as nn
    from drjit.cuda.ad import Float16, TensorXf16

    try:
        matrix = nn.pack(dr.ones(TensorXf16, (16, 16)), layout="inference")
        vector = nn.CoopVec(*[dr.full(Float16, 0.5, 32) for _ in range(16)])
        found = list(nn.matvec(matrix, vector))
        return all(abs(float(x[31]) - 8.0) < 1e-2 for x in found)
    except RuntimeError:
        return False


def torch_cuda(_: str = "") -> dict[str, Any]:
    """Whether torch sees a CUDA device and can multiply on it."""
    import torch

    if torch.version.cuda is None:
        return {"usable": False, "why": "this torch is a CPU build", "build": "cpu"}
    if not torch.cuda.is_available():
        return {"usable": False, "why": "no CUDA device is visible", "build": "cuda"}
    ones = torch.ones(8, 8, device="cuda")
    usable = bool((ones @ ones == 8).all())
    return {"usable": usable, "why": torch.cuda.get_device_name(), "build": "cuda"}


def slang(kind: str) -> dict[str, Any]:
    """Create a slangpy device of `kind` and list the features the renderer asks about."""
    import slangpy

    device = slangpy.create_device(getattr(slangpy.DeviceType, kind), enable_print=False)
    features = {name: device.has_feature(getattr(slangpy.Feature, name)) for name in FEATURES}
    return {"usable": True, "why": device.info.adapter_name, "features": features}


QUESTIONS: dict[str, Callable[[str], dict[str, Any]]] = {
    "render": render,
    "torch_cuda": torch_cuda,
    "slang": slang,
}


def _death(code: int, stderr: str) -> str:
    """One line on why a child died: the signal's name and its last telling line of output."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    telling = [line for line in lines if "error" in line.lower() or "could not" in line.lower()]
    last = (telling or lines or ["it said nothing"])[0 if telling else -1]
    if code < 0:
        return f"the process was ended by {signal.Signals(-code).name}: {last}"[:300]
    return last[:300]


def main(arguments: list[str]) -> int:
    """Answer one question on stdout."""
    question, argument = (*arguments, "")[:2]
    try:
        answer = QUESTIONS[question](argument)
    except Exception as error:  # reported to the parent, which shows it
        cause = error.__cause__ or error
        answer = {"usable": False, "why": " ".join(str(cause).split())[:300]}
    print(json.dumps(answer), flush=True)
    return 0


if __name__ == "__main__":
    code = main(sys.argv[1:])
    os._exit(code)  # a driver's clean-up at exit must not change the answer
