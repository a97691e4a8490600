# SPDX-License-Identifier: GPL-2.0-or-later
"""The audit: what must hold of the kernel's FPU memory, a small function for each rule."""

from __future__ import annotations

__all__ = ()
