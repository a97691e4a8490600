# SPDX-License-Identifier: GPL-2.0-or-later
"""Ask the CPU that is stopped in KGDB for registers that KGDB does not show.

The CPU executes instructions that the kernel's text has: MOV from a control register, CPUID, RDMSR,
and the kernel's own instruction that saves FPU registers. That one writes to the task's image, of
which memory has an old copy while the registers are in the CPU; the old bytes are put back.
"""

from __future__ import annotations

from pathlib import Path

from gdbfpu.dbg.gdb_types import known_types
from gdbfpu.dbg.one_step import HeldCpu, LostKernel, held_cpu, unless_lost
from gdbfpu.dbg.target import GdbTarget
from gdbfpu.errors import GdbFpuError
from gdbfpu.fpu.model import FpuModel
from gdbfpu.fpu.registers import CR0_TS, CR4_OSXSAVE, own_task
from gdbfpu.kernel.askable import ENTRY, find_askable
from gdbfpu.kernel.kgdb import active_cpu
from gdbfpu.probes.asking import Save
from gdbfpu.target import Answers

__all__ = ("CpuQuestions",)

_EFER, _XSS, _XFD = 0xC0000080, 0xDA0, 0x1C4  # MSRs, Intel SDM volume 4
_XSAVE_LEAF = 0xD  # of CPUID
_HAS_XSS, _HAS_XFD = 1 << 3, 1 << 4  # CPUID.(0xD,1):EAX
_LOW = (1 << 32) - 1
_PIECE = 64  # bytes; what differs is put back in such pieces
_NOT_LOADED = "the kernel says that the CPU does not have the registers of its task"
_TS_SET = "CR0.TS is set: the CPU would raise #NM"


class CpuQuestions:
    """How to ask the CPUs of the kernel with `model`, whose file is `vmlinux`.

    Raises GdbFpuError if the kernel lacks an instruction that is needed, and for other stubs.
    """

    def __init__(self, target: GdbTarget, model: FpuModel, vmlinux: Path) -> None:
        if not target.stub.in_kernel:
            raise GdbFpuError("only KGDB has the stopped CPU execute an instruction")
        self._target = target
        self.model = model
        self._sites = find_askable(target, vmlinux, known_types(ENTRY))

    def ask(self, image: bool) -> Answers:
        """Return the registers of the CPU that is stopped; raise GdbFpuError.

        Those of the FPU are among them only if `image` says so.
        """
        kernel = self.model.kernel
        number = active_cpu(kernel)
        task = own_task(self.model, number) if image else None
        save = self._sites.save(self.model.format) if task is not None else None
        with held_cpu(self._target, kernel) as cpu:
            control = self._control(cpu)
            size = self._xsave_leaf(cpu, control)
            why, saved = _NOT_LOADED if save is None else "", b""
            if save is not None and control["cr0"] & CR0_TS:
                why = _TS_SET
            elif save is not None and task is not None:
                saved = self._image(cpu, save, self.model.fpu_of(task))
        return Answers(number, control, size, saved, save.name if save and saved else "", why)

    def _control(self, cpu: HeldCpu) -> dict[str, int]:
        """Return CR0, CR4 and IA32_EFER."""
        found = {}
        for name, site in (("cr0", self._sites.cr0), ("cr4", self._sites.cr4)):
            found[name] = cpu.execute(site, {})[site.writes[0]]
        return {**found, "efer": self._msr(cpu, _EFER)}

    def _msr(self, cpu: HeldCpu, number: int) -> int:
        after = cpu.execute(self._sites.rdmsr, {"rcx": number})
        return (after["rax"] & _LOW) | (after["rdx"] & _LOW) << 32

    def _xsave_leaf(self, cpu: HeldCpu, control: dict[str, int]) -> int:
        """Return CPUID.(0xD,0):EBX, 0 without XSAVE; add IA32_XSS and IA32_XFD to `control`."""
        if not control["cr4"] & CR4_OSXSAVE:
            return 0
        site = self._sites.cpuid
        size = cpu.execute(site, {"rax": _XSAVE_LEAF, "rcx": 0})["rbx"] & _LOW
        has = cpu.execute(site, {"rax": _XSAVE_LEAF, "rcx": 1})["rax"]
        for name, bit, number in (("ia32_xss", _HAS_XSS, _XSS), ("ia32_xfd", _HAS_XFD, _XFD)):
            if has & bit:
                control[name] = self._msr(cpu, number)
        return size

    def _image(self, cpu: HeldCpu, save: Save, fpu: int) -> bytes:
        """Return the image that the CPU saves to that of the task, whose old bytes are put back."""
        address = self.model.image_address(fpu)
        mask, size = self.model.saved_features(address), self.model.image_size(address)
        before = self._target.read_memory(address, size)
        place = {save.base: address - save.offset, "rax": mask & _LOW, "rdx": mask >> 32}
        with unless_lost(lambda: self._put_back(address, before)):
            cpu.execute(save.site, place)
            return self._target.read_memory(address, size)

    def _put_back(self, address: int, before: bytes) -> None:
        try:
            now = self._target.read_memory(address, len(before))
            for at in range(0, len(before), _PIECE):
                piece = before[at : at + _PIECE]
                if now[at : at + _PIECE] != piece:
                    self._target.write_memory(address + at, piece)
            same = self._target.read_memory(address, len(before)) == before
        except GdbFpuError as error:
            raise LostKernel(f"the image at {address:#x} cannot be put back ({error})") from error
        if not same:
            raise LostKernel(f"the image at {address:#x} cannot be put back")
