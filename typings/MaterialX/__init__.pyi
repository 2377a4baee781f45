"""This library fills its module at run time, so checkers see `Any`."""

from typing import Any

def __getattr__(name: str) -> Any: ...
