# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a function may be broken into, held to this machine's assembler and to its CPU."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gdbfpu.probes.resume import Resume, choose

ADDRESS = 0x100000000000  # nothing else is mapped within the reach of a direct jump
REGISTERS = [
    *("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp"),
    *("r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"),
]
ARGUMENTS = ("rdi", "rsi", "rdx")
SOURCE = Path(__file__).parents[2] / "data" / "cpu" / "execute.c"


def no_load(address, size):
    raise AssertionError(f"nothing is to be loaded, and {address:#x} is asked for")


class Cpu:
    """This machine's CPU, executing single instructions (tests/data/cpu/execute.c)."""

    def __init__(self, program: Path):
        self.process = subprocess.Popen(
            [program, f"{ADDRESS:x}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )  # its own alarm ends an execution that takes ten seconds, and the read below with it

    def execute(self, code: bytes, registers: dict[str, int], flags: int = 0):
        """Return rip, RFLAGS and the registers afterwards; rip is None after a signal."""
        values = " ".join(f"{registers[name]:x}" for name in REGISTERS)
        self.process.stdin.write(f"{code.hex()} {flags:x} {values}\n")
        self.process.stdin.flush()
        rip, after, *rest = self.process.stdout.readline().split()
        return (
            None if rip == "signal" else int(rip, 16),
            int(after, 16),
            dict(zip(REGISTERS, (int(value, 16) for value in rest), strict=True)),
        )


@pytest.fixture(scope="module")
def cpu(tmp_path_factory):
    program = tmp_path_factory.mktemp("cpu") / "execute"
    subprocess.run(["gcc", "-O1", "-pie", "-fPIE", "-o", program, SOURCE], check=True, timeout=60)
    cpu = Cpu(program)
    yield cpu
    cpu.process.stdin.close()
    assert cpu.process.wait(timeout=10) == 0
    cpu.process.stdout.close()


@pytest.fixture(scope="module")
def assemble(tmp_path_factory):
    """Return a function from lines of assembly to the bytes of each, made by `as`."""
    folder = tmp_path_factory.mktemp("as")

    def assemble(*lines: str) -> list[bytes]:
        marks = [f"m{i}: {line}" for i, line in enumerate(lines)]
        lengths = [f".quad m{i + 1} - m{i}" for i in range(len(lines))]
        source = [".data", *lengths, ".text", *marks, f"m{len(lines)}:", ""]
        (folder / "a.s").write_text("\n".join(source))
        subprocess.run(["as", "-o", "a.o", "a.s"], cwd=folder, check=True, timeout=60)
        for section in ("text", "data"):
            subprocess.run(
                ["objcopy", "-O", "binary", "-j", f".{section}", "a.o", section],
                cwd=folder,
                check=True,
                timeout=60,
            )
        text, data = ((folder / name).read_bytes() for name in ("text", "data"))
        codes, at = [], 0
        for i in range(0, len(data), 8):
            length = int.from_bytes(data[i : i + 8], "little")
            codes.append(text[at : at + length])
            at += length
        return codes

    return assemble


U64 = st.one_of(
    st.integers(0, (1 << 64) - 1),
    st.sampled_from([0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 63, (1 << 64) - 1]),
)
STATES = st.lists(U64, min_size=16, max_size=16).map(
    lambda values: dict(zip(REGISTERS, values, strict=True))
)
FLAGS = st.integers(0, 0xFFFF).map(lambda value: value & 0xCD5)
SLOW = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def assert_is_what_the_cpu_does(cpu, resume, code, registers, flags):
    written = resume.effect(registers.__getitem__, no_load)
    assert list(written)[-1] == "rip"
    assert len(written) == resume.writes
    rip, after, values = cpu.execute(code, registers, flags)
    assert {**registers, **written} == {**values, "rip": rip}, resume.text
    assert after == flags, resume.text


def test_the_cpu_harness_itself(cpu):
    registers = dict.fromkeys(REGISTERS, 5)
    assert cpu.execute(b"\x48\x01\xd8", registers) == (
        ADDRESS + 3,
        4,  # 10 has two bits set: PF
        {**registers, "rax": 10},
    )
    assert cpu.execute(b"\x90", registers, 0x8D5)[1] == 0x8D5
    assert cpu.execute(b"\x8b\x00", registers)[0] is None
    assert cpu.execute(b"\xeb\x10", registers)[0] == ADDRESS + 0x12
    assert cpu.execute(b"\xe9\0\0\0\x70", registers)[0] == ADDRESS + 0x70000005


CHOSEN = (
    ("nop", 1),
    ("endbr64", 1),
    (".byte 0x66, 0x90", 1),
    (".byte 0x66, 0x66, 0x90", 1),
    (".byte 0x0f, 0x1f, 0x44, 0, 0", 1),
    (".byte 0x66, 0x66, 0x66, 0x66, 0x90", 1),
    ("nopw %cs:0x200(%rax,%rax,1)", 1),
    ("jmp . + 2", 1),
    ("jmp . + 0x1000", 1),
    ("mov %rsp, %rbp", 2),
    ("mov %rdi, %r12", 2),
    ("mov %r9, %rax", 2),
    ("mov %edi, %ebx", 2),
    ("mov %r8d, %r15d", 2),
    ("movslq %edx, %rdx", 2),
    ("movslq %r10d, %r13", 2),
    ("mov $1, %eax", 2),
    ("mov $-1, %rax", 2),
    ("mov $0x80000000, %ecx", 2),
    ("lea 8(%rsp), %r10", 2),
    ("lea -0x40(%rdi,%rsi,4), %rax", 2),
    ("lea (,%r9,8), %r11", 2),
    ("lea 0x1234(%rip), %rdx", 2),
    ("lea -0x7fffffff(%rsp,%rbp,2), %eax", 2),
    ("lea 0(%rdi,%rdi), %edi", 2),
)


@pytest.fixture(scope="module")
def chosen_codes(assemble):
    codes = assemble(*(line for line, _ in CHOSEN))
    return {line: code for (line, _), code in zip(CHOSEN, codes, strict=True)}


@pytest.mark.parametrize(("line", "writes"), CHOSEN)
@settings(SLOW, max_examples=10)
@given(registers=STATES, flags=FLAGS)
def test_supported_instruction_has_the_cpus_effect(
    cpu, chosen_codes, line, writes, registers, flags
):
    code = chosen_codes[line]
    resume = choose(code, ADDRESS, ARGUMENTS)
    assert resume is not None
    assert (resume.address, resume.writes) == (ADDRESS, writes)
    assert_is_what_the_cpu_does(cpu, resume, code, registers, flags)


PREFIXES = (0x66, 0x67, 0xF2, 0xF3, 0x2E, 0x3E, 0x64, 0x65, 0xF0, *range(0x40, 0x50))
OPCODES = (
    *(bytes([x]) for x in b"\x89\x8b\x8d\x63\xc7\xc6\x88\x8a\x86\x87\xeb\xe9"),
    *(bytes([x]) for x in range(0x90, 0xC0)),
    *(bytes([0x0F, x]) for x in range(0x0D, 0x20)),
)
VALUES = (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 63, (1 << 64) - 1)


def random_instruction(rng):
    prefixes = bytes(rng.choices(PREFIXES, k=rng.choice((0, 0, 0, 1, 1, 2, 3))))
    return prefixes + rng.choice(OPCODES) + rng.randbytes(10)


def random_registers(rng):
    return {
        name: rng.choice(VALUES) if rng.random() < 0.5 else rng.getrandbits(64)
        for name in REGISTERS
    }


def first_chosen(code):
    """Return what is chosen of the first instruction alone, and that instruction's bytes."""
    if choose(code, ADDRESS, ()) is None:
        return None, b""
    for length in range(1, len(code) + 1):
        found = choose(code[:length], ADDRESS, ())
        if found is not None:
            return (found if found.address == ADDRESS else None), code[:length]
    raise AssertionError(f"{code.hex()} is chosen only with what follows it")


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_chosen_has_the_cpus_effect(cpu, seed):
    rng = random.Random(seed)
    tried = 0
    for _ in range(700):
        resume, code = first_chosen(random_instruction(rng))
        if resume is not None:
            tried += 1
            flags = rng.getrandbits(16) & 0xCD5
            assert_is_what_the_cpu_does(cpu, resume, code, random_registers(rng), flags)
    assert tried > 50


@pytest.mark.parametrize(
    "code",
    [
        "63c1",  # movslq %ecx,%eax: clears the upper half
        "678d0425ffffffff",  # addr32 lea 0xffffffff,%eax
        "67488d0425ffffffff",
        "48b88877665544332211",  # movabs
    ],
)
def test_rare_encodings_are_refused_or_right(cpu, code):
    code = bytes.fromhex(code)
    resume, _ = first_chosen(code)
    if resume is not None:
        registers = dict.fromkeys(REGISTERS, 0xFFFFFFFFFFFFFFFF)
        assert_is_what_the_cpu_does(cpu, resume, code, registers, 0)


REFUSED = (
    "push %rbp",
    "pop %rbp",
    "xor %eax, %eax",
    "add $8, %rdi",
    "sub $0x10, %rsp",
    "and $-16, %rsp",
    "inc %eax",
    "lea 8(%rsp), %rsp",
    "lea 8(%rsp), %esp",
    "mov %rbp, %rsp",
    "mov $0, %esp",
    "leave",
    "mov 8(%rdi), %rax",
    "mov %rdi, 8(%rsp)",
    "movl $1, (%rdi)",
    "mov %ax, %bx",
    "mov %al, %bl",
    "mov %ah, %bl",
    "mov $1, %ax",
    "mov $1, %al",
    "movzbl %dl, %edx",
    "movsbq %dl, %rdx",
    "movswl %dx, %eax",
    "movslq (%rdi), %rax",
    "lea 4(%rdi), %ax",
    "lea 4(%edi), %rax",
    "lea 4(%edi), %eax",
    "lea 4(%eip), %rax",
    "addr32 lea 0x12345678, %rax",
    "xchg %rax, %r8",
    "xchg %eax, %r8d",
    "xchg %eax, %ebx",
    ".byte 0x87, 0xc0",  # xchg %eax,%eax, which clears the upper half
    "xchg %eax, -0x70(%rax)",  # ends in 0x90
    "xchg %edx, -0x6f6f6f70(%rax)",  # ends in 0x90 four times
    "pause",
    "mov %fs, %eax",
    "mov %cr0, %rax",
    "mov %rax, %cr0",
    "rdsspq %rax",
    "cmovne %rdi, %rax",
    "call . + 5",
    "ret",
    "int3",
    "ud2",
    "hlt",
    "jmp *%rax",
    "jmp *(%rax)",
    "jmp *8(%rip)",
    "je . + 2",
    "loop . + 2",
    "jrcxz . + 2",
    "jmp .",
    ".byte 0x66, 0xeb, 0",  # AMD's CPUs cut rip to 16 bits, Intel's do not
    ".byte 0x66, 0xe9, 0, 0",
    ".byte 0xf0, 0x90",
    ".byte 0xf0, 0x48, 0x89, 0xe5",
    ".byte 0xf0, 0xf2, 0x90",
    "cld",
    "syscall",
    "movq %rdi, %xmm0",
    "fninit",
)


def test_what_must_not_be_chosen(assemble):
    codes = assemble(*REFUSED)
    chosen = [
        line
        for line, code in zip(REFUSED, codes, strict=True)
        if choose(code, ADDRESS, ()) is not None
    ]
    assert chosen == []


# --- the choice within a function


def place(code, arguments=ARGUMENTS):
    resume = choose(bytes.fromhex(code), ADDRESS, arguments)
    return resume and (resume.address - ADDRESS, resume.next_pc - ADDRESS)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        # push %rbp; mov %rsp,%rbp; push %r15; push %r14
        ("554889e541574156", (1, 4)),
        # the same behind ftrace's nop, after the kernel turned the call to fentry off
        ("0f1f440000554889e5", (0, 5)),
        ("6666666690554889e5", (0, 5)),
        ("666690554889e5", (0, 3)),
        ("f30f1efa554889e5", (0, 4)),
        # without a frame pointer: push %r13; movslq %edx,%rdx
        ("41554863d2", (2, 5)),
        # push %rbp; mov %rsp,%rbp; nop: one write beats two
        ("554889e590", (4, 5)),
        # mov %rsp,%rbp; mov %rdi,%rbx: the first of equals
        ("4889e54889fb", (0, 3)),
        ("9090", (0, 1)),
        # push %rbp; jmp: where it leads is where the CPU goes on
        ("55eb0a", (1, 13)),
        ("55e900010000", (1, 0x106)),
        # sub $8,%rsp; xor %eax,%eax; ret
        ("4883ec0831c0c3", None),
        ("", None),
        ("0f", None),
    ],
)
def test_place_in_a_prologue(code, expected):
    assert place(code) == expected


