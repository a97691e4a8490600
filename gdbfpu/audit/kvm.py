# SPDX-License-Identifier: GPL-2.0-or-later
"""The rule on what KVM itself keeps of a guest's FPU state.

KVM's types are in vmlinux if KVM is built in, and in its module's debugging information if not.
"""

from __future__ import annotations

from collections.abc import Iterator

from gdbfpu.audit.finding import Severity
from gdbfpu.audit.rule import Defect, Outcome, Scope, Unknown, rule
from gdbfpu.audit.snapshot import Snapshot
from gdbfpu.target import read_u64

__all__ = ("uabi",)

_REGION = 4096  # bytes of struct kvm_xsave, asm/kvm.h
_RUNNING = "kvm_running_vcpu"


@rule(
    "UABI",
    scope=Scope.KERNEL,
    severity=Severity.ERROR,
    invariant="A guest's state for user space has the size of struct kvm_xsave or more.",
)
def uabi(snapshot: Snapshot) -> Iterator[Outcome]:
    """Yield a defect for a vCPU whose uabi_size is too small: CVE-2022-49557.

    KVM_GET_XSAVE then copies 4,096 bytes out of less. The vCPUs that CPUs have loaded are looked
    at. d187ba531230 fixes the defect (5.19, 5.18.2, 5.17.13).
    """
    kernel = snapshot.model.kernel
    if kernel.layouts.find("fpu_guest", "uabi_size") is None:
        return  # up to 5.16
    size = kernel.layouts.find("kvm_vcpu", "arch.guest_fpu.uabi_size")
    if size is None or not snapshot.has(_RUNNING):
        yield Unknown(
            "fpu_guest.uabi_size (CVE-2022-49557) is in KVM's struct kvm_vcpu, which this vmlinux "
            "does not describe"
        )
        return
    for cpu in kernel.online_cpus():
        vcpu = read_u64(kernel.target, kernel.per_cpu(_RUNNING, cpu))
        value = snapshot.integer(vcpu, "kvm_vcpu", "arch.guest_fpu.uabi_size") if vcpu else None
        if value is not None and value < _REGION:
            yield Defect(
                f"the vCPU on CPU {cpu}",
                f"uabi_size is {value}, less than the {_REGION} bytes of struct kvm_xsave",
                vcpu + size.offset,
                "KVM_GET_XSAVE copies kernel memory behind the guest's state to user space, and "
                "KVM_SET_XSAVE reads too little",
            )
