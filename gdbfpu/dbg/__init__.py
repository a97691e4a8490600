# SPDX-License-Identifier: GPL-2.0-or-later
"""The part of gdbfpu that lives in GDB: the only modules that import gdb."""

__all__ = ()
