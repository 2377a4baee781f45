"""`etendue inspect`: what an artifact holds, sizes that add up, damaged and hostile files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from etendue.artifact import SCHEMA, Artifact, digest, join_materials, write_artifact
from etendue.bake import network
from etendue.cli import main

Output = pytest.CaptureFixture[str]
ROOT = Path(__file__).parents[2]


def make(**header: Any) -> Artifact:
    """A material as `bake` writes it, untrained, 4 x 4 texels."""
    params = network.init_params("2x16", "2x16", torch.Generator().manual_seed(0))
    tensors = {name: value.numpy() for name, value in params.items()}
    tensors["latents"] = np.random.default_rng(0).normal(size=(21, 8)).astype(np.float16)
    tensors["energy"] = np.ones((33, 3), np.float32)
    tensors["albedo"] = np.zeros((3, 9), np.float32)
    whole = {
        "kind": "material",
        "name": "sample",
        "arch": {"evaluator": "2x16", "sampler": "2x16"},
        "lod": {"resolution": 4},
        "quality": {"peak_albedo_before_bound": 0.9, "history": [[1, 0.5], [2, 0.25]]},
    }
    return Artifact(whole | header, tensors)


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    write_artifact(tmp_path / "sample.eta", make())
    return tmp_path / "sample.eta"


def test_json_sizes_add_up(sample: Path, capsys: Output) -> None:
    assert main(["inspect", str(sample), "--json"]) == 0
    info = json.loads(capsys.readouterr().out)
    parts = info["part_bytes"]
    assert parts.keys() == {"albedo", "energy", "evaluator", "frames", "latents", "sampler"}
    assert sum(parts.values()) == info["tensor_bytes"]
    assert parts["latents"] == 21 * 8 * 2 and parts["energy"] == 33 * 3 * 4
    assert parts["evaluator"] == 4 * (24 * 16 + 16 + 16 * 16 + 16 + 16 * 3 + 3)
    assert info["texels"] == 21 and info["bytes_per_texel"] == 16
    assert info["file_bytes"] == sample.stat().st_size
    assert 0 < info["file_bytes"] - info["tensor_bytes"] < 4096, "the header"
    assert info["schema"] == SCHEMA and info["name"] == "sample"
    assert info["quality"] == {"peak_albedo_before_bound": 0.9}, "the history is left out"


def test_text_shows_the_same(sample: Path, capsys: Output) -> None:
    assert main(["inspect", str(sample)]) == 0
    rows = dict(
        line.split(None, 1) for line in capsys.readouterr().out.splitlines() if line.strip()
    )
    assert rows["name"].strip() == "sample" and rows["arch.evaluator"].strip() == "2x16"
    assert int(rows["part_bytes.latents"]) == 336 and int(rows["texels"]) == 21


@pytest.fixture
def refused(capsys: Output) -> Callable[[str, Path], None]:
    """Check that inspecting a file ends with one `error:` line that has the words."""

    def check(words: str, path: Path) -> None:
        for flag in ([], ["--json"]):
            assert main(["inspect", str(path), *flag]) == 2
            out, err = capsys.readouterr()
            assert out == "" and err.count("\n") == 1
            assert err.startswith(f"error: {path}: ") and words in err

    return check


def test_damaged_files(sample: Path, tmp_path: Path, refused: Callable[[str, Path], None]) -> None:
    blob, bad = sample.read_bytes(), tmp_path / "bad.eta"
    refused("cannot be read", tmp_path / "none.eta")
    refused("cannot be read", tmp_path)
    for share in (0.001, 0.2, 0.9, 0.9999):
        bad.write_bytes(blob[: int(share * len(blob))])
        refused("truncated", bad)
    for share in (0.5, 0.7, 0.99):
        flipped = bytearray(blob)
        flipped[int(share * len(blob))] ^= 16
        bad.write_bytes(bytes(flipped))
        refused("is damaged", bad)
    bad.write_text("hello, this is text")
    refused("not an etendue artifact", bad)


def _write_raw(path: Path, header: dict[str, Any], tensors: dict[str, np.ndarray]) -> None:
    """A file that is intact by its own hash but was never made by this program."""
    from safetensors.numpy import save

    record = {"sha256": digest(header, tensors), "header": header}
    path.write_bytes(save(tensors, metadata={"etendue": json.dumps(record)}))


def test_another_schema(tmp_path: Path, refused: Callable[[str, Path], None]) -> None:
    for schema in (SCHEMA + 1, 0, "1", None):
        _write_raw(tmp_path / "new.eta", dict(make(schema=schema).header), dict(make().tensors))
        refused(f"got schema {schema!r}, expected schema {SCHEMA}", tmp_path / "new.eta")


def test_header_cannot_pose_as_measured_or_steer_the_terminal(
    tmp_path: Path, capsys: Output
) -> None:
    path = tmp_path / "x.eta"
    name = "[bold]x[/nope]\x1b[2J\x1b]0;title\x07\nfile_bytes 1"
    header = make(name=name, file_bytes=1, file="else", tensor_bytes=2, quality="none").header
    write_artifact(path, Artifact(header, make().tensors))
    assert main(["inspect", str(path), "--json"]) == 0
    info = json.loads(capsys.readouterr().out)
    assert info["file"] == str(path) and info["file_bytes"] == path.stat().st_size
    assert info["tensor_bytes"] == sum(info["part_bytes"].values())
    assert info["name"] == name
    assert main(["inspect", str(path)]) == 0
    text = capsys.readouterr().out
    assert "\x1b" not in text and "\x07" not in text
    assert "[bold]x[/nope]" in text
    assert [x for x in text.splitlines() if x.startswith("file_bytes")][1:] == []


WATCH = """
import json, sys
touched = []
def hook(event, args):
    if event in ("open", "os.remove", "os.rename", "os.mkdir", "os.listdir", "shutil.rmtree"):
        touched.append(str(args[0]))
