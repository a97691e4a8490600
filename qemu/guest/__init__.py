# SPDX-License-Identifier: GPL-2.0-or-later
"""What runs in the guest: programs that use the FPU in known ways, and the images they boot in."""
