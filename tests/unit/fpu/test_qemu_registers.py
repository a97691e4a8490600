# SPDX-License-Identifier: GPL-2.0-or-later
"""Registers from the texts of QEMU's monitor, against what the guest's programs had loaded."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gdbfpu.fpu.qemu_registers import UnknownDump, parse_registers
from qemu.guest.patterns import PATTERNS

TEXTS = Path(__file__).parents[2] / "data/qemu-registers"
WORD = "0123456789abcdef"


def text_of(name):
    return (TEXTS / f"qemu-{name}.txt").read_text()


def parsed(text, stack_order=False):
    return parse_registers(text, stack_order=stack_order)


def on_which(cpus, name, value):
    """The registers of the CPU that has `value` in register `name`."""
    (found,) = [registers for registers in cpus.values() if registers[name] == value]
    return found


@pytest.mark.parametrize("version", ["7.2", "11.1"])
def test_whole_vectors_are_the_programs(version):
    cpus = parsed(text_of(version))
    assert cpus.keys() == {0, 1}
    ymmall = PATTERNS["ymmall"]
    found = on_which(cpus, "ymm1", ymmall["ymm1"])
    assert {name: found[name] for name in ymmall} == ymmall
    assert found["mxcsr"] == bytes.fromhex("801f0000")


@pytest.mark.parametrize("version", ["7.2", "11.1"])
def test_x87_has_the_right_order_and_tags(version):
    """TOP is 3: a physical register would have the place of another one."""
    pattern = PATTERNS["x87calc"]
    found = on_which(parsed(text_of(version)), "fcw", pattern["fcw"])
    assert {name: found[name] for name in pattern} == pattern


@pytest.mark.parametrize("version", ["7.2", "11.1"])
def test_without_avx(version):
    cpus = parsed(text_of(f"{version}-nehalem"))
    audiod = PATTERNS["audiod"]
    found = on_which(cpus, "mxcsr", audiod["mxcsr"])
    assert {name: found[name] for name in audiod} == audiod
    assert found.keys() == {
        "fcw", "fsw", "ftw", "mxcsr", *(f"st{i}" for i in range(8)), *(f"xmm{i}" for i in range(16))
    }  # fmt: skip
    mmxplay = on_which(cpus, "ftw", b"\xff")
    for i in range(8):  # TOP is 0
        assert mmxplay[f"st{i}"][:8] == PATTERNS["mmxplay"][f"mm{i}"]


def test_outside_64_bit_code_only_eight_are_printed():
    for registers in parsed(text_of("11.1-reset")).values():
        assert [name for name in registers if name.startswith("xmm")] == [
            f"xmm{i}" for i in range(8)
        ]


def test_under_kvm_the_stack_is_in_order():
    """QEMU then prints its copy of KVM's XSAVE image, where ST(0) is first."""
    physical = on_which(parsed(text_of("7.2")), "ftw", b"\xf8")
    stack = on_which(parsed(text_of("7.2"), stack_order=True), "ftw", b"\xf8")
    assert [stack[f"st{(i + 3) % 8}"] for i in range(8)] == [physical[f"st{i}"] for i in range(8)]
    assert stack["st3"] == PATTERNS["x87calc"]["st0"]


def with_avx512(apx=False):
    """A text of one CPU: the last byte of a register says which one it is."""

    def word(number):
        return f"{WORD[:14]}{number:02x}"

    lines = ["", "CPU#0"]
    general = [f"R{i}={word(i)}" for i in range(16, 32)]
    lines += [" ".join(general[i : i + 4]) for i in range(0, 16, 4)] if apx else []
    lines += ["EFER=0000000000000d01", "FCW=037f FSW=0000 [ST=0] FTW=00 MXCSR=00001f80"]
    lines += [f"FPR{i}={word(0)} 0000 FPR{i + 1}={word(0)} 0000" for i in range(0, 8, 2)]
    masks = [f"Opmask{i:02}={word(0x40 + i)}" for i in range(8)]
    lines += [" ".join(masks[:4]), " ".join(masks[4:])]
    lines += [
        f"ZMM{i:02}={' '.join(word(q) for q in range(7, 0, -1))} {word(i)}" for i in range(32)
    ]
    return "\n".join((*lines, ""))


