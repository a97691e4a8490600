# SPDX-License-Identifier: GPL-2.0-or-later
"""What keeps gdbfpu from working, and how to mend it: a function a check."""

__all__ = ()
