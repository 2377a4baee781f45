"""`etendue bake`: equal files, Ctrl-C and resume, and one clear line for everything wrong."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from etendue.artifact import read_artifact
from etendue.bake import settings as bake_settings
from etendue.cli import main
from etendue.core.image import write_exr

ROOT = Path(__file__).parents[2]
Output = pytest.CaptureFixture[str]
PLAIN = """<?xml version="1.0"?>
<materialx version="1.39">
  <standard_surface name="SR_plain" type="surfaceshader">
    <input name="base_color" type="color3" value="0.6, 0.3, 0.2" />
    <input name="specular_roughness" type="float" value="0.4" />
  </standard_surface>
  <surfacematerial name="plain" type="material">
    <input name="surfaceshader" type="surfaceshader" nodename="SR_plain" />
  </surfacematerial>
</materialx>
"""
TEXTURED = PLAIN.replace(
    '<input name="base_color" type="color3" value="0.6, 0.3, 0.2" />',
    '<input name="base_color" type="color3" nodename="paint" />',
).replace(
    "  <standard_surface",
    """  <image name="paint" type="color3">
    <input name="file" type="filename" value="paint.exr" />
  </image>
  <standard_surface""",
    1,
)


@pytest.fixture(autouse=True)
def _small_bakes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Few texels per step, so that a step of the command takes milliseconds."""
    small = {"texels": 64, "pool": 2, "pairs": 4, "walks": 4, "reuse": 3, "sampler": "2x16"}

    class Small(bake_settings.BakeSettings):
        def __init__(self, **kwargs: object) -> None:
            super().__init__(**{**small, **kwargs})  # type: ignore[arg-type]

    monkeypatch.setattr(bake_settings, "BakeSettings", Small)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    path = tmp_path / "plain.mtlx"
    path.write_text(PLAIN)
    return path


@pytest.fixture
def textured(tmp_path: Path) -> Path:
    image = np.random.default_rng(0).uniform(0.1, 0.9, (16, 16, 3)).astype(np.float32)
    write_exr(tmp_path / "paint.exr", {"": image})
    path = tmp_path / "textured.mtlx"
    path.write_text(TEXTURED)
    return path


@pytest.fixture
def refused(tmp_path: Path, capsys: Output) -> Callable[..., None]:
    """Check that a command line ends with one line that has the words, and changes no file."""

    def check(words: str, *args: object) -> None:
        before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
        folders = {p for p in tmp_path.rglob("*") if p.is_dir()}
        assert main(["bake", *map(str, args)]) == 2
        told = [x for x in capsys.readouterr().err.splitlines() if not x.startswith("note: ")]
        assert len(told) == 1 and told[0].startswith("error: "), told
        assert words in told[0]
        assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
        assert {p for p in tmp_path.rglob("*") if p.is_dir()} == folders

    return check


