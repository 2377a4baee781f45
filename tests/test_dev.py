"""The set-up script: its words, its exit codes, and that CI runs nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def dev(folder: Path, *words: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "ETENDUE_PYTHON": "", "PATH": path or os.environ["PATH"]}
    command = [str(folder / "tools" / "dev"), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_help_names_every_command() -> None:
    done = dev(ROOT, "help")
    assert done.returncode == 0
    for word in ("demo", "test", "lint", "setup"):
        assert f"\n  {word} " in done.stdout


def test_unknown_command() -> None:
    done = dev(ROOT, "bogus")
    assert (done.returncode, done.stdout) == (2, "")
    assert "unknown command: bogus" in done.stderr


def test_without_python_and_root_the_line_to_run_is_printed(tmp_path: Path) -> None:
    """A machine with the basic tools, apt-get, an ordinary user and no Python."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("bash", "env", "dirname", "mkdir", "cat", "flock", "sha256sum", "grep"):
        found = shutil.which(name)
        if found:
            (tools / name).symlink_to(found)
    for name, answer in (("id", "echo 1000"), ("apt-get", "exit 99")):
        (tools / name).write_text(f"#!{shutil.which('bash')}\n{answer}\n")
        (tools / name).chmod(0o755)
    folder = tmp_path / "checkout"
    (folder / "tools").mkdir(parents=True)
    text = (ROOT / "tools" / "dev").read_text(encoding="utf-8")
    (folder / "tools" / "dev").write_text(text.replace("/usr/bin/python3", "/none/python3"))
    (folder / "tools" / "dev").chmod(0o755)
    (folder / "pyproject.toml").touch()
    done = dev(folder, "setup", path=str(tools))
    assert done.returncode == 1
    assert "sudo apt-get install -y --no-install-recommends python3 python3-venv" in done.stderr
    assert not (folder / ".venv").exists()


def test_ci_runs_the_two_commands_and_what_else_can_be_tested() -> None:
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    code = [line for line in lines if line and not line.startswith(("#", "set ", "cd "))]
    assert [line for line in code if line in ("tools/dev test", "tools/dev demo")] == [
        "tools/dev test",
        "tools/dev demo",
    ]
    assert set(code) <= {
        "tools/dev browser", "tools/dev test", "tools/dev test --coop", "tools/dev demo",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["tools/dev", ".ci/run"])
def test_scripts_parse_and_may_be_run(name: str) -> None:
    assert os.access(ROOT / name, os.X_OK)
    subprocess.run(["bash", "-n", str(ROOT / name)], check=True)
