"""The `etendue` command: finds the subcommands, runs one, turns every error into one line."""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
import traceback
from collections.abc import Sequence
from types import ModuleType
from typing import Annotated, Any

import typer

from etendue import __version__, commands
from etendue.core.errors import EtendueError

ORDER = (
    "demo",
    "bake",
    "render",
    "view",
    "compare",
    "field",
    "convert",
    "inspect",
    "plugins",
    "doctor",
    "version",
)
EXAMPLES = (
    "etendue demo",
    "etendue bake varnish.mtlx -o varnish.eta --time 10",
    "etendue render scene.xml -o out.exr --spp 64 --material Ball=varnish.eta",
    "etendue compare reference.exr out.exr --json",
    "etendue doctor",
)
SUMMARY = "Bake layered materials into neural ones and path-trace them inline."
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory")
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run `etendue` with `argv` (default: the process's) and return the exit code."""
    args = list(sys.argv[1:] if argv is None else argv)
    debug = bool(os.environ.get("ETENDUE_DEBUG"))
    if "--debug" in args:
        args.remove("--debug")
        debug = True
    try:
        result = _application(args)(args, prog_name="etendue", standalone_mode=False)
        sys.stdout.flush()
        if result == INTERRUPTED:  # typer has turned a KeyboardInterrupt into this
            print("interrupted", file=sys.stderr)
        return result if isinstance(result, int) else 0
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader (`| head`) went away
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # the one place that ends the program for any error
        return _report(error, debug)


def command_names(package: ModuleType = commands) -> list[str]:
    """Every subcommand that has a module, in the order of use, then by name.

    `package` is a group: `etendue.commands` itself, or a folder in it.
    """
    order = getattr(package, "ORDER", ORDER)
    found = [m.name for m in pkgutil.iter_modules(package.__path__) if m.name[0] != "_"]
    return sorted(found, key=lambda name: (order.index(name) if name in order else 99, name))


def _application(args: Sequence[str]) -> typer.Typer:
    """The typer application; only the modules of the subcommand that `args` names are imported."""
    app = _group(SUMMARY, EXAMPLES)
    app.callback(invoke_without_command=True, help=SUMMARY, epilog=_epilog(EXAMPLES))(_root)
    _fill(app, commands, args)
    return app


def _fill(app: typer.Typer, package: ModuleType, args: Sequence[str]) -> None:
    """Add the modules of `package` to `app`; a module that is a folder becomes a group."""
    names = command_names(package)
    wanted = [name for name in names if name in args[:1]]
    for name in wanted or names:
        module = importlib.import_module(f"{package.__name__}.{name}")
        examples = getattr(module, "EXAMPLES", ())
        if not hasattr(module, "__path__"):
            app.command(name, epilog=_epilog(examples))(module.run)
            continue
        group = _group(module.__doc__ or "", examples)
        group.callback(invoke_without_command=True)(_help_of_group)
        _fill(group, module, args[1:] if wanted else ())
        app.add_typer(group, name=name)


def _group(text: str, examples: Sequence[str]) -> typer.Typer:
    return typer.Typer(
        help=text,
        epilog=_epilog(examples),
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def _help_of_group(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and stop.")] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error (or ETENDUE_DEBUG=1).")
    ] = False,
) -> None:
    if version:
        print(f"etendue {__version__}")
    elif context.invoked_subcommand is None:
        print(context.get_help())


def _epilog(examples: Sequence[str]) -> str | None:
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in examples) if examples else None


def _report(error: Exception, debug: bool) -> int:
    """Print one line about `error` (and its traceback when debugging); the exit code for it."""
    if debug:
        traceback.print_exception(error)
    if isinstance(error, EtendueError):
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    usage: Any = error  # typer's usage errors know how to show themselves; the rest is a fault
    if hasattr(usage, "show") and hasattr(usage, "exit_code"):
        usage.show()
        return usage.exit_code
    if isinstance(error, typer.Abort):
        print("aborted", file=sys.stderr)
        return 1
    text = " ".join(str(error).split()) or "no message"
    if isinstance(error, MemoryError) or any(word in text.lower() for word in OUT_OF_MEMORY):
        print("error: there is not enough memory for this; choose smaller sizes", file=sys.stderr)
        return 1
    hint = "" if debug else " (run with --debug for the traceback)"
    print(f"error: {type(error).__name__}: {text}{hint}", file=sys.stderr)
    return 1
