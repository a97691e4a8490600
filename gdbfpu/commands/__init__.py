# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands of GDB and of the command line: from options to text."""

__all__ = ()
