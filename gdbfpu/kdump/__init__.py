# SPDX-License-Identifier: GPL-2.0-or-later
"""Read kdump files through drgn."""

__all__ = ()
