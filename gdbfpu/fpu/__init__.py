# SPDX-License-Identifier: GPL-2.0-or-later
"""struct fpu and what it holds, kernel by kernel."""

__all__ = ()
