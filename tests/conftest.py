# SPDX-License-Identifier: GPL-2.0-or-later
"""Keep all tests, and what they start, from the person's cache of layouts."""

from __future__ import annotations

import os

os.environ["GDBFPU_CACHE"] = "off"
