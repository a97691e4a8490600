# SPDX-License-Identifier: GPL-2.0-or-later
"""Golden data is audited in the unit tests' fake kernel."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "unit"))
