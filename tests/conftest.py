# SPDX-License-Identifier: GPL-2.0-or-later
"""Keep all tests, and what they start, from the person's cache of layouts; let ^C reach them.

A shell starts `make test &` with SIGINT ignored, and what the tests start would inherit that.
"""

from __future__ import annotations

import os
import signal

os.environ["GDBFPU_CACHE"] = "off"
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
