"""Questions to child processes: whatever happens to the child, there is an answer."""

from __future__ import annotations

import signal

import pytest

from etendue.device import probe
from etendue.device.drjit import LLVM_VARIABLE


def test_scalar_variant_renders() -> None:
    assert probe.ask("render", "scalar_rgb") == {"usable": True, "why": "rendered a test picture"}


def test_a_missing_library_is_an_answer() -> None:
    answer = probe.ask("render", "llvm_ad_rgb", environment={LLVM_VARIABLE: "/none/libLLVM.so"})
    assert answer["usable"] is False
    assert "could not be found" in answer["why"]


def test_unknown_question_and_unknown_variant() -> None:
    assert probe.ask("nonsense")["usable"] is False
    answer = probe.ask("render", "nonsense_rgb")
    assert answer["usable"] is False
    assert "nonsense_rgb" in answer["why"]


def test_a_child_that_dies_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import os; os.write(2, b'LLVM ERROR: Cannot select'); os.abort()"
    monkeypatch.setattr(probe, "COMMAND", ("-c", code))
    answer = probe.ask("render")
    assert answer["usable"] is False
    assert signal.SIGABRT.name in answer["why"]
    assert "Cannot select" in answer["why"]


def test_a_child_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "COMMAND", ("-c", "import signal; signal.pause()"))
    monkeypatch.setattr(probe, "TIMEOUT_S", 0.2)
    answer = probe.ask("render")
    assert answer["usable"] is False
    assert "no answer" in answer["why"]


def test_torch_without_cuda_says_which() -> None:
    answer = probe.torch_cuda()
    assert answer["usable"] in (True, False)
    if answer["build"] == "cpu":
        assert answer == {"usable": False, "why": "this torch is a CPU build", "build": "cpu"}
