# SPDX-License-Identifier: GPL-2.0-or-later
"""Hostile files: atheris makes them, guided by what they reach in gdbfpu."""
