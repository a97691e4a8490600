# SPDX-License-Identifier: GPL-2.0-or-later
"""What each stub says it can do."""

from __future__ import annotations

import pytest

from gdbfpu.kernel.stubs import CORE, KGDB, QEMU


def test_names_are_those_of_the_event_file():
    """docs/data.md: others rely on them."""
    assert [stub.name for stub in (KGDB, QEMU, CORE)] == ["kgdb", "qemu", "core"]


def test_only_kgdb_bears_no_more_than_510_bytes_at_once():
    assert [stub.max_read for stub in (KGDB, QEMU, CORE)] == [510, None, None]
    assert KGDB.read_run <= 510


@pytest.mark.parametrize(
    ("ability", "able"),
    [
        ("runs", [KGDB, QEMU]),
        ("in_kernel", [KGDB]),
        ("threads_are_tasks", [KGDB]),
        ("shows_vector_registers", [QEMU]),
    ],
)
def test_abilities(ability, able):
    assert [stub for stub in (KGDB, QEMU, CORE) if getattr(stub, ability)] == able
