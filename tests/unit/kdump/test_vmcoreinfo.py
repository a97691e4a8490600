# SPDX-License-Identifier: GPL-2.0-or-later
"""VMCOREINFO of kernels and of `makedumpfile -g`."""

from __future__ import annotations

from gdbfpu.kdump.vmcoreinfo import names_phys_base, top_table, with_top_table

KERNEL = b"""\
OSRELEASE=6.1.0
SYMBOL(swapper_pg_dir)=ffffffff82a10000
SYMBOL(init_top_pgt)=ffffffff82a10000
NUMBER(phys_base)=-16777216
"""
GENERATED = b"OSRELEASE=4.4.60\nSYMBOL(init_level4_pgt)=ffffffff812ad000\n"


def test_of_a_kernel():
    assert with_top_table(KERNEL) == KERNEL
    assert top_table(KERNEL) == 0xFFFFFFFF82A10000
    assert names_phys_base(KERNEL)


def test_of_makedumpfile():
    assert top_table(GENERATED) is None
    text = with_top_table(GENERATED + b"\0\0")
    assert text == GENERATED + b"SYMBOL(swapper_pg_dir)=ffffffff812ad000\n"
    assert top_table(text) == 0xFFFFFFFF812AD000
    assert not names_phys_base(text)


def test_of_nothing():
    for text in (b"", b"\xff\xfe", b"SYMBOL(init_top_pgt)=\n", b"SYMBOL(swapper_pg_dir)=zz\n"):
        assert with_top_table(text) == text
        assert top_table(text) is None
        assert not names_phys_base(text)
