# SPDX-License-Identifier: GPL-2.0-or-later
"""Functions that must not be diverted."""

from __future__ import annotations

import pytest
from fake_kernel import World, layouts_44

from gdbfpu.errors import UsageError
from gdbfpu.fast.refusals import diverted_window
from gdbfpu.kernel.tasks import Kernel
from gdbfpu.probes.catalogue import CATALOGUE

NOPS = b"\x0f\x1f\x44\0\0" + b"\x90" * 27


def test_a_call_is_no_refusal_yet():
    kernel = Kernel(World().target, layouts_44())
    refusal, plain = (
        next(probe for probe in CATALOGUE if probe.refusal is wanted) for wanted in (True, False)
    )
    entry = 0xFFFFFFFF81200000
    assert diverted_window(kernel, plain, NOPS, entry, ()).address == entry
    with pytest.raises(UsageError, match="only its return tells a refusal"):
        diverted_window(kernel, refusal, NOPS, entry, ())
