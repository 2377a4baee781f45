"""The doctor names what is missing and what to do, with and without the optional parts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from etendue.cli import main
from etendue.device import doctor
from etendue.device.doctor import Row, examine, healthy
from etendue.device.drjit import LLVM_VARIABLE
from etendue.device.probe import FEATURES

YES = {"usable": True, "why": "fine", "llvm": "23.1"}
NO = {"usable": False, "why": "broken"}


def look(monkeypatch: pytest.MonkeyPatch, **answers: dict[str, Any]) -> dict[str, Row]:
    """Rows by name when the children give these answers (default: fine) for each question."""

    def ask(question: str, argument: str = "") -> dict[str, Any]:
        return answers.get(argument or question, YES)

    monkeypatch.setattr(doctor, "ask", ask)
    return {row.name: row for row in examine()}


def test_every_unusable_row_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    everything = {n: NO for n in ("llvm_ad_rgb", "scalar_rgb", "cuda_ad_rgb", "torch_cuda")}
    rows = look(monkeypatch, **everything, vulkan=NO, cpu=NO)
    for row in rows.values():
        assert row.usable or row.fix, row
        assert row.why, row
    assert not healthy(list(rows.values()))


def test_without_llvm_the_machine_is_healthy_but_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = look(monkeypatch, llvm_ad_rgb=NO)
    assert healthy(list(rows.values()))
    assert "scalar_rgb is used instead" in rows["llvm_ad_rgb"].why
    assert "broken" in rows["LLVM"].why


def test_a_users_broken_llvm_is_to_be_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LLVM_VARIABLE, "/none/libLLVM.so")
    monkeypatch.setattr(doctor, "bundled_llvm", lambda: "/here/libLLVM.so.23")
    assert LLVM_VARIABLE in look(monkeypatch, llvm_ad_rgb=NO)["LLVM"].fix
    monkeypatch.setattr(doctor, "bundled_llvm", lambda: None)
    assert "karellen-llvm-core" in look(monkeypatch, llvm_ad_rgb=NO)["LLVM"].fix


def test_slang_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.util, "find_spec", lambda name: None)
    rows = look(monkeypatch)
    for name in ("slang", *FEATURES):
        assert not rows[name].usable
        assert rows[name].fix == 'pip install "etendue[slang]"'


def test_slang_features(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.util, "find_spec", lambda name: object())
    monkeypatch.setattr(doctor.metadata, "version", lambda name: "1.0")
    device = {"usable": True, "why": "llvmpipe", "features": {"ray_query": True}}
    rows = look(monkeypatch, vulkan=device)
    assert rows["vulkan driver"].why == "llvmpipe"
    assert [name for name in FEATURES if rows[name].usable] == ["ray_query"]
    assert "driver" in rows["cooperative_matrix"].fix
    rows = look(monkeypatch, vulkan=NO)
    assert rows["slang"].usable  # the CPU device remains
    assert not any(rows[name].usable for name in FEATURES)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name == "mitsuba":
            raise doctor.metadata.PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(doctor.metadata, "version", version)
    rows = look(monkeypatch)
    assert rows["mitsuba"].fix == "pip install mitsuba"
    assert not healthy(list(rows.values()))


def test_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("etendue.device.caps.ask", lambda *words: YES)
    monkeypatch.setattr(doctor, "ask", lambda *words: YES)
    assert main(["doctor", "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert table["healthy"] is True
    assert {row["name"] for row in table["rows"]} >= {"python", "cpu", "LLVM", *FEATURES}
    monkeypatch.setattr(doctor, "ask", lambda *words: NO)
    assert main(["doctor"]) == 3
    assert "\nNO   scalar_rgb" in capsys.readouterr().out
