"""`--trace` and `--metrics` of the commands that work, and `etendue trace`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from etendue.cli import main
from etendue.commands._schedule import scheduled
from etendue.schedule import Priority, Task, checkpoint

ROOT = Path(__file__).parents[2]
SPHERE = str(ROOT / "assets/scenes/sphere.xml")
Output = pytest.CaptureFixture[str]


def test_a_render_leaves_a_trace(tmp_path: Path, capsys: Output, private_cache: Path) -> None:
    plain, traced = tmp_path / "plain.exr", tmp_path / "traced.exr"
    trace, metrics = tmp_path / "new" / "trace.json", tmp_path / "metrics.prom"
    args = ["render", SPHERE, "--size", "8x6", "--spp", "4", "-q", "-o"]
    assert main([*args, str(plain)]) == 0
    files = ["--trace", str(trace), "--metrics", str(metrics)]
    assert main([*args, str(traced), *files]) == 0
    assert plain.read_bytes() == traced.read_bytes()
    assert 'etendue_tasks_total{task="render",outcome="done"} 1' in metrics.read_text()
    assert (private_cache / "costs.json").is_file()
    capsys.readouterr()
    assert main(["trace", "summarise", str(trace), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert {row["task"] for row in figures["tasks"]} == {"build scene", "render", "finish"}
    assert main(["trace", "summarise", str(trace)]) == 0
    text = capsys.readouterr().out
    assert "cpu:0: busy" in text
    assert "build scene" in text


def test_a_trace_is_written_also_when_the_work_fails(tmp_path: Path) -> None:
    trace = tmp_path / "trace.json"

    def work() -> None:
        checkpoint()
        raise ValueError("no")

    with pytest.raises(Exception, match="no"), scheduled(trace) as scheduler:
        scheduler.submit(Task("work", work, priority=Priority.BAKE))[0].result()
    assert "failed" in trace.read_text()


@pytest.mark.parametrize("option", ["--trace", "--metrics"])
def test_where_it_cannot_be_written(tmp_path: Path, option: str, capsys: Output) -> None:
    (tmp_path / "file").touch()
    out = tmp_path / "o.exr"
    args = ["render", SPHERE, "-o", str(out), "--size", "4x4", "--spp", "1"]
    for place in (tmp_path, tmp_path / "file" / "t.json"):
        assert main([*args, option, str(place)]) == 2
        assert f"{option}: cannot be written" in capsys.readouterr().err
    assert not out.exists()


def test_an_unknown_action(capsys: Output) -> None:
    assert main(["trace", "explain", "t.json"]) == 2
    assert "got explain, expected summarise" in capsys.readouterr().err


def test_a_file_that_is_no_trace(tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "t.json").write_text("{}")
    assert main(["trace", "summarise", str(tmp_path / "t.json")]) == 2
    assert "is no trace" in capsys.readouterr().err
