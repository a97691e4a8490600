# SPDX-License-Identifier: GPL-2.0-or-later
"""Record passes inside the kernel, without a stop: the machine code, and what it leaves behind."""

__all__ = ()