def test_equal_files_figures_and_a_command_that_reproduces_them(
    plain: Path, tmp_path: Path, capsys: Output
) -> None:
    out = tmp_path / "new folder" / "plain.eta"
    args = ["bake", str(plain), "-o", str(out), "--steps", "9", "--arch", "2x16", "--seed", "3"]
    assert main([*args, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["steps"] == 9 and figures["bytes"] == out.stat().st_size
    assert figures["heldout"][0]["relative"] > 0
    assert [p.name for p in out.parent.iterdir()] == ["plain.eta"]
    assert read_artifact(out, kind="material").header["name"] == "plain"
    first = out.read_bytes()
    out.unlink()
    command = shlex.split(figures["reproduce"])
    assert command[0] == "etendue" and main(command[1:]) == 0
    assert out.read_bytes() == first
    text = capsys.readouterr().out
    assert f"{out}: {len(first)} bytes, 9 steps in " in text
    assert "mip 0: relative error" in text and "reproduce: etendue bake" in text
    assert main([*args[:-1], "4"]) == 0
    assert out.read_bytes() != first


def test_one_of_several_materials_is_named_in_the_command(
    tmp_path: Path, capsys: Output, refused: Callable[..., None]
) -> None:
    body = PLAIN.partition("  <standard")[2].partition("</materialx>")[0]
    second = ("  <standard" + body).replace("plain", "other")
    (tmp_path / "two.mtlx").write_text(PLAIN.replace("</materialx>", second + "</materialx>"))
    args = [str(tmp_path / "two.mtlx"), "-o", str(tmp_path / "x.eta"), "--steps", "3"]
    refused("plain", *args)
    assert main(["bake", *args, "--material", "other", "--json"]) == 0
    assert " --material other " in json.loads(capsys.readouterr().out)["reproduce"]
    assert read_artifact(tmp_path / "x.eta").header["name"] == "other"


def _interrupted_after(pools: int, monkeypatch: pytest.MonkeyPatch, *args: str) -> int:
    """Exit code of a bake that gets SIGINT when its progress has moved `pools` times."""
    from rich.progress import Progress

    moved = [0]
    update = Progress.update

    def count(self: Progress, *a: object, **k: object) -> None:
        update(self, *a, **k)  # type: ignore[arg-type]
        moved[0] += 1
        if moved[0] == pools:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "update", count)
        return main(["bake", *args])


def test_interrupt_resume_restart(
    textured: Path,
    tmp_path: Path,
    capsys: Output,
    monkeypatch: pytest.MonkeyPatch,
    refused: Callable[..., None],
) -> None:
    whole, out = tmp_path / "whole.eta", tmp_path / "x.eta"
    args = [str(textured), "--resolution", "16", "--arch", "2x16"]
    assert main(["bake", *args, "-o", str(whole), "--steps", "20"]) == 0
    args += ["-o", str(out)]
    handler = signal.getsignal(signal.SIGINT)
    capsys.readouterr()
    assert _interrupted_after(2, monkeypatch, *args, "--steps", "20") == 130
    told = capsys.readouterr().err
    checkpoint = tmp_path / "x.eta.checkpoint"
    assert f"interrupted: kept {checkpoint}; continue with" in told and "--resume" in told
    assert "Traceback" not in told
    assert not out.exists() and checkpoint.exists()
    assert signal.getsignal(signal.SIGINT) is handler

    refused("an unfinished bake is in the way", *args, "--steps", "20")
    refused(
        "got arch 2x16, steps 20, expected arch 2x32, steps 21",
        *args,
        "--resume",
        "--arch",
        "2x32",
        "--steps",
        "21",
    )
    refused("got seed 0, expected seed 1", *args, "--resume", "--seed", "1")
    refused("--resume: excludes --restart", *args, "--resume", "--restart")
    good = checkpoint.read_bytes()
    checkpoint.write_bytes(good[:-3] + bytes([good[-3] ^ 1]) + good[-2:])
    refused("is damaged", *args, "--resume")
    checkpoint.write_bytes(good[: len(good) // 2])
    refused("not a readable checkpoint", *args, "--resume")
    checkpoint.write_bytes(good)
    refused("nothing.mtlx", tmp_path / "nothing.mtlx", "-o", out, "--restart")

    assert main(["bake", *args, "--resume"]) == 0, "the number of steps is in the checkpoint"
    assert out.read_bytes() == whole.read_bytes() and not checkpoint.exists()
    checkpoint.write_bytes(b"left over")
    assert main(["bake", *args, "--steps", "20", "--restart"]) == 0
    assert out.read_bytes() == whole.read_bytes() and not checkpoint.exists()
    checkpoint.write_bytes(good)
    textured.write_text(TEXTURED.replace('value="0.4"', 'value="0.5"'))
    refused("another material", *args, "--resume")


def test_interrupt_in_the_last_pool_keeps_the_checkpoint(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = [str(plain), "-o", str(tmp_path / "x.eta")]
    assert _interrupted_after(1, monkeypatch, *args, "--steps", "4") == 130
    assert (tmp_path / "x.eta.checkpoint").exists() and not (tmp_path / "x.eta").exists()
    assert main(["bake", *args, "--resume"]) == 0
    assert (tmp_path / "x.eta").exists() and not (tmp_path / "x.eta.checkpoint").exists()


def test_ctrl_c_of_a_real_process(plain: Path, tmp_path: Path) -> None:
    """SIGINT from outside while it bakes: exit code 130, a checkpoint, no artifact."""
    out = tmp_path / "x.eta"
    child = subprocess.Popen(
        [*f"{sys.executable} -m etendue bake --steps 1000000".split(), str(plain), "-o", str(out)],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": str(ROOT / "engine"), "FORCE_COLOR": "1", "TERM": "xterm"},
    )
    assert child.stderr is not None
    seen = b""
    while b"baking" not in seen:
        chunk = os.read(child.stderr.fileno(), 4096)
        assert chunk, seen
        seen += chunk
    child.send_signal(signal.SIGINT)
    told = child.communicate(timeout=100)[1].decode()
    assert child.returncode == 130, told
    assert "interrupted: kept" in told and "Traceback" not in told
    assert not out.exists()
    assert [p.name for p in tmp_path.glob("x.eta*")] == ["x.eta.checkpoint"]


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ("--resolution: does not fit; got 100", ["--resolution", "100"]),
        ("--resolution: does not fit; got -8", ["--resolution", "-8"]),
        ("--arch: unknown; got 9x99", ["--arch", "9x99"]),
        ("--steps: is too small; got 0", ["--steps", "0"]),
        ("--steps: excludes --time", ["--steps", "5", "--time", "5"]),
        ("--time: is not usable; got 0", ["--time", "0"]),
        ("--time: is not usable; got -1", ["--time", "-1"]),
        ("--time: is not usable; got nan", ["--time", "nan"]),
        ("--time: is not usable; got inf", ["--time", "inf"]),
        ("--seed: is out of range; got -1", ["--seed", "-1"]),
        ("there is no checkpoint to resume", ["--resume"]),
        ("none", ["--steps", "3", "--material", "none"]),
    ],
)
def test_unusable_options(
    plain: Path, tmp_path: Path, refused: Callable[..., None], words: str, options: list[str]
) -> None:
    refused(words, plain, "-o", tmp_path / "x.eta", *options)


def test_outputs_that_cannot_be(plain: Path, tmp_path: Path, refused: Callable[..., None]) -> None:
    (tmp_path / "folder.eta").mkdir()
    few = ("--steps", "3")
    refused("needs the suffix .eta", plain, "-o", tmp_path / "x.bin", *few)
    refused("folder.eta: is a folder", plain, "-o", tmp_path / "folder.eta", *few)
    below = plain / "deep" / "x.eta"
    refused("plain.mtlx is not a folder", plain, "-o", below, *few)
    good = tmp_path / "x.eta"
    refused("plain.mtlx is not a folder", plain, "-o", good, *few, "--report", plain)
    refused(
        "no such MaterialX file", tmp_path / "gone.mtlx", "-o", tmp_path / "new" / "x.eta", *few
    )


BOMB = """<?xml version="1.0"?>
<!DOCTYPE lolz [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;">]>
<materialx version="1.39"><a name="&d;" /></materialx>
"""


@pytest.mark.parametrize(
    "content",
    [
        "",
        "this is not XML",
        PLAIN[: len(PLAIN) // 2],
        BOMB,
        BOMB.replace('"aaaaaaaaaa"', 'SYSTEM "file:///etc/passwd"'),
        PLAIN.replace("standard_surface", "no_such_surface"),
        PLAIN.replace('value="0.4"', 'value="rough"'),
        '<?xml version="1.0"?><materialx version="1.39"></materialx>',
    ],
    ids=["empty", "text", "cut", "bomb", "entity", "node", "value", "nothing"],
)
def test_documents_that_cannot_be_baked(
    tmp_path: Path, refused: Callable[..., None], content: str
) -> None:
    (tmp_path / "bad.mtlx").write_text(content)
    refused("bad.mtlx", tmp_path / "bad.mtlx", "-o", tmp_path / "x.eta", "--steps", "3")


def _nan(path: Path) -> None:
    image = np.full((16, 16, 3), 0.5, np.float32)
    image[3, 4] = np.nan
    write_exr(path, {"": image})


@pytest.mark.parametrize(
    "make",
    [
        lambda path: None,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"not an image"),
        lambda path: path.mkdir(),
        _nan,
    ],
    ids=["missing", "zero-size", "text", "folder", "nan"],
)
def test_textures_that_cannot_be_read(
    tmp_path: Path, refused: Callable[..., None], make: Callable[[Path], object]
) -> None:
    make(tmp_path / "paint.exr")
    (tmp_path / "bad.mtlx").write_text(TEXTURED)
    args = (tmp_path / "bad.mtlx", "-o", tmp_path / "x.eta", "--steps", "3")
    refused("paint.exr", *args, "--resolution", "16")


def test_a_real_document_whose_texture_is_missing(
    shared_data: Path, tmp_path: Path, refused: Callable[..., None]
) -> None:
    found = sorted(shared_data.rglob("standard_surface_brass_tiled.mtlx"))
    if not found or list(shared_data.rglob("brass_color.jpg")):
        pytest.skip("needs the brass material without its textures")
    refused("brass_color.jpg", found[0], "-o", tmp_path / "x.eta", "--steps", "3")


@pytest.mark.parametrize(
    "option",
    [
        ("--target-flip", "0.1"),
        ("--reciprocal",),
        ("--latents", "cb3"),
        ("--weights", "f16"),
    ],
    ids=lambda option: option[0],
)
def test_what_is_not_known_of_materials_that_transmit(
    option: tuple[str, ...], refused: Callable[..., None], tmp_path: Path
) -> None:
    glass = ROOT / "assets" / "materials" / "frosted_glass.mtlx"
    words = f"{option[0]}: does not know materials that transmit"
    refused(words, glass, "-o", tmp_path / "g.eta", "--steps", 2, *option)
