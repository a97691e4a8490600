# SPDX-License-Identifier: GPL-2.0-or-later
"""Each family of components, through decode() on images made by hand."""

import struct

import pytest
from fpu_images import float80, put, xsave

from gdbfpu.xsave.decode import decode
from gdbfpu.xsave.places import Tables

BIT63 = 1 << 63


def standard(number, data, offset, also=3):
    image = put(xsave(1 << number | also), offset, data)
    return decode(bytes(image), format="standard")


def compacted(number, data):
    image = put(xsave(1 << number, BIT63 | 1 << number), 576, data)
    return decode(bytes(image), format="compacted")


def u64s(*values):
    return struct.pack(f"<{len(values)}Q", *values)


def test_x87_control_words():
    image = decode(bytes(xsave(3, fcw=0x0C7E, fsw=0xB801, ftw=0)), format="standard")
    fcw = image.register("fcw").views
    assert (fcw["flags"], fcw["precision"], fcw["rounding"]) == (
        ("DM", "ZM", "OM", "UM", "PM"),
        "single (24 bits)",
        "toward zero",
    )
    fsw = image.register("fsw").views
    assert (fsw["flags"], fsw["top"]) == (("IE", "B"), 7)
    assert image.register("ftw").views["full"] == "0xffff"


def test_condition_codes():
    image = decode(bytes(xsave(3, fsw=0x4700)), format="standard")
    assert image.register("fsw").views["flags"] == ("C0", "C1", "C2", "C3")


def test_st_says_its_tag():
    pi = float80(0, 16384, 0xC90FDAA22168C235)
    image = decode(bytes(xsave(3, fsw=7 << 11, ftw=0x80, st=[pi])), format="standard")
    assert image.register("st0").views == {
        "decimal": "3.1415926535897932385",
        "hexfloat": "0x1.921fb54442d1846ap+1",
        "raw": "0x4000c90fdaa22168c235",
        "class": "normal",
        "tag": "valid",
    }
    assert image.register("st1").views["tag"] == "empty"
    assert image.register("mm7").views["uint64"] == 0xC90FDAA22168C235


def test_mxcsr():
    views = decode(bytes(xsave(3, mxcsr=0x2FFC1)), format="standard").register("mxcsr").views
    assert views["flags"] == ("IE", "DAZ", "IM", "DM", "ZM", "OM", "UM", "PM", "FTZ", "MM")
    assert (views["rounding"], views["ftz"], views["daz"]) == ("toward zero", True, True)
    views = decode(bytes(xsave(3, mxcsr=0x11F80)), format="standard").register("mxcsr").views
    assert views["flags"][-1] == "bit 16"
    assert (views["ftz"], views["daz"]) == (False, False)


def test_ymm_is_joined():
    image = put(xsave(7, xmm=[bytes(range(16))]), 576, bytes(range(16, 32)))
    image = decode(bytes(put(image, 831, b"\7")), format="standard")
    assert image.register("ymm0").raw == bytes(range(32))
    assert image.register("ymm15").raw == bytes(31) + b"\7"


def test_ymm_of_an_initial_high_half():
    image = put(xsave(3, xmm=[b"\1" * 16]), 576, b"\2" * 256)
    ymm0 = decode(bytes(image), format="standard").register("ymm0")
    assert (ymm0.raw, ymm0.initial) == (b"\1" * 16 + bytes(16), False)


def test_zmm_is_joined_from_three():
    image = put(xsave(0xE7, xmm=[b"\1" * 16]), 576, b"\2" * 16)
    image = put(put(put(image, 1152, b"\3" * 32), 1664, b"\4" * 64), 2624, b"\5" * 64)
    image = decode(bytes(put(image, 1088, u64s(0x11, 0x22))), format="standard")
    assert image.register("zmm0").raw == b"\1" * 16 + b"\2" * 16 + b"\3" * 32
    assert image.register("zmm16").raw == b"\4" * 64
    assert image.register("ymm16").raw == b"\4" * 32
    assert image.register("xmm31").raw == b"\5" * 16
    assert image.register("k1").views == {"uint64": 0x22, "hex": "0x0000000000000022"}


def test_bounds_have_their_complement_undone():
    image = standard(3, u64s(0x1000, 0xFFFFFFFFFFFFE000, 5, 0), 960)
    assert image.register("bnd0").views == {
        "lbound": "0x0000000000001000",
        "ubound": "0x0000000000001fff",
    }
    assert image.register("bnd1").views["ubound"] == "0xffffffffffffffff"


def test_bound_configuration():
    image = standard(4, u64s(0x7F0000001003, 0x12346), 1024)
    assert image.register("bndcfgu").views == {
        "hex": "0x00007f0000001003",
        "base": "0x7f0000001000",
        "flags": ("EN", "BNDPRESERVE"),
    }
    assert image.register("bndstatus").views == {
        "hex": "0x0000000000012346",
        "error": 2,
        "abd": "0x12344",
    }


def test_pkru_rights():
    image = standard(9, struct.pack("<II", 0x55555558, 0), 2688)
    pkru = image.register("pkru")
    assert pkru.raw == b"\x58\x55\x55\x55"
    assert pkru.views["rights"][:4] == ("read-write", "read", "none", "none")
    assert len(pkru.views["rights"]) == 16


def test_pkru_in_its_initial_state_is_zero():
    image = decode(bytes(put(xsave(3), 2688, b"\x54\x55\x55\x55\0\0\0\0")), format="standard")
    pkru = image.register("pkru")
    assert (pkru.raw, pkru.initial) == (bytes(4), True)


