# SPDX-License-Identifier: GPL-2.0-or-later
"""A CPU that is asked over KGDB for its registers, by a real GDB, and a stub that lies."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from gdb_harness import Compiler, Output, gdb, started
from kgdb_stub import CPUID, IF, PLAYER, TF, KgdbStub, new_image, old_image

LOST = "do not continue this kernel, restart the machine"
WELL = ". The kernel is as it was, and can go on"
CR0, CR4, EFER, LEAF_0, LEAF_1, SAVE = range(1, 7)  # the steps, in their order
CODES = ["0f20c7", "0f20e3", "0f32", "0fa2", "0fa2", "480fae37"]
WAITS, HELD, SELF = 1, 4, 0x10  # exception_state: DCPU_WANT_MASTER, DCPU_IS_SLAVE, another bit
STATE = "fpu-state --from-cpu"


@pytest.fixture
def program(compiler: Compiler) -> Path:
    return compiler(source="kgdb44.c")


@pytest.fixture
def stub_of(program: Path, tmp_path: Path) -> Callable[..., KgdbStub]:
    return lambda **more: KgdbStub(program, tmp_path / "stub", **more)


def asked(stub: KgdbStub, *commands: str, file: Path | None = None) -> list[str]:
    """Return what each command says."""
    before = (f"file {file or stub.file}", f"target remote {stub.path}", "source gdbfpu")
    return gdb(*before, *commands).parts[len(before) : -1]


def registers(part: str) -> dict[str, tuple[str, str]]:
    """Return the bytes and the source of each register of `fpu-state --format json`."""
    found = json.loads(part)["registers"]
    return {name: (one["bytes"], one["source"]) for name, one in found.items()}


def truth(part: str) -> str:
    return next(line for line in part.splitlines() if line.startswith("truth "))[11:]


def ymm(image: bytes, number: int) -> str:
    low, high = 160 + 16 * number, 576 + 16 * number
    return (image[low : low + 16] + image[high : high + 16]).hex()


# --- as it should be


@pytest.mark.parametrize("short", [False, True])
def test_registers_of_the_cpu(stub_of: Callable[..., KgdbStub], short: bool) -> None:
    """The stub's `g` has 164 bytes, or 156."""
    with stub_of(short=short) as stub:
        before = stub.all()
        old, new, text = asked(stub, "fpu-state --format json", f"{STATE} --format json", STATE)
        assert stub.all() == before
    old, new = registers(old), registers(new)
    for n in range(16):
        assert old[f"ymm{n}"] == (ymm(old_image(), n), "memory")
        assert new[f"ymm{n}"] == (ymm(new_image(), n), "CPU")
    assert {source for _, source in new.values()} == {"CPU"}
    assert truth(text) == "live in CPU 0, which has now written them with XSAVEOPT"
    assert [step.code[: len(code)] for step, code in zip(stub.steps, CODES * 2)] == CODES * 2


@pytest.mark.parametrize(
    ("state", "meanwhile"), [(HELD, HELD), (WAITS, HELD), (SELF | 5, SELF | 4)]
)
def test_each_step_is_sound(stub_of: Callable[..., KgdbStub], state: int, meanwhile: int) -> None:
    """Interrupts and traps are off, KGDB keeps CPU 1, which waits as a slave."""
    with stub_of() as stub:
        stub.put(stub.state_of_1, state, 4)
        before = stub.all()
        asked(stub, STATE)
        assert stub.all() == before
    assert before[1]["eflags"] & IF
    assert len(stub.steps) == len(CODES)
    assert {step.eflags & (IF | TF) for step in stub.steps} == {0}
    assert {step.single_step for step in stub.steps} == {1}
    assert {step.other for step in stub.steps} == {meanwhile}


