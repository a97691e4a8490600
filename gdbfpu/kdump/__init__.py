# SPDX-License-Identifier: GPL-2.0-or-later
"""kdump files, which drgn reads."""

__all__ = ()
