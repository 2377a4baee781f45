"""What several subcommands share: reading option values and printing results."""

from __future__ import annotations

import json
import math
import os
import sys
from pathlib import Path
from typing import Any

from etendue.core.errors import InputError

SIZE_LIMIT = 65536


def parse_size(text: str, option: str = "--size") -> tuple[int, int]:
    """`640x360` as (width, height), both positive."""
    width, height = _integers(option, text, "x", ("WIDTH", "HEIGHT"))
    if not (0 < width <= SIZE_LIMIT and 0 < height <= SIZE_LIMIT):
        raise InputError(option, "is out of range", got=text, expected=f"1..{SIZE_LIMIT} each")
    return width, height


def parse_crop(text: str, option: str = "--crop") -> tuple[int, int, int, int]:
    """`8,16,64,32` as (x, y, width, height); the origin is the top left pixel."""
    x, y, width, height = _integers(option, text, ",", ("X", "Y", "WIDTH", "HEIGHT"))
    if x < 0 or y < 0 or width <= 0 or height <= 0:
        raise InputError(option, "is an empty or negative rectangle", got=text)
    return x, y, width, height


def parse_pair(text: str, option: str) -> tuple[str, str]:
    """`NAME=VALUE` as two non-empty strings."""
    name, sign, value = text.partition("=")
    if not (name and sign and value):
        raise InputError(option, "cannot be read", got=repr(text), expected="NAME=VALUE")
    return name, value


def parse_time(text: str, option: str = "--time") -> float:
    """`20s`, `3m`, `1.5h` or a number of minutes, in seconds."""
    scale = {"s": 1.0, "m": 60.0, "h": 3600.0}.get(text[-1:].lower())
    number = text[:-1] if scale is not None else text
    try:
        value = float(number)
    except ValueError:
        raise InputError(
            option, "cannot be read", got=repr(text), expected="MINUTES, or such as 20s, 3m, 1h"
        ) from None
    return positive(value * (scale or 60.0), option)


def seconds_since_start() -> float:
    """How long ago this process began, where the system tells and étendue is the program; else 0.

    A time limit includes loading the libraries, which the command line has done by now.
    """
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    if getattr(spec, "name", "") != "etendue.__main__" and Path(sys.argv[0]).name != "etendue":
        return 0.0
    try:
        # after the name in brackets, field 22 of proc(5): clock ticks from boot to start
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        up = float(Path("/proc/uptime").read_text().split()[0])
        return max(up - ticks / os.sysconf("SC_CLK_TCK"), 0.0)
    except (OSError, ValueError, IndexError):
        return 0.0


def positive(value: float, option: str) -> float:
    """`value` when it is finite and above zero, else a clear error."""
    if not (math.isfinite(value) and value > 0):
        raise InputError(option, "is out of range", got=value, expected="a positive number")
    return value


def print_json(value: Any) -> None:
    """Print `value` as indented JSON; numpy scalars and paths are converted, NaN becomes null."""
    print(as_json(value))


def as_json(value: Any) -> str:
    """See `print_json`."""
    return json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False)


def _integers(option: str, text: str, separator: str, names: tuple[str, ...]) -> list[int]:
    parts = text.lower().split(separator)
    if len(parts) != len(names) or not all(p.strip().lstrip("-").isdecimal() for p in parts):
        shape = separator.join(names)
        raise InputError(option, "cannot be read", got=repr(text), expected=shape)
    return [int(part) for part in parts]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if hasattr(value, "tolist"):  # numpy arrays and scalars
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    return str(value)