def test_what_info_shows_needs_no_image(stub_of: Callable[..., KgdbStub]) -> None:
    with stub_of() as stub:
        before = stub.all()
        (part,) = asked(stub, "fpu-info --from-cpu --format json")
        assert stub.all() == before
    found = {item: (one["value"], one["from"]) for item, one in json.loads(part).items()}
    assert found["CPU 0 CR0"] == ("TS 0, EM 0", "the CPU")
    assert found["CPU 0 CR4"] == ("0x3406f0", "the CPU")
    assert found["CPU 0 EFER"] == ("0xd01", "the CPU")
    assert found["CPU 0 CPUID.(0xD,0)"] == ("832 bytes for the components in XCR0", "the CPU")
    assert [item for item in found if "IA32" in item or item == "CPU 1 CR0"] == []
    assert len(stub.steps) == len(CODES) - 1


def test_msrs_of_a_cpu_that_has_them(stub_of: Callable[..., KgdbStub]) -> None:
    """CPUID.(0xD,1):EAX has bits for IA32_XSS and IA32_XFD."""
    with stub_of(cpuid={**CPUID, (0xD, 1): (0x19, 0, 0, 0)}) as stub:
        (part,) = asked(stub, "fpu-info --from-cpu --format json")
    found = {item: one["value"] for item, one in json.loads(part).items()}
    assert (found["CPU 0 IA32_XSS"], found["CPU 0 IA32_XFD"]) == ("0x800", "0x40000")


def test_ts_is_set(stub_of: Callable[..., KgdbStub]) -> None:
    """Then nothing is saved: it would make the task an FPU user."""
    with stub_of(cr0=0x8005003B) as stub:
        before = stub.all()
        state, info = asked(stub, STATE, "fpu-info --from-cpu --format json")
        assert stub.all() == before
    assert truth(state) == (
        "live in CPU 0, says the kernel, but CR0.TS is set: the CPU would raise #NM: "
        "these are the last saved values"
    )
    assert json.loads(info)["CPU 0 CR0"]["value"] == (
        "TS 1, EM 0; the kernel says something else: "
        "CR0.TS is set, but the task's registers count as loaded"
    )
    assert not [step for step in stub.steps if step.code == CODES[-1]]


def test_registers_that_are_not_the_tasks(stub_of: Callable[..., KgdbStub]) -> None:
    with stub_of(cr0=0x8005003B) as stub:
        stub.put(stub.area - 64 + 5, 0, 1)  # fpregs_active
        (state,) = asked(stub, STATE)
    said = "in memory: CPU 0 runs the task, but its registers are not loaded there"
    assert truth(state) == said
    assert not [step for step in stub.steps if step.code == CODES[-1]]


def test_the_audit(stub_of: Callable[..., KgdbStub]) -> None:
    with stub_of() as stub:
        before = stub.all()
        told, asks = asked(stub, "fpu-audit", "fpu-audit --from-cpu")
        assert stub.all() == before
    assert "MSR: CPU 0: XCR0, IA32_XSS, IA32_XFD and CR0.TS are in the CPU" in told
    assert "MSR" not in asks


def test_an_xcr0_that_is_not_the_kernels(stub_of: Callable[..., KgdbStub]) -> None:
    with stub_of(cpuid={**CPUID, (0xD, 0): (3, 576, 832, 0)}) as stub:
        (found,) = asked(stub, "fpu-audit --from-cpu")
    assert "error MSR: CPU 0, at " in found
    assert "XCR0 has components of 576 bytes" in found


def test_the_setting(stub_of: Callable[..., KgdbStub]) -> None:
    with stub_of() as stub:
        parts = asked(
            stub, "set fpu from-cpu on", "fpu-state", "fpu-state --raw",
            "with fpu from-cpu off -- fpu-state", "fpu-state --sigframe 0", "fpu-audit --map",
        )  # fmt: skip
    assert truth(parts[1]).startswith("live in CPU 0, which has now written them")
    assert truth(parts[3]).startswith("live in CPU 0, which this stub does not show")
    assert len(stub.steps) == len(CODES)


# --- refused before anything is written


