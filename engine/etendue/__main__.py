"""`python -m etendue` is the same program as the `etendue` command."""

from __future__ import annotations

import sys

from etendue.cli import main

if __name__ == "__main__":
    sys.exit(main())
