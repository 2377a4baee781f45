"""The types of this library are made by its bindings, so checkers see `Any`."""

from typing import Any

def __getattr__(name: str) -> Any: ...
