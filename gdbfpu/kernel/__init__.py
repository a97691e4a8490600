# SPDX-License-Identifier: GPL-2.0-or-later
"""Read the kernel: its tasks and CPUs, user memory, and which kernel it is."""

__all__ = ()
