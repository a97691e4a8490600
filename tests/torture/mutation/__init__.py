# SPDX-License-Identifier: GPL-2.0-or-later
"""Mutants: small faults, put into the code one at a time, that some test has to find."""