def test_tiles_are_cut_to_their_shapes():
    config = bytearray(64)
    config[0], config[1] = 1, 3
    struct.pack_into("<HH", config, 16, 8, 4)
    config[48:50] = b"\2\1"
    tile = bytearray(8192)
    struct.pack_into("<ii", tile, 0, 1, -2)
    struct.pack_into("<ii", tile, 64, 3, 4)
    struct.pack_into("<f", tile, 1024, 1.5)
    image = put(put(xsave(0x60003), 2752, config), 2816, tile)
    image = decode(bytes(image), format="standard")
    views = image.register("tilecfg").views
    assert (views["palette"], views["start_row"]) == (1, 3)
    assert (views["rows"][:3], views["colsb"][:3]) == ((2, 1, 0), (8, 4, 0))
    assert image.register("tmm0").views["int32"] == ((1, -2), (3, 4))
    assert image.register("tmm1").views["float"] == ((1.5,),)
    assert image.register("tmm7").views["int8"] == ()
    assert image.register("tmm0").raw == bytes(tile[:1024])


def test_tiles_without_their_configuration_are_whole():
    image = decode(bytes(xsave(1 << 18, BIT63 | 1 << 18) + b"\1\0\0\0" * 2048), format="compacted")
    assert image.register("tmm7").views["int32"] == ((1,) * 16,) * 16


def test_cet():
    image = compacted(11, u64s(0x7F000C05, 0x7FFFF000))
    assert image.register("u_cet").views["flags"] == (
        "SH_STK_EN",
        "ENDBR_EN",
        "SUPPRESS",
        "TRACKER",
    )
    assert image.register("u_cet").views["eb_leg_bitmap"] == "0x7f000000"
    assert image.register("pl3_ssp").views["uint64"] == 0x7FFFF000
    image = compacted(12, u64s(1, 2, 3))
    assert [image.register(f"pl{i}_ssp").views["uint64"] for i in range(3)] == [1, 2, 3]


def test_apx():
    image = standard(19, u64s(*range(100, 116)), 960)
    assert image.register("r16").views["uint64"] == 100
    assert image.register("r31").views["uint64"] == 115


def test_pt():
    image = compacted(8, u64s(*range(1, 10)).ljust(128, b"\0"))
    assert image.register("rtit_ctl").views["uint64"] == 1
    assert image.register("rtit_addr1_b").views["uint64"] == 9


def test_pasid():
    views = compacted(10, u64s(0x80012345)).register("pasid").views
    assert (views["pasid"], views["valid"]) == (0x12345, True)


def test_hdc_and_hwp():
    assert compacted(13, u64s(1)).register("pm_ctl1").views["uint64"] == 1
    views = compacted(16, u64s(1 << 42 | 5 << 32 | 0x80_10_2A_08)).register("hwp_request").views
    assert (views["minimum"], views["maximum"], views["desired"]) == (8, 0x2A, 0x10)
    assert (views["preference"], views["window"], views["package_control"]) == (0x80, 5, True)


def test_user_interrupts():
    image = compacted(14, u64s(0x401000, 128, 1 << 63 | 0xEC << 32 | 0x100, 0x9000, 3, 0xA001))
    assert image.register("ui_handler").views["uint64"] == 0x401000
    views = image.register("ui_misc").views
    assert (views["uittsz"], views["uinv"], views["uif"]) == (0x100, 0xEC, True)
    assert image.register("ui_tt").views["uint64"] == 0xA001


def test_lbr():
    image = compacted(15, u64s(*range(1, 102)))
    assert image.register("lbr_depth").views["uint64"] == 2
    assert image.register("lbr0").views == {
        "from": "0x0000000000000006",
        "to": "0x0000000000000007",
        "info": "0x0000000000000008",
    }
    assert image.register("lbr31").views["info"] == f"{101:#018x}"


def test_unknown_component_with_a_known_place():
    tables = Tables("CPUID", offsets={62: 832}, sizes={62: 128})
    image = put(xsave(1 << 62), 832, bytes(range(128)))
    image = decode(bytes(image), format="standard", tables=tables)
    assert image.register("component62").raw == bytes(range(128))
    component = image.component("bit 62")
    assert (component.offset, component.size, component.raw) == (832, 128, bytes(range(128)))
    assert image.places == "CPUID"


@pytest.mark.parametrize("number", [20, 42, 61])
def test_unknown_component_without_a_place(number):
    image = decode(bytes(xsave(1 << number | 3)), format="standard")
    component = image.component(f"bit {number}")
    assert (component.offset, component.size, component.in_use) == (None, None, True)
    assert image.defects == (f"the place of bit {number} is not known",)


def test_unknown_component_outside_the_image():
    tables = Tables("kernel", sizes={20: 16})
    image = decode(bytes(xsave(1 << 20, BIT63 | 1 << 20)), format="compacted", tables=tables)
    assert "component20" not in {register.name for register in image.registers}
    assert image.defects == ("short: bit 20 (in use) is at bytes 576 to 591; the image has 576",)


def test_size_from_a_damaged_table_takes_no_memory():
    tables = Tables("kernel", sizes={20: 0xFFFFFFFE})
    image = decode(bytes(xsave(0, BIT63 | 1 << 20)), format="compacted", tables=tables)
    assert len(image.register("component20").raw) == 65536
    assert image.component("bit 20").size == 0xFFFFFFFE
