"""Option values and JSON output."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etendue.cli_support import SIZE_LIMIT, parse_crop, parse_pair, parse_size, positive, print_json
from etendue.core.errors import InputError


@given(st.integers(1, SIZE_LIMIT), st.integers(1, SIZE_LIMIT), st.sampled_from("xX"))
def test_size_round_trip(width: int, height: int, sign: str) -> None:
    assert parse_size(f"{width}{sign}{height}") == (width, height)


@pytest.mark.parametrize(
    "text", ["0x0", "0x5", "5x0", "-3x5", "65537x1", "5", "5x", "axb", "1x2x3"]
)
def test_size_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"^--size: .*got '?" + text):
        parse_size(text)


@given(st.text(max_size=12))
def test_size_never_fails_otherwise(text: str) -> None:
    try:
        width, height = parse_size(text)
    except InputError:
        return
    assert width > 0
    assert height > 0


def test_crop() -> None:
    assert parse_crop("8, 16,64,32") == (8, 16, 64, 32)
    for text in ("1,2,3", "0,0,0,4", "-1,0,4,4", "0,0,4,x", ""):
        with pytest.raises(InputError, match=r"^--crop: "):
            parse_crop(text)


def test_pair() -> None:
    assert parse_pair("Ball=a=b.eta", "--material") == ("Ball", "a=b.eta")
    for text in ("Ball", "=x", "Ball=", ""):
        with pytest.raises(InputError, match=r"^--material: .*expected NAME=VALUE"):
            parse_pair(text, "--material")


def test_positive() -> None:
    assert positive(0.5, "--time") == 0.5
    for value in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(InputError, match=r"^--time: "):
            positive(value, "--time")


def test_print_json_converts(capsys: pytest.CaptureFixture[str]) -> None:
    value = {
        "a": np.float32(0.5),
        "b": np.arange(3),
        "c": Path("x") / "y",
        "d": [math.nan, math.inf, 1, True, None],
        4: ("é", np.float64("nan")),
    }
    print_json(value)
    text = capsys.readouterr().out
    assert json.loads(text) == {
        "a": 0.5,
        "b": [0, 1, 2],
        "c": "x/y",
        "d": [None, None, 1, True, None],
        "4": ["é", None],
    }
    assert "é" in text


def test_times_in_seconds() -> None:
    from etendue.cli_support import parse_time

    for text, seconds in (("20s", 20), ("1.5m", 90), ("2", 120), ("0.5h", 1800), ("3M", 180)):
        assert parse_time(text) == pytest.approx(seconds)
    for text in ("", "s", "soon", "-1", "0s", "nan", "infs", "1d"):
        with pytest.raises(InputError, match="--time"):
            parse_time(text)


def test_the_age_counts_only_for_the_program_itself() -> None:
    import subprocess
    import sys

    from etendue.cli_support import seconds_since_start

    assert seconds_since_start() == 0.0  # here pytest is the program
    code = (
        "import sys, time; sys.argv[0] = '/usr/bin/etendue'\n"
        "from etendue.cli_support import seconds_since_start as age\n"
        "first = age(); time.sleep(0.2); print(age() - first)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) >= (0.15 if sys.platform == "linux" else 0.0)
