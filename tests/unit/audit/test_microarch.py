# SPDX-License-Identifier: GPL-2.0-or-later
"""The rule on leaks from inside the CPU, in kernels that know of them and in others."""

from __future__ import annotations

import pytest
from audit_machines import M44, M66, M510, SYMBOLS
from fake_kernel import struct
from planting import VENDOR, Planted, one

from gdbfpu.layouts.types import Layouts

planted = Planted()

CPU = SYMBOLS["boot_cpu_data"]
MODEL, MICROCODE, WORDS = CPU + 2, CPU + 8, CPU + 12
INTEL, AMD, HYGON = 0, 2, 9
BUGS = ("f00f", "", "mds", "gds", *[""] * 28, "rfds", "tsa")  # two words of 32 bits
TEXTS = 0xFFFFFFFF83A00000
STATES = (
    "Vulnerable",
    "",  # AUTO, which /sys never shows
    "Vulnerable: No microcode",
    "Mitigation: Microcode",
    "Unknown: Dependent on hypervisor status",
)
"""Like gds_strings[] of 6.17."""


def strings(m, at, texts):
    """Put an array of pointers to `texts` at `at`, the strings behind it."""
    first = at + 8 * len(texts)
    places = (first + 96 * number if text else 0 for number, text in enumerate(texts))
    pointers = b"".join(place.to_bytes(8, "little") for place in places)
    m.target.put(at, pointers + b"".join(text.encode().ljust(96, b"\0") for text in texts))


def knows_all_but(m, missing=""):
    known = ["" if bug == missing else bug for bug in BUGS]
    strings(m, TEXTS, known + [""] * (64 - len(known)))


def knows_bugs(m, *bugs, vendor=INTEL, family=6, model=0x5E, microcode=0x100):
    """Have the kernel know all of BUGS, and that its CPUs have `bugs`, all mitigated."""
    words = m.layouts.find("cpuinfo_x86", "x86_capability").size
    cpu = struct(
        "cpuinfo_x86", 400, ("x86", 0, 1), ("x86_vendor", 1, 1), ("x86_model", 2, 1),
        ("microcode", 8, 4), ("x86_capability", 12, words + 8),
    )  # fmt: skip
    known = (m.layouts.struct(name) for name in m.layouts.names() if name != "cpuinfo_x86")
    m.layouts = Layouts((*known, cpu))
    old = m.target.read_memory(CPU, 100)
    m.target.put(CPU, bytes((family, vendor, model)).ljust(8, b"\0"))
    m.target.put(MICROCODE, microcode.to_bytes(4, "little") + old[12:].ljust(words, b"\0"))
    m.target.put_int(WORDS + words, sum(1 << BUGS.index(bug) for bug in bugs))
    m.target.symbols["x86_bug_flags"], m.target.sizes["x86_bug_flags"] = TEXTS, 8 * 64
    knows_all_but(m)
    for number, bug in enumerate(("mds", "gds", "rfds", "tsa"), 1):
        texts = f"{bug}_strings"
        m.target.symbols[texts] = TEXTS + 0x10000 * number
        m.target.sizes[texts] = 8 * len(STATES)
        strings(m, TEXTS + 0x10000 * number, STATES)
        m.put(f"{bug}_mitigation", 3, 4)


def state(m, bug, text):
    m.target.put_int(m.target.symbols[f"{bug}_mitigation"], STATES.index(text), 4)


@planted("MICROARCH", M44, M510, M66)
def leaks_of_intel_that_are_open(m):
    knows_bugs(m, "mds", "gds", "rfds")
    yield m.audit(), []
    for bug in ("mds", "gds", "rfds"):
        for text in ("Vulnerable", "Vulnerable: No microcode"):
            state(m, bug, text)
            place = m.target.symbols[f"{bug}_mitigation"]
            expected = one("MICROARCH", "warning", "the CPUs", "", place, f"{bug}: {text}")
            yield m.audit(), [expected]
        state(m, bug, "Mitigation: Microcode")
    yield m.audit(), []


