# SPDX-License-Identifier: GPL-2.0-or-later
"""Trace and decode how a Linux kernel uses the x86 FPU, from inside GDB."""

__all__ = ("__version__",)

__version__ = "0.1.0"
