from __future__ import annotations

import pickle

import pytest

from etendue.core.errors import DeviceError, EtendueError, InputError


@pytest.mark.parametrize("kind", [EtendueError, InputError, DeviceError])
def test_an_error_comes_back_from_another_process(kind: type[EtendueError]) -> None:
    error = kind("file", "is wrong", got=3, expected=4, fix="Mend it")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert str(again) == str(error) == "file: is wrong; got 3, expected 4. Mend it"
    assert again.exit_code == error.exit_code
