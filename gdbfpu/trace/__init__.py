# SPDX-License-Identifier: GPL-2.0-or-later
"""A trace: from a hit to its record, the totals and the event file."""

__all__ = ()
