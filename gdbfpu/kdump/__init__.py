# SPDX-License-Identifier: GPL-2.0-or-later
"""Read dumps through drgn."""

__all__ = ()
