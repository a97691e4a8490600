# SPDX-License-Identifier: GPL-2.0-or-later
"""Test machines for gdbfpu: kernels, guests, and a QEMU that leaves nothing behind."""

from __future__ import annotations

from pkgutil import extend_path

# The package `qemu.qmp` installs itself into this same name.
__path__ = extend_path(__path__, __name__)