def refused(stub: KgdbStub, *commands: str, file: Path | None = None) -> str:
    """Return the line of the last of `commands`, which failed and has written nothing."""
    before = stub.all()
    line = asked(stub, *commands, file=file)[-1]
    assert stub.all() == before
    assert stub.steps == []
    assert [packet for packet in stub.packets if packet[0] in "MX"] == []
    assert "\n" not in line
    return line


@pytest.mark.parametrize("state", [HELD, WAITS])
def test_another_thread_is_selected(stub_of: Callable[..., KgdbStub], state: int) -> None:
    """KGDB takes registers of the thread that stopped only."""
    with stub_of() as stub:
        stub.put(stub.state_of_1, state, 4)
        line = refused(stub, "thread 2", "fpu-info --from-cpu")
    assert line == (
        "fpu-info: select the thread where the kernel stopped first (the stub answers the "
        f"packet 'P11=00000000' with 'E22'){WELL}"
    )


@pytest.mark.parametrize("state", [0, 2])
def test_a_cpu_that_runs(stub_of: Callable[..., KgdbStub], state: int) -> None:
    with stub_of() as stub:
        stub.put(stub.state_of_1, state, 4)
        line = refused(stub, STATE)
    assert line == "fpu-state: KGDB does not hold CPU 1, which runs: try at another stop"