def test_avx512_and_apx():
    """By hand, after QEMU's source: its emulator has neither."""
    (found,) = parsed(with_avx512(apx=True)).values()
    for i in range(32):
        assert len(found[f"zmm{i}"]) == 64
        assert found[f"zmm{i}"][0] == i  # the last word that is printed is the lowest
        assert [found[f"zmm{i}"][8 * q] for q in range(1, 8)] == [1, 2, 3, 4, 5, 6, 7]
    assert [found[f"k{i}"][0] for i in range(8)] == [0x40 + i for i in range(8)]
    assert [found[f"r{i}"][0] for i in range(16, 32)] == list(range(16, 32))
    assert not {"xmm0", "ymm0", "r8"} & found.keys()
    assert "r16" not in parsed(with_avx512())[0]


DAMAGED = {
    "no CPU": lambda text: text.replace("CPU#", "VCPU "),
    "a CPU twice": lambda text: text.replace("CPU#1", "CPU#0"),
    "no FTW": lambda text: text.replace("FTW=", "TAG="),
    "TOP that is not FSW's": lambda text: text.replace("[ST=3]", "[ST=2]"),
    "FSW without TOP": lambda text: text.replace(" [ST=3]", ""),
    "a short word": lambda text: text.replace("FCW=0b7f", "FCW=b7f"),
    "a register is missing": lambda text: re.sub("^YMM11=.*\n", "", text, flags=re.MULTILINE),
    "the last one is missing": lambda text: re.sub("^YMM15=.*\n", "", text, flags=re.MULTILINE),
    "a register twice": lambda text: text.replace("YMM05=", "YMM04="),
    "one too many": lambda text: text.replace("YMM05=", "YMM16="),
    "a vector cut short": lambda text: re.sub("^(YMM07=.*) .*$", r"\1", text, flags=re.MULTILINE),
    "a vector too long": lambda text: text.replace("YMM07=", f"YMM07={WORD} "),
    "another kind of vector": lambda text: text.replace("YMM00=", f"XMM00={WORD} {WORD}\nYMM00="),
    "no vector": lambda text: re.sub("^YMM.*\n", "", text, flags=re.MULTILINE),
    "an x87 register is missing": lambda text: text.replace("FPR7=", "FPX7="),
    "no exponent": lambda text: re.sub("(FPR1=.{16}) ....", r"\1", text),
    "capitals": lambda text: text.replace("MXCSR=00001f80", "MXCSR=00001F80"),
    "a mask": lambda text: text.replace("YMM00=", f"Opmask00={WORD}\nYMM00="),
    "some of APX": lambda text: text.replace("RIP=", f"R16={WORD} RIP="),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGED)
def test_what_is_not_known_is_refused(damage):
    """A register that is wrong or missing may not pass for one that QEMU has printed."""
    text = DAMAGED[damage](text_of("7.2"))
    assert text != text_of("7.2")
    with pytest.raises(UnknownDump):
        parsed(text)


def test_no_mask_is_refused_with_zmm():
    with pytest.raises(UnknownDump):
        parsed(with_avx512().replace("Opmask", "Mask"))


@pytest.mark.parametrize(
    "text", ["", "unknown command: 'info'", "registers: unsupported option -a"]
)
def test_other_answers_are_refused(text):
    with pytest.raises(UnknownDump):
        parsed(text)


def test_registers_that_a_newer_qemu_may_add_do_no_harm():
    text = text_of("7.2").replace("YMM00=", "PKRU=55555554\nTMM00=0 1 2\nYMM00=")
    assert parsed(text) == parsed(text_of("7.2"))
    assert parsed(text.replace("\n", "\r\n")) == parsed(text)
