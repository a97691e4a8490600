# SPDX-License-Identifier: GPL-2.0-or-later
"""Whose places an image has. The offsets are CPUID's of an AMD EPYC (Zen 4) and of Intel's CPUs."""

import struct

import pytest
from fpu_images import put, xsave

from gdbfpu.xsave.cpus import Cpu
from gdbfpu.xsave.decode import decode
from gdbfpu.xsave.places import Tables

INTEL = {"opmask": 1088, "ZMM_Hi256": 1152, "Hi16_ZMM": 1664, "PKRU": 2688}
ZEN4 = {"opmask": 832, "ZMM_Hi256": 896, "Hi16_ZMM": 1408, "PKRU": 2432}
ZEN3 = {"PKRU": 832}
SIZES = {"opmask": 64, "ZMM_Hi256": 512, "Hi16_ZMM": 1024, "PKRU": 8}
BITS = {"opmask": 1 << 5, "ZMM_Hi256": 1 << 6, "Hi16_ZMM": 1 << 7, "PKRU": 1 << 9}
EVERY = 0x2E7


def written(places, size=4096, mask=EVERY, used=EVERY, xcr0=True, names=SIZES):
    """What a CPU with such places leaves in a buffer of zeros, a byte of its own in each one."""
    image = xsave(used)
    if xcr0:
        put(image, 464, struct.pack("<Q", mask))
    for number, name in enumerate(names, 1):
        if used & BITS[name]:
            put(image, places[name], bytes([number]) * SIZES[name])
    return bytes(image.ljust(size, b"\0"))[:size]


def offsets(image, places):
    return {name: image.component(name).offset for name in places}


@pytest.mark.parametrize("xcr0", [True, False])
@pytest.mark.parametrize("size", [4096, 3000, 11008])
@pytest.mark.parametrize(("vendor", "places"), [("Intel", INTEL), ("AMD", ZEN4)])
def test_a_buffer_of_another_size(vendor, places, size, xcr0):
    """A VMM keeps 4096 bytes (struct kvm_xsave), whatever the CPU needs."""
    image = decode(written(places, size, xcr0=xcr0))
    assert offsets(image, places) == places
    assert image.places == f"architecture, {vendor}'s as the bytes show"
    assert (image.notes, image.defects) == ((), ())
    assert image.register("k1").raw == b"\1" * 8
    assert image.register("zmm17").raw == b"\3" * 64
    assert image.register("pkru").raw == b"\4" * 4


@pytest.mark.parametrize("size", [1300, 1000])
def test_a_trimmed_image_of_amd(size):
    image = decode(written(ZEN4)[:size])
    assert image.register("k1").raw == b"\1" * 8
    assert image.places == "architecture, AMD's as the bytes show"
    assert any("Hi16_ZMM (in use)" in defect for defect in image.defects)


@pytest.mark.parametrize(("size", "notes"), [(1300, 1), (2500, 0)])
def test_a_trimmed_image_of_intel(size, notes):
    """What is not zero in the first 2440 bytes could be AMD's as well, so Intel's are assumed."""
    image = decode(written(INTEL)[:size])
    assert image.register("k1").raw == b"\1" * 8
    assert len(image.notes) == notes


@pytest.mark.parametrize(("vendor", "places"), [("Intel", INTEL), ("AMD", ZEN3)])
def test_pkru_without_avx512(vendor, places):
    """It is right after AVX on Zen 3."""
    image = decode(written(places, 4096, 0x207, 0x207))
    assert image.component("PKRU").offset == places["PKRU"]
    assert image.register("pkru").raw == b"\4" * 4
    assert image.places == f"architecture, {vendor}'s as the bytes show"


def test_pkru_of_a_cpu_whose_avx512_is_off():
    """CPUID's offsets do not move with what the kernel enables."""
    image = decode(written(ZEN4, 4096, 0x207, 0x207))
    assert image.register("pkru").raw == b"\4" * 4
    assert image.component("PKRU").offset == 2432


@pytest.mark.parametrize(("vendor", "places"), [("Intel", INTEL), ("AMD", ZEN4)])
def test_stale_bytes_of_a_component_that_is_not_in_use(vendor, places):
    """XSAVEOPT leaves them: the places of all components count then."""
    stale = bytearray(written(places))
    stale[512:520] = (0x27).to_bytes(8, "little")
    image = decode(bytes(stale))
    assert image.places == f"architecture, {vendor}'s as the bytes show"
    assert image.register("k1").raw == b"\1" * 8


def test_what_nothing_tells_is_said():
    image = decode(written(INTEL, names=()))
    assert image.places == "architecture, assumed to be Intel's"
    assert image.notes == (
        "nothing shows which CPU wrote this image, and the places of opmask, ZMM_Hi256, "
        "Hi16_ZMM, PKRU are assumed to be Intel's: say --cpu, or --cpuid with the CPU's own tables",
    )


@pytest.mark.parametrize("noise", [100, 200, 700])
def test_noise_everywhere_is_no_evidence(noise):
    image = bytes(written(ZEN4)[:576]) + bytes([noise % 256]) * 3520
    assert len(decode(image).notes) == 1


def test_an_image_whose_components_have_one_place_only():
    for image in (written(INTEL, 832, 7, 7, names=()), written(INTEL, 4096, 7, 7, names=())):
        decoded = decode(image)
        assert (decoded.places, decoded.notes) == ("architecture", ())


@pytest.mark.parametrize(("cpu", "places"), [(Cpu.INTEL, INTEL), (Cpu.AMD, ZEN4)])
def test_what_the_person_says_goes_first(cpu, places):
    for image in (written(INTEL), written(ZEN4), written(INTEL, names=())):
        decoded = decode(image, tables=Tables(cpu=cpu))
        assert offsets(decoded, places) == places
        assert decoded.notes == ()


@pytest.mark.parametrize("bit", [3, 4, 17, 18, 19])
def test_components_that_only_intel_has(bit):
    """MPX, AMX and APX."""
    image = xsave(0xE7 | 1 << bit)
    put(image, 464, struct.pack("<Q", 0xE7 | 1 << bit))
    decoded = decode(bytes(image.ljust(12288, b"\0")))
    assert decoded.component("opmask").offset == 1088
    assert (decoded.places, decoded.notes) == ("architecture", ())


@pytest.mark.parametrize(("size", "places"), [(2440, ZEN4), (2696, INTEL)])
def test_a_signal_frame_says_its_size(size, places):
    """What follows it on the stack, or is cut off, plays no part."""
    image = bytearray(written(places, size))
    image[464:484] = struct.pack("<IIQI", 0x46505853, size + 4, EVERY, size)
    frame = bytes(image) + struct.pack("<I", 0x46505845)
    for cut in (frame, frame + b"\xa5" * 100, frame[:2000]):
        assert offsets(decode(cut), places) == places
