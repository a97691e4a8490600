# SPDX-License-Identifier: GPL-2.0-or-later
"""Reports: records in; tables, JSON and CSV out."""

__all__ = ()
