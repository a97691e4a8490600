# SPDX-License-Identifier: GPL-2.0-or-later
"""A dump is read in a process of its own, and what happens there is told here."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from fake import FakeMemory

from gdbfpu.errors import CorruptState, GdbFpuError, MemoryFault, UsageError, WrongKernel
from gdbfpu.kdump.apart import Apart

CORE = Path("/a/core")


class Dying(FakeMemory):
    """Dies as a process does that reads behind the end of a mapped file."""

    def symbol_address(self, name):
        os.kill(os.getpid(), getattr(signal, name))


def apart(memory=None):
    memory = memory or FakeMemory()
    memory.put(0x1000, bytes(range(256)))
    memory.symbols = {"high": 0xFFFFFFFF81000000, "low": 8}
    memory.sizes = {"high": 96}
    memory.slide = -0x200000
    return Apart(CORE, lambda: memory)


def test_it_is_the_same_memory():
    memory = apart()
    assert memory.read_memory(0x1010, 3) == b"\x10\x11\x12"
    assert memory.symbol_address("high") == 0xFFFFFFFF81000000
    assert (memory.symbol_address("low"), memory.symbol_address("none")) == (8, None)
    assert (memory.symbol_size("high"), memory.symbol_size("none")) == (96, 0)
    assert memory.slide == -0x200000
    assert (memory.stub.name, memory.machine) == ("core", None)


def test_a_fault_says_where_and_why():
    class Filtered(FakeMemory):
        def read_memory(self, address, length):
            raise MemoryFault(address, length, "left out")

    with pytest.raises(MemoryFault) as fault:
        apart(Filtered()).read_memory(-8, 16)
    assert str(fault.value) == "cannot read 16 bytes at 0xfffffffffffffff8: left out"
    assert (fault.value.address, fault.value.length) == ((1 << 64) - 8, 16)
    with pytest.raises(MemoryFault) as fault:
        apart().read_memory(0x10F8, 16)
    assert fault.value.why == ""


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (UsageError("no drgn"), UsageError),
        (CorruptState("damaged \udcff"), CorruptState),
        (WrongKernel("another"), GdbFpuError),
        (MemoryFault(8, 8), GdbFpuError),
        (ValueError("a fault of ours"), RuntimeError),
    ],
)
def test_what_fails_there_fails_here(raised, kind):
    def make():
        raise raised

    with pytest.raises(kind) as error:
        Apart(CORE, make)
    assert type(error.value) is kind
    assert str(raised) in str(error.value)


@pytest.mark.parametrize("name", ["SIGBUS", "SIGSEGV", "SIGTERM"])
def test_its_death_is_an_error_each_time(name):
    memory = apart(Dying())
    words = f"/a/core is damaged, or was cut off: reading it ended with {name}"
    for _ in range(2):
        with pytest.raises(CorruptState) as error:
            memory.symbol_address(name)
        assert str(error.value) == words
        with pytest.raises(CorruptState):
            memory.read_memory(0x1000, 1)


def test_an_interrupt_does_not_end_it():
    """^C reaches the whole foreground; the process that asks decides."""
    memory = apart(Dying())
    assert memory.symbol_address("SIGINT") is None
    assert memory.read_memory(0x1001, 1) == b"\1"


def test_it_ends_with_its_memory():
    memory = apart()
    child = memory._child
    os.kill(child, 0)
    del memory
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
