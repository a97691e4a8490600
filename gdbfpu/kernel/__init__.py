# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel: its tasks and CPUs, user memory, and which kernel it is."""

__all__ = ()
