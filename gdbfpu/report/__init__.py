# SPDX-License-Identifier: GPL-2.0-or-later
"""Reports: from records to tables, JSON and CSV."""

__all__ = ()
