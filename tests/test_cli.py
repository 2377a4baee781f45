"""The command line as a user meets it: help, exit codes, one line per error, no traceback."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from etendue import __version__, cli
from etendue.cli import command_names, main
from etendue.core.errors import DeviceError, InputError

Output = pytest.CaptureFixture[str]


def groups() -> list[ModuleType]:
    """The folders among the subcommands."""
    modules = (importlib.import_module(f"etendue.commands.{name}") for name in command_names())
    return [module for module in modules if hasattr(module, "__path__")]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], list[str]]:
    """Make `etendue version` raise; returns the command line for it."""

    def install(error: BaseException) -> list[str]:
        module = ModuleType("version")

        def run() -> None:
            raise error

        module.run = run  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "etendue.commands.version", module)
        return ["version"]

    return install


def test_help_lists_commands_and_examples(capsys: Output) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"\n  {name} " in text for name in command_names())
    assert all(f"\n    {line}\n" in text for line in cli.EXAMPLES)


def test_no_arguments_show_the_help(capsys: Output) -> None:
    assert main([]) == 0
    bare = capsys.readouterr().out
    assert main(["-h"]) == 0
    assert capsys.readouterr().out == bare


@pytest.mark.parametrize("name", command_names())
def test_help_of_every_command_has_examples(name: str, capsys: Output) -> None:
    assert main([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"Usage: etendue {name}" in text
    assert f"Examples:\n    etendue {name}" in text


GROUPS = [(g.__name__.split(".")[-1], n) for g in groups() for n in command_names(g)]


@pytest.mark.parametrize(("group", "name"), GROUPS)
def test_help_of_every_command_in_a_group(group: str, name: str, capsys: Output) -> None:
    assert main([group, name, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"Usage: etendue {group} {name}" in text
    assert f"Examples:\n    etendue {group} {name}" in text
    assert main([group, "--help"]) == 0
    listed = capsys.readouterr().out
    assert f"\n  {name} " in listed
    assert main([group]) == 0
    assert capsys.readouterr().out == listed


@pytest.mark.parametrize("argv", [["plugins", "bogus"], ["plugins", "list", "--nope"]])
def test_wrong_usage_of_a_group(argv: list[str], capsys: Output) -> None:
    assert main(argv) == 2
    assert f"Usage: etendue {argv[0]}" in capsys.readouterr().err


def test_examples_name_commands_that_exist_in_the_order_of_use() -> None:
    assert {"doctor", "version"} <= set(command_names())
    known = [name for name in command_names() if name in cli.ORDER]
    assert known == [name for name in cli.ORDER if name in known]


@pytest.mark.parametrize("argv", [["bogus"], ["version", "--nope"], ["--nope"], ["version", "x"]])
def test_wrong_usage(argv: list[str], capsys: Output) -> None:
    assert main(argv) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Usage: etendue" in captured.err
    assert argv[-1] in captured.err


def test_input_error_is_one_line(
    failing: Callable[[BaseException], list[str]], capsys: Output
) -> None:
    error = InputError("a.mtlx", "cannot be read", got="nothing", fix="Check the path")
    assert main(failing(error)) == 2
    assert capsys.readouterr().err == "error: a.mtlx: cannot be read; got nothing. Check the path\n"


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (DeviceError("gpu", "is absent"), 3, "error: gpu: is absent\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (
            ZeroDivisionError("by\nzero"),
            1,
            "error: ZeroDivisionError: by zero (run with --debug for the traceback)\n",
        ),
    ],
)
def test_other_ends(
    failing: Callable[[BaseException], list[str]],
    error: BaseException,
    code: int,
    line: str,
    capsys: Output,
) -> None:
    assert main(failing(error)) == code
    assert capsys.readouterr().err == line


@pytest.mark.parametrize("way", ["before", "after", "variable"])
def test_debug_shows_the_traceback(
    way: str,
    failing: Callable[[BaseException], list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: Output,
) -> None:
    argv = failing(InputError("a", "is wrong"))
    if way == "variable":
        monkeypatch.setenv("ETENDUE_DEBUG", "1")
    else:
        argv = ["--debug", *argv] if way == "before" else [*argv, "--debug"]
    assert main(argv) == 2
    text = capsys.readouterr().err
    assert "Traceback" in text
    assert text.endswith("error: a: is wrong\n")


def test_version(capsys: Output) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"etendue {__version__}\n"
    assert main(["version", "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert table["etendue"] == __version__
    assert table["drjit"]


def program(*argv: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "etendue", *argv]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_as_a_module() -> None:
    assert program("--version").stdout == f"etendue {__version__}\n"
    wrong = program("bogus")
    assert wrong.returncode == 2
    assert "Traceback" not in wrong.stderr


def test_reader_that_goes_away() -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "etendue", "version"],
        stdout=write,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(write)
    assert done.returncode == 1
    assert done.stderr == b""


def test_interrupt_of_the_process(tmp_path: Path) -> None:
    # the handler is set because a job in the background starts without one
    code = (
        "import sys, types, signal, os\n"
        "from etendue import cli\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "module = types.ModuleType('version')\n"
        "module.run = lambda: os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.modules['etendue.commands.version'] = module\n"
        "sys.exit(cli.main(['version']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert (done.returncode, done.stderr) == (128 + signal.SIGINT, "interrupted\n")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"
        ),
    ],
)
def test_too_little_memory_is_one_line(
    failing: Callable[[BaseException], list[str]], error: Exception, capsys: Output
) -> None:
    assert main(failing(error)) == 1
    told = capsys.readouterr().err
    assert told == "error: there is not enough memory for this; choose smaller sizes\n"
