"""`etendue requantise`: from file to file, its figures, and wrong input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from etendue.artifact import Artifact, read_artifact, write_artifact
from etendue.bake import network
from etendue.cli import main
from etendue.formats.material import texel_count

Output = pytest.CaptureFixture[str]


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """An untrained material of 16 x 16 texels."""
    params = network.init_params("2x16", "2x16", torch.Generator().manual_seed(0))
    tensors = {name: value.numpy() for name, value in params.items()}
    rng = np.random.default_rng(0)
    tensors["latents"] = rng.normal(size=(texel_count(16), 8)).astype(np.float16)
    tensors["energy"] = np.full((33, 3), 0.5, np.float32)
    tensors["albedo"] = np.zeros((3, 9), np.float32)
    header = {"kind": "material", "name": "x", "lod": {"resolution": 16}}
    write_artifact(tmp_path / "sample.eta", Artifact(header, tensors))
    return tmp_path / "sample.eta"


def test_figures_are_those_of_the_file(sample: Path, tmp_path: Path, capsys: Output) -> None:
    out = tmp_path / "small.eta"
    command = ["requantise", str(sample), "-o", str(out), "--latents", "bfp4", "--weights", "bfp8"]
    assert main([*command, "--json"]) == 0
    info = json.loads(capsys.readouterr().out)
    stored = read_artifact(out, kind="material")
    assert info["file_bytes"] == out.stat().st_size < info["before_bytes"] == sample.stat().st_size
    assert info["latents"]["format"] == stored.header["latent"]["format"] == "bfp4"
    assert info["latents"]["bytes"] == 341 * 4 + 11 * 8 + 32
    assert info["latents"]["max_error"] == max(stored.header["latent"]["max_error"]) > 0
    assert info["weights"]["format"] == "bfp8"
    assert main(["inspect", str(out), "--json"]) == 0
    seen = json.loads(capsys.readouterr().out)
    assert seen["formats"] == {"latents": info["latents"], "weights": info["weights"]}
    assert seen["bytes_per_texel"] == info["latents"]["bytes"] / 341
    assert sum(seen["part_bytes"].values()) == seen["tensor_bytes"]
    assert sum(seen["part_share"].values()) == pytest.approx(1)


def test_text_says_what_was_kept(sample: Path, tmp_path: Path, capsys: Output) -> None:
    small = Artifact(
        {"kind": "material", "lod": {"resolution": 1}},
        {**read_artifact(sample).tensors, "latents": np.ones((1, 8), np.float16)},
    )
    write_artifact(tmp_path / "one.eta", small)
    assert main(["requantise", str(tmp_path / "one.eta"), "-o", str(tmp_path / "o.eta")]) == 0
    out, err = capsys.readouterr()
    assert "latents f16: 16.000 bits per value, 1.00 times smaller" in out
    assert "note: cb3 would not save anything at 1 texels" in err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--latents", "q3"], "--latents: unknown; got q3"),
        (["--weights", "q3"], "--weights: unknown; got q3"),
        (["--seed", "-1"], "--seed: is out of range; got -1"),
    ],
)
def test_wrong_options(
    sample: Path, tmp_path: Path, capsys: Output, options: list[str], words: str
) -> None:
    out = tmp_path / "never.eta"
    assert main(["requantise", str(sample), "-o", str(out), *options]) == 2
    printed, err = capsys.readouterr()
    assert printed == "" and words in err and err.count("\n") == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["sample.eta"]


def test_wrong_files(sample: Path, tmp_path: Path, capsys: Output) -> None:
    assert main(["requantise", str(sample), "-o", str(tmp_path / "x.bin")]) == 2
    assert "needs the suffix .eta; got x.bin" in capsys.readouterr().err
    (tmp_path / "text.eta").write_text("hello, this is text")
    assert main(["requantise", str(tmp_path / "text.eta"), "-o", str(tmp_path / "x.eta")]) == 2
    assert "not an etendue artifact" in capsys.readouterr().err
    assert not (tmp_path / "x.eta").exists()
