# SPDX-License-Identifier: GPL-2.0-or-later
"""struct fpu and its contents, for each kernel variant."""

__all__ = ()
