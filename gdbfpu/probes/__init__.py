# SPDX-License-Identifier: GPL-2.0-or-later
"""Which functions to probe, and how to resume the kernel without a step."""

__all__ = ()