@pytest.mark.parametrize(
    "line",
    [
        "xor %edi, %edi",
        "mov $1, %dil",
        "mov $1, %si",
        "mov $1, %dh",
        "add $1, %rdx",
        "pop %rdi",
        "rep stosb",
        "lodsb",
        "rdtsc",
        "cqto",
        "mul %rax",
        "cpuid",
        "xchg %rax, %rdi",
        "xadd %rdi, %rax",
        "bswap %edi",
        "cmovne %eax, %esi",
        "call . + 5",
        "ret",
        "jne . + 2",
        "jmp *%rax",
        "loop . + 2",
        "jrcxz . + 2",
        "int3",
        "ud2",
        "iretq",
        "syscall",
        "sysretq",
    ],
)
def test_no_place_after_an_argument_is_gone_or_control_may_go_elsewhere(assemble, line):
    (code,) = assemble(line)
    assert choose(code + b"\x90", ADDRESS, ARGUMENTS) is None
    before = choose(b"\x90" + code, ADDRESS, ARGUMENTS)
    assert before is not None
    assert before.address == ADDRESS


def test_only_the_functions_own_arguments_count():
    assert place("31ff90", ("rdi",)) is None  # xor %edi,%edi; nop
    assert place("31ff90", ("rsi", "rdx")) == (2, 3)
    assert place("31ff90", ()) == (2, 3)
    assert place("4531c090", ("r8",)) is None  # xor %r8d,%r8d
    assert place("41b00190", ("r8",)) is None  # mov $1,%r8b
    assert place("41b00190", ("r9",)) == (3, 4)


