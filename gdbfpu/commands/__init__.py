# SPDX-License-Identifier: GPL-2.0-or-later
"""What a person may ask, for GDB and the command line alike: options in, text out."""

__all__ = ()