@planted("MICROARCH", M66)
def leak_of_amd_that_is_open(m):
    knows_bugs(m, "tsa", vendor=AMD, family=0x19)
    yield m.audit(), []
    state(m, "tsa", "Vulnerable: No microcode")
    place = m.target.symbols["tsa_mitigation"]
    expected = one("MICROARCH", "warning", "the CPUs", "", place, "tsa: Vulnerable: No microcode")
    yield m.audit(), [expected]


@planted("MICROARCH", M66)
def zenbleed_that_neither_microcode_nor_kernel_closes(m):
    """A Zen 2 outside of any virtual machine."""
    knows_bugs(m, vendor=AMD, family=0x17, model=0x71, microcode=0x08701033)
    yield m.audit(), []
    m.target.put_int(MICROCODE, 0x08701032, 4)
    read = "the microcode is 0x8701032, and the kernel has no zenbleed_check_cpu()"
    yield m.audit(), [one("MICROARCH", "warning", "the CPUs", "", CPU, read)]
    m.functions("zenbleed_check_cpu")  # it sets the chicken bit
    yield m.audit(), []


@planted.each()
def test_a_planted_defect_is_found_and_nothing_else(rule, plant, machine):
    planted.hold(rule, plant, machine)


def undecided(m):
    return [each.why for each in m.whole().undecided if each.rule == "MICROARCH"]


def test_all_is_decided_if_the_kernel_knows_the_leaks():
    m = M66()
    knows_bugs(m, "mds")
    assert undecided(m) == []


def test_a_kernel_that_does_not_know_a_leak_says_nothing_of_it():
    """4.4.0 knows none; a later kernel not the last of them."""
    m = M510()
    m.target.put(VENDOR, bytes([INTEL]))
    (why,) = undecided(m)
    for number in ("2018-12126", "2022-40982", "2023-28746"):
        assert f"CVE-{number}" in why
    assert "TSA" not in why  # of AMD's CPUs only
    knows_bugs(m)
    knows_all_but(m, "rfds")
    (why,) = undecided(m)
    assert why == "this kernel does not know RFDS (CVE-2023-28746)"


def test_a_leak_of_newer_cpus_is_none_of_an_old_one():
    m = M66()
    knows_bugs(m, vendor=AMD, family=0x15)
    knows_all_but(m, "tsa")
    assert undecided(m) == []
    m.target.put(CPU, b"\x19")
    assert undecided(m) == ["this kernel does not know TSA (CVE-2024-36350, CVE-2024-36357)"]


def test_a_host_that_decides():
    m = M66()
    knows_bugs(m, "gds")
    state(m, "gds", STATES[-1])
    (why,) = undecided(m)
    assert why.endswith(f"the kernel says `{STATES[-1]}`")
    m = M66()
    knows_bugs(m, vendor=AMD, family=0x17, model=0x31)
    m.target.put_int(WORDS + 4 * 4, 1 << 31, 4)
    (why,) = undecided(m)
    assert why.startswith("Zenbleed (CVE-2023-20593): in a virtual machine")


def test_a_fix_that_memory_does_not_show():
    m = M66()
    knows_bugs(m, vendor=AMD, family=0x17, model=0x01)
    (why,) = undecided(m)
    assert why.startswith("FP-DSS (CVE-2025-54505)")


def test_an_amd_cpu_of_which_too_little_is_known():
    m = M510()
    m.target.put(VENDOR, bytes([AMD]))
    assert any("Zenbleed or FP-DSS" in why for why in undecided(m))


@pytest.mark.parametrize("value", [1, 5, 1 << 31])
def test_a_state_without_a_text(value):
    """AUTO has none, and behind the array there are other pointers."""
    m = M66()
    knows_bugs(m, "mds")
    m.target.put_int(m.target.symbols["mds_mitigation"], value, 4)
    (why,) = undecided(m)
    assert why.endswith("the CPU has it; the kernel does not say what it does")


def test_hostile_text_is_fit_for_a_terminal():
    m = M66()
    knows_bugs(m, "mds")
    state(m, "mds", "Vulnerable")
    m.target.put(TEXTS + 0x10000 + 8 * len(STATES), b"Vulnerable\x1b[31m\xff".ljust(96, b"\0"))
    (found,) = m.audit()
    assert found.read == r"mds: Vulnerable\x1b[31m\xff"
