"""The best variant, and the memory of the answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from etendue.core.errors import DeviceError, InputError
from etendue.device import caps
from etendue.device.drjit import LLVM_VARIABLE

GOOD = {"usable": True, "why": "rendered", "llvm": "23.1"}
BAD = {"usable": False, "why": "too old"}


class Child:
    """Stands for the child process: gives a fixed answer and counts the questions."""

    def __init__(self, answer: dict[str, Any], variant: str = "llvm_ad_rgb") -> None:
        self.answer, self.variant = answer, variant
        self.asked = 0

    def __call__(self, *words: str) -> dict[str, Any]:
        assert words == ("render", self.variant)
        self.asked += 1
        return self.answer


@pytest.fixture(autouse=True)
def no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caps, "CUDA_DRIVER", "libnothing.so.0")


def test_success_is_asked_once(private_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    child = Child(GOOD)
    monkeypatch.setattr(caps, "ask", child)
    assert caps.best_variant() == ("llvm_ad_rgb", "LLVM 23.1 works")
    assert caps.best_variant() == ("llvm_ad_rgb", "LLVM 23.1 works")
    assert child.asked == 1
    assert len(list(private_cache.iterdir())) == 1


def test_failure_is_asked_again(private_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    child = Child(BAD)
    monkeypatch.setattr(caps, "ask", child)
    for _ in range(2):
        variant, reason = caps.best_variant()
        assert variant == "scalar_rgb"
        assert "too old" in reason
        assert "slower" in reason
    assert child.asked == 2
    assert not private_cache.exists()


def test_another_library_is_asked_about(
    private_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = Child(GOOD)
    monkeypatch.setattr(caps, "ask", child)
    library = tmp_path / "libLLVM.so.1"
    monkeypatch.setenv(LLVM_VARIABLE, str(library))
    for size in (1, 2):
        library.write_bytes(b"x" * size)
        caps.best_variant()
    assert child.asked == 2


@pytest.mark.parametrize("text", ["", "{", "[]", '{"usable": false}', '{"usable": true}'])
def test_damaged_memory_is_ignored(
    text: str, private_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = Child(GOOD)
    monkeypatch.setattr(caps, "ask", child)
    caps.best_variant()
    (stored,) = private_cache.iterdir()
    stored.write_text(text)
    assert caps.best_variant()[0] == "llvm_ad_rgb"
    assert child.asked == 2


def test_unwritable_memory_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(caps, "ask", Child(GOOD))
    assert caps.best_variant()[0] == "llvm_ad_rgb"


def test_this_machine(private_cache: Path) -> None:
    variant, reason = caps.best_variant()
    assert variant in ("llvm_ad_rgb", "scalar_rgb")
    assert private_cache.exists() == (variant == "llvm_ad_rgb")
    assert reason


def with_cuda(monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any]) -> Child:
    child = Child(answer, "cuda_ad_rgb")
    monkeypatch.setattr(caps, "ask", child)
    monkeypatch.setattr(caps.ctypes, "CDLL", lambda name: name)
    return child


def test_cuda_comes_first_and_is_asked_once(
    private_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = with_cuda(monkeypatch, {"usable": True, "why": "rendered", "cooperative_vectors": True})
    assert caps.best_variant()[0] == caps.array_variant() == "cuda_ad_rgb"
    assert caps.array_variant("cuda") == "cuda_ad_rgb"
    assert caps.cuda_answer()["cooperative_vectors"] and child.asked == 1
    assert caps.array_variant("cpu") == "llvm_ad_rgb"


def test_without_a_driver_no_child_is_asked(
    private_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caps, "ask", None)
    assert caps.array_variant() == "llvm_ad_rgb"
    with pytest.raises(DeviceError, match=r"no CUDA driver is installed.*--device cpu"):
        caps.array_variant("cuda")
    with pytest.raises(InputError, match="--device: is unknown; got tpu"):
        caps.array_variant("tpu")


def test_a_broken_cuda_is_no_reason_to_stop(
    private_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_cuda(monkeypatch, BAD)
    assert caps.array_variant() == "llvm_ad_rgb"
    with pytest.raises(DeviceError, match="too old"):
        caps.array_variant("cuda")
