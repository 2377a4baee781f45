"""SIGKILL at random moments: the resumed picture has the bytes of an uninterrupted one."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize(
    ("kills", "options"),
    [
        (2, ["--size", "48x36", "--spp", "4096"]),
        (2, ["--size", "48x36", "--spp", "8192", "--noise", "0.002", "--aov", "normal"]),
    ],
    ids=["uniform", "adaptive"],
)
def test_a_killed_rendering_goes_on(tool: Any, kills: int, options: list[str]) -> None:
    happened, equal, left = tool("kill_render").check(kills, options)
    assert happened >= 1 and equal and not left
