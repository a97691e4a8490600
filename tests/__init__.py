# SPDX-License-Identifier: GPL-2.0-or-later
"""The tests. A package by this file, because some wheels install a package `tests` of their own."""
