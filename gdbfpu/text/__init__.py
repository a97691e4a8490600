# SPDX-License-Identifier: GPL-2.0-or-later
"""Text for people: tables, names, progress."""

__all__ = ()