sys.addaudithook(hook)
from etendue.cli import main
codes = [main(["inspect", sys.argv[1]])]
from etendue.core.errors import EtendueError
from etendue.device.drjit import activate
from etendue.bsdf.neural import NeuralBSDF
activate()
for path in sys.argv[1:]:
    try:
        NeuralBSDF.load(path)
        codes.append(0)
    except EtendueError as error:
        codes.append(error.exit_code)
print(json.dumps({"codes": codes, "touched": touched}))
"""


def test_nothing_in_an_artifact_is_used_as_a_path(tmp_path: Path) -> None:
    """Names that point elsewhere are text: no file of theirs is read, made or removed."""
    target = tmp_path / "secret-victim"
    target.mkdir()
    (target / "data").write_text("untouched")
    escape = f"../../{target}/data"
    header = dict(make(schema=SCHEMA, name=escape, file=escape, source=f"file://{escape}").header)
    header["provenance"] = {"source": escape, "notes": [f"$(cat {escape})", f"`{escape}`"]}
    header["arch"] = {"evaluator": escape, "sampler": str(target / "data")}
    folder = tmp_path / "in"
    folder.mkdir()
    tensors = dict(make().tensors)
    _write_raw(folder / "header.eta", header, tensors)
    for number, name in enumerate((escape, str(target / "data"), "evaluator.w0/" + escape)):
        more = tensors | {name: np.zeros(2, np.float32)}
        _write_raw(folder / f"extra{number}.eta", header, more)
    renamed = {name.replace("latents", escape): a for name, a in tensors.items()}
    _write_raw(folder / "renamed.eta", header, renamed)
    files = sorted(map(str, folder.iterdir()), key=lambda name: "header" not in name)
    done = subprocess.run(
        [sys.executable, "-c", WATCH, *files],
        capture_output=True,
        text=True,
        timeout=100,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT / "engine")},
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["codes"] == [0, 0, 0, 0, 0, 2]
    assert files[0] in told["touched"], "the watch works"
    assert not [name for name in told["touched"] if "secret-victim" in name]
    assert (target / "data").read_text() == "untouched"
    assert sorted(map(str, folder.iterdir())) == sorted(files)
    assert sorted(tmp_path.iterdir()) == [folder, target]


@pytest.mark.parametrize(
    "text",
    [
        '{"sha256": "", "header": {"schema": 1, "x": NaN}}',
        '{"sha256": "", "header": {"schema": 1, "x": 1e999}}',
        '{"sha256": "", "header": ' + '{"a":' * 3000 + "1" + "}" * 3000 + "}",
        '{"sha256": 3, "header": {"schema": 1}}',
        '{"header": {"schema": 1}}',
        "[]",
    ],
    ids=["nan", "infinite", "deep", "number", "unsigned", "list"],
)
def test_hostile_json_is_one_line(tmp_path: Path, capsys: Output, text: str) -> None:
    from safetensors.numpy import save

    blob = save({"w": np.zeros(2, np.float32)}, metadata={"etendue": text})
    (tmp_path / "x.eta").write_bytes(blob)
    assert main(["inspect", str(tmp_path / "x.eta")]) != 0
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and err.count("\n") == 1


def test_a_set_shows_each_material_and_its_part_of_the_decoder(
    tmp_path: Path, capsys: Output, refused: Callable[[str, Path], None]
) -> None:
    """Own bytes and equal parts of the decoder add up to all tensors."""
    first, second = make(name="oak"), make(name="gold", lod={"resolution": 1})
    small = {**first.tensors, "latents": first.tensors["latents"][:1]}
    members = [first, Artifact(second.header, small)]
    decoder = [n for n in first.tensors if n not in ("latents", "energy", "albedo")]
    file = tmp_path / "set.eta"
    write_artifact(file, join_materials(members, {"arch": first.header["arch"]}, decoder))
    assert main(["inspect", str(file), "--json"]) == 0
    info = json.loads(capsys.readouterr().out)
    assert info["kind"] == "set" and list(info["materials"]) == ["oak", "gold"]
    rows = info["materials"].values()
    assert sum(row["amortised_bytes"] for row in rows) == info["tensor_bytes"]
    assert sum(row["own_bytes"] for row in rows) + info["decoder_bytes"] == info["tensor_bytes"]
    assert info["materials"]["oak"]["own_bytes"] == 21 * 16 + 33 * 12 + 27 * 4
    assert info["materials"]["gold"]["latents"]["texels"] == 1
    assert all(row["alone_bytes"] == row["own_bytes"] + info["decoder_bytes"] for row in rows)
    assert info["decoder_bytes"] == sum(first.tensors[n].nbytes for n in decoder)
    assert main(["inspect", str(file)]) == 0
    text = capsys.readouterr().out
    assert any(line.split()[:2] == ["oak", "21"] for line in text.splitlines())
    assert main(["inspect", f"{file}#gold", "--json"]) == 0
    one = json.loads(capsys.readouterr().out)
    assert one["name"] == "gold" and one["part_bytes"]["latents"] == 16
    assert main(["inspect", f"{file}#tin"]) == 2
    assert "holds no such material; got tin, expected one of: gold, oak" in capsys.readouterr().err
    file.write_bytes(file.read_bytes()[:-5] + b"abcde")
    refused("is damaged", file)
