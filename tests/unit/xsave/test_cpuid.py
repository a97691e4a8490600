# SPDX-License-Identifier: GPL-2.0-or-later
"""Tables of places as text. `CPUID` is what Debian's cpuid 20230120 prints on an AMD EPYC."""

import pytest
from fpu_images import put, xsave

from gdbfpu.errors import UsageError
from gdbfpu.xsave.cpuid import read_tables
from gdbfpu.xsave.decode import decode

CPUID = """CPU 0:
   0x00000000 0x00: eax=0x0000001c ebx=0x68747541 ecx=0x444d4163 edx=0x69746e65
   0x0000000d 0x00: eax=0x000000e7 ebx=0x00000980 ecx=0x00000980 edx=0x00000000
   0x0000000d 0x01: eax=0x0000000f ebx=0x000009a8 ecx=0x00001800 edx=0x00000000
   0x0000000d 0x02: eax=0x00000100 ebx=0x00000240 ecx=0x00000000 edx=0x00000000
   0x0000000d 0x05: eax=0x00000040 ebx=0x00000340 ecx=0x00000000 edx=0x00000000
   0x0000000d 0x06: eax=0x00000200 ebx=0x00000380 ecx=0x00000000 edx=0x00000000
   0x0000000d 0x07: eax=0x00000400 ebx=0x00000580 ecx=0x00000000 edx=0x00000000
   0x0000000d 0x0b: eax=0x00000010 ebx=0x00000000 ecx=0x00000001 edx=0x00000000
   0x0000000d 0x0c: eax=0x00000018 ebx=0x00000000 ecx=0x00000003 edx=0x00000000
   0x0000000f 0x00: eax=0x00000000 ebx=0x000000ff ecx=0x00000000 edx=0x00000002
"""
OFFSETS = {2: 576, 5: 832, 6: 896, 7: 1408}
SIZES = {2: 256, 5: 64, 6: 512, 7: 1024}
LOG = """[    0.249702] x86/fpu: xstate_offset[2]:  576, xstate_sizes[2]:  256
[    0.249704] x86/fpu: xstate_offset[5]:  832, xstate_sizes[5]:   64
[    0.249704] x86/fpu: xstate_offset[6]:  896, xstate_sizes[6]:  512
[    0.249712] x86/fpu: xstate_offset[7]: 1408, xstate_sizes[7]: 1024
[    0.249714] x86/fpu: Enabled xstate features 0xe7, context size is 2432 bytes, using '{}' format.
"""
OLD_LOG = """x86/fpu: xstate_offset[2]: 0240, xstate_sizes[2]: 0100
x86/fpu: xstate_offset[5]: 0340, xstate_sizes[5]: 0040
x86/fpu: xstate_offset[6]: 0380, xstate_sizes[6]: 0200
x86/fpu: xstate_offset[7]: 0580, xstate_sizes[7]: 0400
x86/fpu: Enabled xstate features 0xe7, context size is 0x980 bytes, using 'standard' format.
"""
CRASH = """crash> p xstate_offsets
xstate_offsets = $1 =
 {0, 160, 576, 4294967295, 4294967295, 832, 896, 1408, 4294967295 <repeats 11 times>}
crash> p xstate_sizes
xstate_sizes = $2 =
 {160, 256, 256, 4294967295 <repeats 2 times>, 64, 512, 1024, -1 <repeats 11 times>}
"""


def told(table):
    return {n: v for n, v in dict(table).items() if n >= 2 and 0 < v < 0xFFFFFFFF}


@pytest.mark.parametrize(
    ("text", "source"),
    [
        (CPUID, "CPUID"),
        (CPUID.upper().replace("0X", "0x"), "CPUID"),
        (CPUID + CPUID.replace("ebx=0x00000340", "ebx=0x00000440"), "CPUID"),
        (LOG.format("standard"), "kernel"),
        (OLD_LOG, "kernel"),
        (CRASH, "kernel"),
    ],
)  # fmt: skip
def test_tables(text, source):
    tables = read_tables(text)
    assert tables.source == source
    assert told(tables.offsets) == OFFSETS
    sizes = told(tables.sizes)
    assert {number: sizes[number] for number in SIZES} == SIZES


def test_supervisor_components_have_sizes_and_alignment():
    tables = read_tables(CPUID)
    assert (tables.sizes[11], tables.sizes[12]) == (16, 24)
    assert (tables.offsets[11], tables.align[11], bool(tables.align[12])) == (0, 0, True)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "no CPUID leaf 0xd"),
        (CPUID[:200], "no CPUID leaf 0xd"),
        (LOG.format("compacted"), "logs the offsets of that format; use the output of `cpuid -r`"),
        (LOG[:300], "which format has these offsets: add its line `Enabled"),
        (CRASH[:150], "without xstate_sizes: print both"),
    ],
)
def test_no_tables(text, error):
    with pytest.raises(UsageError, match=error):
        read_tables(text)


def test_a_component_that_the_cpu_has_not():
    """Its place is not known: the architecture's is not taken instead."""
    image = bytes(put(xsave(0x2E7), 832, b"\1" * 64).ljust(4096, b"\0"))
    decoded = decode(image, tables=read_tables(CPUID))
    assert decoded.places == "CPUID"
    assert decoded.component("opmask").offset == 832
    assert decoded.defects == ("the place of PKRU is not known",)
    assert decoded.notes == ()


def test_only_what_fits_is_shown_where_no_mask_is_known():
    """CPUID tells what a CPU can, not what is enabled: what is not there is no defect."""
    decoded = decode(bytes(xsave(7).ljust(1000, b"\0")), tables=read_tables(CPUID))
    assert [c.name for c in decoded.components] == ["x87", "SSE", "AVX", "opmask"]
    assert decoded.defects == ()
