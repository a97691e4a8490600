# SPDX-License-Identifier: GPL-2.0-or-later
"""`python3 -m gdbfpu`: the same as the command `gdbfpu`."""

from __future__ import annotations

import sys

from gdbfpu.cli import main

__all__ = ("main",)

if __name__ == "__main__":
    sys.exit(main())
