"""The types of this library change with the active variant, so checkers see `Any`."""

from typing import Any

def __getattr__(name: str) -> Any: ...
