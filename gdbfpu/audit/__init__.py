# SPDX-License-Identifier: GPL-2.0-or-later
"""Audit the kernel's FPU memory: a small function for each rule that must hold."""

from __future__ import annotations

__all__ = ()
