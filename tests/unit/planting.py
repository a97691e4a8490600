# SPDX-License-Identifier: GPL-2.0-or-later
"""Planted defects: what a rule is to find, in the form the bug had, and nothing else.

A planted defect is a generator over one machine: it yields what is found and what should be, first
on the clean twin, then after each change.
"""

from __future__ import annotations

from collections import defaultdict

import pytest
from audit_machines import DEFAULT_PKRU, M44, M66, SYMBOLS, frame, pattern

from gdbfpu.audit.finding import Finding

EVERY = (1 << 64) - 1
ALICE, BOB, CAROL = "alice (pid 10)", "bob (pid 11)", "carol (pid 12)"
STACK = 0x7FFD5C965140  # where audit_machines has a frame
VENDOR = SYMBOLS["boot_cpu_data"] + 1
KERNEL_ADDRESS = (0xFFFFFFFF81234567).to_bytes(8, "little")
EVIDENCE = {"XCOMP": 8, "XCOMP2": 8, "SUPV": 8, "SIZE": 8, "SANOFF": 8, "MXCSR": 4, "AMDFIP": 8}
"""How many bytes of evidence rules give, from the address on."""


class Planted:
    """The planted defects of a family of rules.

    `plants` has by rule the generators to call with a machine, and the machine's class.
    """

    def __init__(self):
        self.plants = defaultdict(list)

    def __call__(self, rule, *machines):
        """Register the generator below as planting what `rule` finds on `machines`."""

        def register(plant):
            self.plants[rule] += [(plant, machine) for machine in machines]
            return plant

        return register

    def each(self):
        """Have the test below run for each planted defect; it stands below them all."""
        found = [
            pytest.param(rule, plant, machine, id=f"{plant.__name__}-{machine.__name__}")
            for rule, plants in self.plants.items()
            for plant, machine in plants
        ]
        return pytest.mark.parametrize(("rule", "plant", "machine"), found)

    def hold(self, rule, plant, machine):
        """Assert that the clean twin has nothing, and what is planted is found, and only that."""
        m, rules = machine(), []
        for number, (said, expected) in enumerate(plant(m)):
            found = findings(said)
            told = [(f.rule, f.subject, f.component, hex(f.address), f.read) for f in found]
            assert len(found) == len(expected), (number, told)
            assert number or not expected  # the clean twin
            for finding, wanted in zip(found, expected, strict=True):
                assert matches(finding, wanted), (number, told, wanted)
                assert_evidence(m, finding)
                rules.append(finding.rule)
        assert rule in rules


def one(rule, severity, subject, component, address, *read):
    """What is expected of one finding; `read` are parts of what it says it read."""
    return rule, severity, subject, component, address, read


def matches(finding, expected):
    *fields, read = expected
    told = finding.rule, finding.severity.value, finding.subject, finding.component, finding.address
    return told == tuple(fields) and all(part in finding.read for part in read)


def findings(said):
    """Findings of an Audit, or of a list of results that has nothing undecided."""
    results = getattr(said, "findings", said)
    assert all(isinstance(result, Finding) for result in results)
    return list(results)


def assert_evidence(m, finding):
    """Hold the bytes that a finding shows to the memory it is about."""
    evidence = finding.evidence
    if STACK <= finding.address < STACK + 4096:
        at = finding.address - STACK
        assert evidence == m.shown[at : at + 64]
    elif finding.rule in ("STALE", "SANITIZE", "FORK", "EXEC"):
        assert len(evidence) == int(finding.read.split(" ")[0])
        there = m.target.read_memory(finding.address, 1)
        assert evidence[:1] == there != b"\0"
        assert b"\0" not in evidence
    elif "reserved bytes" in finding.read:
        place = int(finding.read.split("from byte ")[1])
        assert evidence == m.target.read_memory(finding.address - place + 528, 48)
    else:
        size = (
            0
            if "too few for its header" in finding.read
            else EVIDENCE.get(finding.rule, 4 if finding.component == "SSE" else 0)
        )
        assert evidence == (m.target.read_memory(finding.address, size) if size else b"")


def user_frame(m, xfeatures=None, *, ia32=False, avx=None):
    """The frame of the machine's kernel: size, components and PKRU's place."""
    if isinstance(m, M44):
        size, mask, more = 832, 7, {}
    elif isinstance(m, M66):
        size, mask, more = 2816, m.default & ~0x800, {2688: DEFAULT_PKRU.to_bytes(4, "little")}
    else:
        size, mask, more = 2696, 0x207, {2688: DEFAULT_PKRU.to_bytes(4, "little")}
    avx = pattern("alice", "AVX", 256) if avx is None else avx
    used = mask & 0x207 if xfeatures is None else xfeatures
    return frame(size, mask, used, {576: avx, **more}, ia32=ia32)


def seen(m, image, before=True, **more):
    """Findings about a frame that was written from what the machine's alice has in memory."""
    was = m.peek(m.alice, 0, 832) if before else b""
    said = m.frame(bytes(image), before=was if isinstance(m, M44) else b"", **more)
    undecided = {one.rule for one in said.undecided}
    assert undecided == (set() if isinstance(m, M44) else {"FRAMEDIFF"})
    return said.findings