def test_an_instruction_that_overwrites_an_argument_may_itself_be_the_place():
    # movslq %edx,%rdx; nop: at the first the arguments still stand, at the second not
    assert place("4863d290") == (0, 3)
    assert place("31c0bf0100000090") == (2, 7)  # xor %eax,%eax; mov $1,%edi; nop


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        # a loop to the place itself
        (["1: nop", "dec %eax", "jne 1b"], None),
        # a loop to before it passes it again
        (["push %rax", "1: dec %eax", "nop", "jne 1b"], None),
        (["1: dec %eax", "mov %rsp, %rbp", "dec %eax", "jne 1b"], None),
        (["1: dec %eax", "nop", "loop 1b"], None),
        (["1: dec %eax", "nop", "jrcxz 1b"], None),
        (["1: dec %eax", "nop", "test %eax, %eax", "je 2f", "jmp 1b", "2: ret"], None),
        # a loop that begins after it does not
        (["mov %rsp, %rbp", "1: nop", "dec %eax", "jne 1b"], 0),
        (["nop", "1: dec %eax", "jne 1b"], 0),
        # a jump to another function does not either
        (["nop", "dec %eax", "jne . - 0x100"], 0),
        (["nop", "dec %eax", "jne . + 0x100"], 0),
    ],
)
def test_a_place_is_passed_once_a_call(assemble, lines, expected):
    resume = choose(b"".join(assemble(*lines)), ADDRESS, ARGUMENTS)
    assert (resume and resume.address - ADDRESS) == expected


