# SPDX-License-Identifier: GPL-2.0-or-later
"""The rule on what KVM keeps of a guest's state, with a planted defect and a clean twin."""

from __future__ import annotations

from audit_machines import ELSEWHERE, M66, M517
from fake_kernel import struct
from planting import Planted, one

from gdbfpu.layouts.types import Layouts

planted = Planted()

VCPU = ELSEWHERE + 0x300000
SIZE_AT = 4096 + 512 + 24  # of uabi_size in struct kvm_vcpu


def knows_guests(m, *types):
    """Give the kernel struct fpu_guest, and `types`."""
    guest = struct("fpu_guest", 40, ("uabi_size", 24, 4), ("fpstate", 32, 8))
    known = (m.layouts.struct(name) for name in m.layouts.names())
    m.layouts = Layouts((*known, guest, *types))


def runs_a_guest(m):
    arch = struct("kvm_vcpu_arch", 2048, ("guest_fpu", 512, 40, "fpu_guest"))
    knows_guests(m, struct("kvm_vcpu", 8192, ("arch", 4096, 2048, "kvm_vcpu_arch")), arch)
    m.per_cpu("kvm_running_vcpu", 0, VCPU)
    m.target.put(VCPU, bytes(8192))
    m.target.put_int(VCPU + SIZE_AT, 4096, 4)


@planted("UABI", M66, M517)
def size_without_room_for_what_kvm_copies(m):
    """The size of a host without AVX, to which KVM had not added what it copies."""
    runs_a_guest(m)
    yield m.audit(), []
    m.target.put_int(VCPU + SIZE_AT, 4095, 4)
    read = "uabi_size is 4095, less than the 4096 bytes of struct kvm_xsave"
    yield m.audit(), [one("UABI", "error", "the vCPU on CPU 1", "", VCPU + SIZE_AT, read)]
    m.target.put_int(VCPU + SIZE_AT, 11008, 4)
    yield m.audit(), []


@planted.each()
def test_a_planted_defect_is_found_and_nothing_else(rule, plant, machine):
    planted.hold(rule, plant, machine)


def undecided(m):
    return [one.why for one in m.whole().undecided if one.rule == "UABI"]


def test_without_kvms_types_it_is_not_decidable():
    m = M66()
    assert undecided(m) == []  # before 5.17 there is no such size
    knows_guests(m)
    (why,) = undecided(m)
    assert "CVE-2022-49557" in why and "struct kvm_vcpu" in why


def test_with_kvms_types_it_is():
    m = M66()
    runs_a_guest(m)
    assert undecided(m) == []
    m.forget("kvm_running_vcpu")
    assert len(undecided(m)) == 1
