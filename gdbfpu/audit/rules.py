# SPDX-License-Identifier: GPL-2.0-or-later
"""The rules by name, and what no rule can decide from memory."""

from __future__ import annotations

from gdbfpu.audit import fpstate, frame, header, legacy, ownership, returns, stale
from gdbfpu.audit.finding import Rule

__all__ = ("BLIND_SPOTS", "RULES", "rules_of")

RULES: tuple[Rule, ...] = (
    Rule("STALE", "task", "A component whose header bit is clear has initial bytes in memory.",
         stale.stale),
    Rule("XCOMP", "task", "The XSAVE header has nothing that XRSTOR refuses.", header.xcomp),
    Rule("XCOMP2", "task", "A compacted header has bit 63 and the kernel's own components in "
         "xcomp_bv.", header.xcomp2),
    Rule("SUPV", "task", "No image that user space sees has a supervisor component.", header.supv),
    Rule("SIZE", "task", "Every component in use ends inside the area.", header.size),
    Rule("SANOFF", "task", "No area is compacted where the kernel sanitizes by standard offsets.",
         header.sanoff),
    Rule("MXCSR", "task", "MXCSR has only bits of mxcsr_feature_mask.", legacy.mxcsr),
    Rule("AMDFIP", "task", "FIP and FDP hold no kernel address where the CPU does not save them.",
         legacy.amdfip),
    Rule("INITBUF", "kernel", "init_fpstate is the initial state.", legacy.initbuf),
    Rule("FLAGS", "task", "The flags of a struct fpu do not contradict one another.",
         ownership.flags),
    Rule("OWNER", "cpu", "Loaded registers are those of the task that runs.", ownership.owner),
    Rule("TWICE", "kernel", "No two CPUs run one task.", ownership.twice),
    Rule("LAZYFP", "cpu", "No Intel CPU keeps another task's registers behind CR0.TS.",
         ownership.lazyfp),
    Rule("KERNFPU", "cpu", "While kernel code has the FPU, the task's registers are saved.",
         ownership.kernfpu),
    Rule("PERM", "task", "No thread may use a feature that its group has no permission for.",
         fpstate.perm),
    Rule("AMXBUF", "task", "A task's fpstate is where its flags say, with room for what it has.",
         fpstate.amxbuf),
    Rule("XFD1", "cpu", "A CPU's cached IA32_XFD is the running task's.", fpstate.xfd1),
    Rule("XFD3", "task", "No component is in use that IA32_XFD disables.", fpstate.xfd3),
    Rule("GUEST", "task", "A KVM guest's state is in a task only with the task's own set aside.",
         fpstate.guest),
    Rule("SSP", "task", "Only a task with a shadow stack has shadow stack state.", fpstate.ssp),
    Rule("PKRU0", "task", "A task whose PKRU is initial works with PKRU 0.", fpstate.pkru0),
    Rule("FRAME", "frame", "A signal frame says the truth about itself.", frame.frame),
    Rule("FRAME32", "frame", "A 32-bit task's frame has its extended state.", frame.frame32),
    Rule("FRAMESTALE", "frame", "A component whose bit is clear in a frame has initial bytes "
         "there.", frame.framestale),
    Rule("FRAMEPAST", "frame", "The kernel writes nothing behind a frame.", frame.framepast),
    Rule("FRAMEDIFF", "frame", "A frame has the state that the task had.", frame.framediff),
    Rule("SANITIZE", "sanitize", "No stale byte is left when the sanitizer returns.",
         returns.sanitized),
    Rule("FORK", "fork", "A child begins without stale bytes.", returns.forked),
    Rule("EXEC", "exec", "A program begins without bytes of the one before.", returns.execed),
    Rule("SIGREST", "sigreturn", "After sigreturn the area can be loaded, and loaded registers "
         "are the task's.", returns.sigrest),
    Rule("RESTOREGP", "fault", "The CPU refuses to load no state.", returns.restoregp),
)  # fmt: skip
"""All rules, in the order in which an audit follows them."""

BLIND_SPOTS = (
    ("MSR", "XCR0, IA32_XSS, IA32_XFD and CR0.TS are in CPUs, not in memory"),
    ("MODOPT", "who wrote an area that a CPU tracks for XSAVEOPT is seen in a trace only"),
    ("UABI", "fpu_guest.uabi_size (CVE-2022-49557) is reached through KVM's own structures only"),
    ("CORE", "what a note or core dump had between components (CVE-2020-10732) is gone"),
    ("MICROARCH", "Zenbleed (CVE-2023-20593), Downfall (CVE-2022-40982) and MDS leak from "
     "inside the CPU"),
)  # fmt: skip
"""What no audit of memory decides, and why; it is never to be taken for clean."""


def rules_of(scope: str) -> tuple[Rule, ...]:
    """Return the rules whose scope is `scope`."""
    return tuple(rule for rule in RULES if rule.scope == scope)
