# SPDX-License-Identifier: GPL-2.0-or-later
"""From an image of FPU state to its registers, without a kernel."""

__all__ = ()
