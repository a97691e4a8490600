# SPDX-License-Identifier: GPL-2.0-or-later
"""From a vmlinux to the layouts of its types: ELF, DWARF, BTF and the cache."""

__all__ = ()