# --- Resume itself


def test_effect_of_a_place_without_a_register():
    resume = Resume(address=16, next_pc=20, text="endbr64")
    assert resume.effect({}.__getitem__, no_load) == {"rip": 20}
    assert resume.writes == 1


def test_effect_is_cut_and_extended():
    def effect(**fields):
        resume = Resume(0, 4, "", register="rax", **fields)
        return resume.effect({"rdi": 0xFFFFFFFF80000001, "rsi": 3}.__getitem__, no_load)["rax"]

    assert effect(inputs=(("rdi", 1),)) == 0xFFFFFFFF80000001
    assert effect(inputs=(("rdi", 1),), bits=32) == 0x80000001
    assert effect(inputs=(("rdi", 1),), bits=32, signed=True) == 0xFFFFFFFF80000001
    assert effect(inputs=(("rsi", 1),), bits=32, signed=True) == 3
    assert effect(inputs=(("rdi", 1), ("rsi", 4)), constant=-14) == 0xFFFFFFFF7FFFFFFF
    assert effect(constant=-1, bits=32) == 0xFFFFFFFF
    assert effect(constant=-1) == 0xFFFFFFFFFFFFFFFF


# --- per-CPU variables


@pytest.mark.parametrize(
    ("code", "register", "address", "size"),
    [
        ("65488b0c25c0ab0100", "rcx", 0x1ABC0, 8),  # mov %gs:0x1abc0,%rcx
        ("654c8b3c25c0ab0100", "r15", 0x1ABC0, 8),  # mov %gs:0x1abc0,%r15
        ("65448b055b8aff7e", "r8", ADDRESS + 8 + 0x7EFF8A5B, 4),  # mov %gs:0x7eff8a5b(%rip),%r8d
    ],
)
def test_a_per_cpu_load_is_taken_from_memory(code, register, address, size):
    resume = choose(bytes.fromhex(code) + b"\xc3", ADDRESS, ("rdi",))
    asked = []

    def load(at, count):
        asked.append((at, count))
        return 0x1122334455667788 & ((1 << 8 * count) - 1)

    base = 0xFFFF88801F200000
    written = resume.effect({"gs_base": base}.__getitem__, load)
    assert asked == [((base + address) % (1 << 64), size)]
    value = 0x1122334455667788 if size == 8 else 0x55667788
    assert written == {register: value, "rip": ADDRESS + len(code) // 2}


@pytest.mark.parametrize(
    "code",
    [
        "488b0c25c0ab0100",  # mov 0x1abc0,%rcx: not per CPU
        "64488b0c25c0ab0100",  # mov %fs:0x1abc0,%rcx
        "65488b4810",  # mov %gs:0x10(%rax),%rcx
        "6548030c25c0ab0100",  # add %gs:0x1abc0,%rcx
        "658a0c25c0ab0100",  # mov %gs:0x1abc0,%cl
        "6548890c25c0ab0100",  # mov %rcx,%gs:0x1abc0
    ],
)
def test_no_other_load_is_chosen(code):
    assert choose(bytes.fromhex(code) + b"\xc3", ADDRESS, ("rdi",)) is None


def test_a_load_costs_as_much_as_a_write():
    load, move, nop = bytes.fromhex("65488b0c25c0ab0100"), b"\x48\x89\xd8", b"\x90"
    assert choose(load + move + b"\xc3", ADDRESS, ()).address == ADDRESS + 9
    assert choose(load + nop + b"\xc3", ADDRESS, ()).address == ADDRESS + 9