def test_a_file_without_the_table_of_exceptions(
    stub_of: Callable[..., KgdbStub], tmp_path: Path
) -> None:
    with stub_of() as stub:
        file = tmp_path / "vmlinux"
        command = ["objcopy", "--remove-section=__ex_table", str(stub.file), str(file)]
        subprocess.run(command, check=True, timeout=30)
        assert refused(stub, STATE, file=file) == (
            f"fpu-state: {file} has no .text or no __ex_table"
        )


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("0f20c7", "read of CR0"),
        ("0f20e3", "read of CR4"),
        ("0fa2", "CPUID"),
        ("0f32", "guarded RDMSR"),
    ],
)
def test_text_that_is_another_in_memory(
    stub_of: Callable[..., KgdbStub], code: str, what: str
) -> None:
    with stub_of() as stub:
        start = stub.at("instructions")
        place = start + stub.read(start, 24).index(bytes.fromhex(code))
        stub.write(place, b"\x90" * (len(code) // 2))
        assert refused(stub, STATE) == f"fpu-state: this kernel's text has no {what}"


def test_no_instruction_that_saves_the_registers(stub_of: Callable[..., KgdbStub]) -> None:
    with stub_of() as stub:
        start = stub.at("copy_fpstate_to_sigframe")
        place = start + stub.read(start, 24).index(bytes.fromhex(CODES[-1]))
        stub.write(place, b"\x90" * 4)
        line = refused(stub, STATE)
    said = "this kernel has no instruction that saves FPU registers as standard"
    assert line == f"fpu-state: {said}"


def test_a_gdb_that_cannot_send_packets(stub_of: Callable[..., KgdbStub]) -> None:
    """Before 12."""
    old = (
        "python import types, gdbfpu.dbg.packets as it; "
        "it.gdb = types.SimpleNamespace(error=gdb.error, selected_inferior="
        "lambda: types.SimpleNamespace(connection=object()))"
    )
    with stub_of() as stub:
        line = refused(stub, old, STATE)
    assert line == "fpu-state: this needs GDB 12 or newer, attached by `target remote`"


def test_a_dump_has_no_cpu_that_executes(kernel44: Path, tmp_path: Path) -> None:
    core = tmp_path / "core"
    gdb(*started(kernel44), f"generate-core-file {core}", "kill")
    output = gdb(f"file {kernel44}", f"core-file {core}", "source gdbfpu", "fpu-info --from-cpu")
    line = "fpu-info: only KGDB has the stopped CPU execute an instruction"
    assert output.parts[3] == line


def test_a_stub_that_shows_the_registers_itself_is_not_asked(kernel44: Path) -> None:
    output: Output = gdb(*started(kernel44), "fpu-info", "fpu-info --from-cpu")
    assert output.parts[4] == output.parts[5]


# --- not as expected


def failed(stub: KgdbStub, *commands: str) -> str:
    """Return what is said of a command that fails, on one line of its own."""
    line = asked(stub, *commands, STATE)[-1].removeprefix("Ignoring packet error, continuing...\n")
    assert line.startswith("fpu-state: ")
    assert "\n" not in line
    return line.removeprefix("fpu-state: ")


def after_the_step(stub: KgdbStub) -> list[str]:
    """Return the packets that write, since the last step."""
    last = len(stub.packets) - stub.packets[::-1].index("s")
    return [packet for packet in stub.packets[last:] if packet[0] in "MXPsc"]


@pytest.mark.parametrize(
    "reply",
    [
        "T05thread:0000001f;",  # another task's hit in place of the step
        "T05thread:fffffffd;",  # an idle CPU's
        f"T0bthread:{PLAYER:08x};",  # SIGSEGV
        "T05",
        "S05",
        "OK",
        "E01",
        "W00",
    ],
)
@pytest.mark.parametrize("step", [CR0, SAVE])
def test_another_stop_in_place_of_a_step(
    stub_of: Callable[..., KgdbStub], reply: str, step: int
) -> None:
    """Whose registers would be written now is not known: none are."""
    with stub_of(lies={step: lambda _: reply}) as stub:
        line = failed(stub)
        assert line == f"in place of a step, the stub answers '{reply}': {LOST}"
        assert len(stub.steps) == step
        assert after_the_step(stub) == []
        image = stub.read(stub.area, 832)
    assert image == (new_image() if step == SAVE else old_image())


def test_no_answer_to_a_step(stub_of: Callable[..., KgdbStub]) -> None:
    hurry = ("python import gdbfpu.dbg.packets as it; it._WAIT = 1", "set remotetimeout 1")
    with stub_of(lies={EFER: lambda _: ""}) as stub:
        line = failed(stub, *hurry)
        assert after_the_step(stub) == []
    assert line.startswith("a CPU does not come back from a step (no reply to the packet 's'")
    assert line.endswith(f"): {LOST}")


def fault(stub: KgdbStub) -> None:
    """The exception table has the CPU go on behind the instruction, or elsewhere."""
    stub.registers["rip"] = stub.at("fixup")


@pytest.mark.parametrize("step", [EFER, SAVE])
def test_a_fault(stub_of: Callable[..., KgdbStub], step: int) -> None:
    with stub_of(lies={step: fault}) as stub:
        stub.put(stub.state_of_1, WAITS, 4)
        before = stub.all()
        line = failed(stub)
        assert stub.all() == before
        place, size = stub.steps[-1].rip, {EFER: 2, SAVE: 4}[step]
        fixup = stub.at("fixup")
    said = f"after the instruction at {place:#x}, rip is {fixup:#x}, not {place + size:#x}"
    assert line == said + WELL
    assert len(stub.steps) == step


def test_a_fault_is_survived(stub_of: Callable[..., KgdbStub]) -> None:
    """The next command asks again."""
    with stub_of(lies={CR4: fault}) as stub:
        _, text = asked(stub, STATE, STATE)
    assert truth(text) == "live in CPU 0, which has now written them with XSAVEOPT"


def changed(name: str, stay: bool = False) -> Callable[[KgdbStub], None]:
    """Change register `name`; if it is to `stay`, it cannot be set any more."""

    def lie(stub: KgdbStub) -> None:
        stub.registers[name] += 0x40
        if stay:
            stub.stuck.add(name)

    return lie


@pytest.mark.parametrize("name", ["rbx", "r9", "rbp"])
def test_a_register_that_the_instruction_does_not_write(
    stub_of: Callable[..., KgdbStub], name: str
) -> None:
    with stub_of(lies={CR0: changed(name)}) as stub:
        before = stub.all()
        line = failed(stub)
        assert stub.all() == before
        place, value = stub.steps[-1].rip, before[1][name]
    said = f"after the instruction at {place:#x}, {name} is {value + 0x40:#x}, not {value:#x}"
    assert line == said + WELL


@pytest.mark.parametrize("name", ["rsp", "rbx", "eflags", "rip"])
def test_a_register_that_does_not_go_back(stub_of: Callable[..., KgdbStub], name: str) -> None:
    """KGDB says OK, and never sets rsp. All others are back, and so is memory."""
    with stub_of(lies={SAVE: changed(name, stay=True)}) as stub:
        stub.put(stub.state_of_1, WAITS, 4)
        before = stub.all()
        line = failed(stub)
        assert line == f"a CPU's {name} cannot be put back: {LOST}"
        memory, registers = stub.all()
        image = stub.read(stub.area, 832)
    assert {n for n, value in registers.items() if value != before[1][n]} == {name}
    assert image == old_image()
    assert memory != before[0]  # CPU 1 still waits as a slave: nothing runs


@pytest.mark.parametrize("refuses", [False, True])
def test_an_image_that_cannot_be_put_back(stub_of: Callable[..., KgdbStub], refuses: bool) -> None:
    with stub_of(refused=refuses) as stub:
        stub.lost = range(stub.area + 576, stub.area + 640)
        line = failed(stub)
        assert line.startswith(f"the image at {stub.area:#x} cannot be put back")
        assert ("(cannot " in line) is refuses
        assert line.endswith(f": {LOST}")
        assert len(stub.steps) == SAVE


def test_a_state_that_changed_meanwhile(stub_of: Callable[..., KgdbStub]) -> None:
    """CPU 1 is no slave any more."""
    with stub_of(lies={EFER: lambda stub: stub.put(stub.state_of_1, 2, 4)}) as stub:
        stub.put(stub.state_of_1, WAITS, 4)
        before = stub.all()
        line = failed(stub)
        assert line == f"a CPU's exception_state is 0x2, not 0x4: {LOST}"
        assert stub.all()[1] == before[1]
        assert stub.number(stub.state_of_1) == 2
        assert stub.read(stub.area, 832) == old_image()


@pytest.mark.parametrize("back", [False, True])
def test_a_state_that_cannot_be_written(stub_of: Callable[..., KgdbStub], back: bool) -> None:
    """As CPU 1 is made a slave nothing has been executed yet; at the end, it stays one."""
    with stub_of(refused=True) as stub:
        stub.put(stub.state_of_1, WAITS, 4)
        before = stub.all()
        place = range(stub.state_of_1, stub.state_of_1 + 1)
        if back:
            stub.lies = {SAVE: lambda stub: setattr(stub, "lost", place)}
        else:
            stub.lost = place
        line = failed(stub)
        if back:
            assert line.startswith("a CPU's exception_state cannot be put back (cannot ")
            assert line.endswith(f"): {LOST}")
            assert stub.all()[1] == before[1]
        else:
            assert line.endswith(WELL)
            assert stub.all() == before
            assert stub.steps == []


def test_text_that_changes_meanwhile(stub_of: Callable[..., KgdbStub]) -> None:
    """What the search has found is compared again before each step."""

    def patch(stub: KgdbStub) -> None:
        start = stub.at("instructions")
        place = start + stub.read(start, 24).index(bytes.fromhex(CODES[1]))
        stub.write(place, b"\xcc")

    with stub_of(lies={CR0: patch}) as stub:
        before = stub.all()
        line = failed(stub)
        assert stub.all()[1] == before[1]
    assert line.startswith("the kernel's text at 0x")
    assert line.endswith(f" has changed{WELL}")
    assert len(stub.steps) == CR0


def test_our_own_mistake_puts_everything_back(stub_of: Callable[..., KgdbStub]) -> None:
    broken = (
        "python import gdbfpu.dbg.ask_cpu as it; "
        "it.CpuQuestions._msr = lambda *_: {}['no such key']"
    )
    with stub_of() as stub:
        stub.put(stub.state_of_1, WAITS, 4)
        before = stub.all()
        line = failed(stub, broken)
        assert stub.all() == before
    assert line == "KeyError: 'no such key'"
