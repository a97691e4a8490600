# SPDX-License-Identifier: GPL-2.0-or-later
"""The audit of a booted kernel: each planted defect is found and named, and nothing else ever is.

Under TCG a CPU never leaves a component out of the header by itself, so defects are planted: by
`--inject`, which only a machine called a laboratory takes, by writes of this test's own through
GDB while the kernel is inside a function, and by a program in the guest.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qemu.kernels import Kernel
from qemu.vm import Machine
from tests.vm.gdbrun import GdbRun
from tests.vm.oracle import enabled, features, runnable, switching, vendor
from tests.vm.test_tracing import run_programs

Boot = Callable[..., Machine]
PROGRAMS = ("ymmall", "ymmall", "audiod", "ia32sig", "intonly", "ptracer")
PKRU = 9  # the number of that component

# Rules on a task, a CPU or the kernel, and the task that gets the defect: any kernel's.
INJECTED = {
    "MXCSR": "1",
    "INITBUF": "1",
    "OWNER": "current",
    "TWICE": "current",
}
HEADER = {"STALE": "1", "XCOMP": "1", "SUPV": "1"}  # those on an XSAVE header
AMD = {"AMDFIP": "1"}  # those on AMD's CPUs, whose saves leave the x87 pointers
UNTIL_515 = {"PKRU0": "1"}
UNTIL_51 = {"FLAGS": "1"}  # those on flags of struct fpu
SINCE_52 = {"KERNFPU": "current"}  # those on TIF_NEED_FPU_LOAD
SINCE_516 = {"SIZE": "1", "PERM": "1", "AMXBUF": "1", "XFD3": "1", "GUEST": "1"}
OLDER = {"SANOFF": "1"}  # what no kernel that is booted here can have
COMPACTED = {"XCOMP2": "1"}  # nor QEMU's CPU


LEAKS = {
    "mds": "mds",
    "gather_data_sampling": "gds",
    "reg_file_data_sampling": "rfds",
    "tsa": "tsa",
}
"""What /sys calls a leak from inside the CPU, and what the kernel calls the bug."""


def leaks(machine: Machine) -> dict[str, str]:
    """Return what the kernel's /sys says of each of LEAKS that it knows, by the bug's name."""
    folder = "/sys/devices/system/cpu/vulnerabilities"
    said = machine.run(f"cd {folder}; grep -sH . {' '.join(LEAKS)}", 20.0)
    lines = (line.split(":", 1) for line in said.splitlines())
    return {LEAKS[name]: text.split(";")[0].strip() for name, text in lines if name in LEAKS}


def inherent(machine: Machine) -> set[str]:
    """Return the rules that find something on the untouched machine: what its CPU leaks."""
    lazy = switching(machine) == "lazy" and vendor(machine) == "GenuineIntel"
    leaky = any(text.startswith("Vulnerable") for text in leaks(machine).values())
    return {rule for rule, there in (("LAZYFP", lazy), ("MICROARCH", leaky)) if there}


def start_programs(machine: Machine) -> None:
    """Start those of PROGRAMS that the CPU runs, without end."""
    for name in runnable(PROGRAMS, features(machine)):
        machine.run(f"{name} 0 {5 if name == 'ptracer' else 20} > /dev/null &", 10.0)


def lines_of(path: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the hits of an event file and the audits of their calls."""
    _, *lines = (json.loads(line) for line in path.read_text().splitlines())
    lines = [e for e in lines if "use_of" not in e]
    return [e for e in lines if "of" not in e], [e for e in lines if "of" in e]


def audit_of(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_no_finding_on_an_untouched_kernel(
    machine: Boot, initrd: Path, kernel: Kernel, tmp_path: Path
) -> None:
    guest = machine(initrd)
    commands = [
        "source gdbfpu",
        f"fpu-trace on --audit --quiet --out {tmp_path}/events",
        "echo READY\\n",
        "continue",
        f"fpu-audit --all --format json --out {tmp_path}/audit",
        "fpu-report",
        "fpu-trace off",
        "detach",
    ]
    with GdbRun(kernel, guest.gdbstub, commands, tmp_path) as gdb:
        gdb.wait_for("READY")
        announced = run_programs(guest)
        gdb.interrupt()
        output = gdb.finish()
    hits, audits = lines_of(tmp_path / "events")
    assert len(hits) > 1000
    frames = [hit["seq"] for hit in hits if hit["function"] == "copy_fpstate_to_sigframe"]
    cleaner = [hit["seq"] for hit in hits if hit["function"] == "fpstate_sanitize_xstate"]
    assert sorted(audit["of"] for audit in audits) == sorted(frames + cleaner)
    assert [audit for audit in audits if audit["findings"]] == []
    # A page behind a frame may not be there yet.
    unknown = [text for audit in audits for text in audit["undecided"]]
    assert len(unknown) < 10
    assert {text.split(":")[0] for text in unknown} <= {"FRAMEPAST"}
    assert [audit for audit in audits if audit["cleaned"] or audit["left"]] == []
    found = audit_of(tmp_path / "audit")
    assert {finding["rule"] for finding in found["findings"]} <= inherent(guest)
    assert found["verdict"] == ("findings" if found["findings"] else "clean")
    told = {one["rule"] for one in found["undecided"]}
    assert {"MSR", "MODOPT", "CORE"} <= told <= {"MSR", "MODOPT", "CORE", "UABI", "MICROARCH"}
    count = len(found["findings"])
    told = f"{count} finding{'s' * (count != 1)}" if count else "no findings"
    assert f"{told} in {len(audits) + 1} audits" in output
    assert all(line.endswith(" ok") for lines in announced.values() for line in lines)


@pytest.mark.parametrize("sort", ["Skylake-Client", "EPYC"])
def test_leaks_are_those_of_sys(
    machine: Boot, initrd: Path, kernel: Kernel, tmp_path: Path, sort: str
) -> None:
    """The other side is what the kernel says to its own users."""
    guest = machine(initrd, cpu=sort)
    known = leaks(guest)
    commands = ["source gdbfpu", f"fpu-audit --all --format json --out {tmp_path}/audit", "detach"]
    with GdbRun(kernel, guest.gdbstub, commands, tmp_path) as gdb:
        gdb.finish()
    found = audit_of(tmp_path / "audit")
    told = {one["read"] for one in found["findings"] if one["rule"] == "MICROARCH"}
    assert told == {f"{bug}: {text}" for bug, text in known.items() if text[:10] == "Vulnerable"}
    assert bool(told) == (sort == "Skylake-Client" and "mds" in known)
    unsure = " ".join(one["why"] for one in found["undecided"] if one["rule"] == "MICROARCH")
    assert ("FP-DSS" in unsure) == (sort == "EPYC")  # a Zen 1
    assert ("does not know MDS" in unsure) == (sort == "Skylake-Client" and "mds" not in known)
    for text in known.values():
        assert (f"`{text}`" in unsure) == text.startswith("Unknown"), text


def test_frames_are_read_over_kgdb(
    machine: Boot, initrd: Path, kernel: Kernel, tmp_path: Path
) -> None:
    """KGDB of 5.8 on refuses user memory: the frames come through the tasks' page tables."""
    guest = machine(initrd)
    start_programs(guest)
    guest.break_in()
    commands = [
        "source gdbfpu",
        f"fpu-trace on --audit --quiet --limit 16 --out {tmp_path}/events",
        "continue",
        "detach",
    ]
    with GdbRun(kernel, guest.kgdb, commands, tmp_path) as gdb:
        output = gdb.finish()
    assert "not audited" not in output
    hits, audits = lines_of(tmp_path / "events")
    assert len(hits) == 16
    assert len(audits) >= 10  # calls are under way at the end, sleeping ones too
    assert [audit for audit in audits if audit["findings"]] == []
    live = {hit["seq"] for hit in hits if hit["live"]}
    for audit in audits:
        unshown = audit["of"] in live and audit["function"] == "copy_fpstate_to_sigframe"
        said = {text.split(":")[0] for text in audit["undecided"]}
        assert said - {"FRAMEPAST"} == ({"FRAMEDIFF"} if unshown else set()), audit
    assert guest.run("echo alive", 10.0).split() == ["alive"]
    guest.check()


def test_each_injected_defect_is_found_alone(
    machine: Boot,
    initrd: Path,
    kernel: Kernel,
    symbols: dict[str, int],
    cpu: str,
    tmp_path: Path,
) -> None:
    guest = machine(initrd, cpu=cpu)
    start_programs(guest)
    xsave, pkru = "xsave" in features(guest), enabled(guest) >> PKRU & 1
    wanted, refused = dict(INJECTED), {**OLDER, **COMPACTED}
    (wanted if xsave else refused).update(HEADER)
    (wanted if vendor(guest) == "AuthenticAMD" else refused).update(AMD)
    since_52 = "switch_fpu_return" in symbols
    (wanted if since_52 else refused).update(SINCE_52)
    (refused if since_52 else wanted).update(UNTIL_51)
    (wanted if "fpu_kernel_cfg" in symbols else refused).update(SINCE_516)
    (wanted if pkru and "init_pkru_value" in symbols else refused).update(UNTIL_515)
    commands = ["source gdbfpu", "tbreak copy_fpstate_to_sigframe if $fpu_live($fpu_task())"]
    commands += ["continue", "pipe fpu-state --raw | cat > before"]
    for rule, task in {**wanted, **refused}.items():
        options = f"--laboratory --inject {rule} --reveal --format json --out {rule}"
        commands.append(f"fpu-audit {options} {task}")
    commands += ["fpu-audit --inject MXCSR 1", "fpu-audit --all --format json --out clean"]
    commands += ["pipe fpu-state --raw | cat > after", "detach"]
    with GdbRun(kernel, guest.gdbstub, commands, tmp_path) as gdb:
        output = gdb.finish()
    always = inherent(guest)
    for rule in wanted:
        found = audit_of(tmp_path / rule)
        # Whom the second CPU ran seems not to run any more, and its flags may say that it does.
        ignored = always | (set(UNTIL_51) if rule == "TWICE" else set())
        rules = {finding["rule"] for finding in found["findings"]}
        assert rules - (ignored - {rule}) == {rule}, (rule, found)
        note = rule == "STALE" and cleans_xstate(symbols)
        assert found["verdict"] == ("notes" if note else "findings")
    for rule in refused:
        assert not (tmp_path / rule).exists(), rule
    assert output.count("fpu-audit: cannot plant this defect here: ") == len(refused)
    assert "fpu-audit: --inject writes to the running kernel's memory: add --laboratory" in output
    if xsave:
        check_stale(audit_of(tmp_path / "STALE"), "note" if cleans_xstate(symbols) else "error")
    clean = audit_of(tmp_path / "clean")["findings"]
    assert {finding["rule"] for finding in clean} <= always
    assert (tmp_path / "before").read_text() == (tmp_path / "after").read_text() != ""
    assert guest.run("echo alive", 10.0).split() == ["alive"]


def cleans_xstate(symbols: dict[str, int]) -> bool:
    """Return whether xstateregs_get cleans what it copies: 4.8 on, with a size for user space."""
    since_48 = {"fpu_user_xstate_size", "copy_xstate_to_uabi_buf", "fpu_user_cfg"}
    return not since_48.isdisjoint(symbols)


def check_stale(found: dict[str, Any], severity: str) -> None:
    (finding,) = found["findings"]
    assert (finding["component"], finding["pid"], finding["severity"]) == ("AVX", 1, severity)
    assert finding["read"].startswith("256 of 256 bytes are not initial, from byte 576;")
    assert finding["evidence"] == "a55ac33c" * 64


# Writes of the test's own at the ends of both functions, before gdbfpu looks: its breakpoints are
# older. `FRAMES` are (rule, task, offset from `place`, byte or None for one to be flipped).
PLANTER = """python
import re
FRAMES = {frames!r}
place, planted = {{}}, []
said = gdb.execute("fpu-trace on --audit", to_string=True)
gdb.execute("fpu-trace off", to_string=True)
points = re.findall(r"fpu-trace: (\\w+) at (0x[0-9a-f]+), on `\\w+", said)

def poke(address, value):
    memory = gdb.selected_inferior()
    old = bytes(memory.read_memory(address, 1))[0]
    memory.write_memory(address, bytes([old ^ 0xff if value is None else value]))

class Entry(gdb.Breakpoint):
    def stop(self):
        place[0] = [int(gdb.parse_and_eval("$" + name)) & (1 << 64) - 1 for name in ("rdi", "rdx")]
        return False

class Exit(gdb.Breakpoint):
    def stop(self):
        comm = gdb.parse_and_eval("$fpu_task()->comm").string()
        if FRAMES and 0 in place and FRAMES[0][1] == comm:
            rule, _, where, offset, value = FRAMES.pop(0)
            start, size = place[0]
            poke(start + offset + (size if where == "end" else 0), value)
            planted.append(rule)
        return False

class Sanitize(gdb.Breakpoint):
    def stop(self):
        comm = gdb.parse_and_eval("$fpu_task()->comm").string()
        if comm == "ptracer" and not planted.count("STALE"):
            xsave = int(gdb.parse_and_eval("&((struct fpu *)$rdi)->state.xsave"))
            header = bytes(gdb.selected_inferior().read_memory(xsave + 512, 1))[0]
            poke(xsave + 512, header & ~4)
            gdb.selected_inferior().write_memory(xsave + 576, b"\\x5a" * 256)
            planted.append("STALE")
        return False

for function, address in points:
    first = min(int(place, 16) for name, place in points if name == function)
    ends = int(address, 16) != first
    if function == "copy_fpstate_to_sigframe":
        (Exit if ends else Entry)("*" + address)
    elif function == "fpstate_sanitize_xstate" and not ends:
        Sanitize("*" + address)
end
"""
END, START = "end", "start"
AVX, BNDREGS = 4, 8  # bits of XSTATE_BV; TCG sets all others in each save
FRAMES = [
    ("FRAMESTALE", "ymmall", START, 512, lambda mask: mask & 0xFF & ~AVX),
    ("FRAME", "ymmall", END, -4, 0),  # FP_XSTATE_MAGIC2
    ("FRAMEPAST", "ymmall", END, 9, None),
    ("FRAMEDIFF", "audiod", START, 160 + 16 * 12, None),  # XMM12
    ("FRAME", "audiod", START, 480, 0),  # xstate_size
    ("FRAME32", "ia32sig", START, 112 + 464, 0),  # FP_XSTATE_MAGIC1
    ("FRAME", "intonly", START, 527, 0x80),  # XCOMP_BV[63]
    ("SUPV", "ymmall", START, 513, lambda mask: mask >> 8 & 0xFF | 8),  # CET_U's bit
]
LEGACY_FRAMES = [("FRAMEDIFF", "audiod", START, 160 + 16 * 12, None)]  # all that has no header


def frames_of(machine: Machine) -> list[tuple[str, str, str, int, int | None]]:
    """Return what to plant, with values that the kernel's components make harmless otherwise."""
    mask = enabled(machine)
    lazy = switching(machine) == "lazy"
    rows = FRAMES if mask else LEGACY_FRAMES
    rows = [row for row in rows if not (lazy and row[1] == "intonly")]  # it has no frame there
    return [(*row[:4], row[4](mask) if callable(row[4]) else row[4]) for row in rows]


def test_what_is_planted_inside_a_function_is_found(
    machine: Boot, initrd: Path, kernel: Kernel, cpu: str, tmp_path: Path
) -> None:
    guest = machine(initrd, smp=1, cpu=cpu)
    start_programs(guest)
    frames = frames_of(guest)
    (tmp_path / "planter.gdb").write_text(PLANTER.format(frames=frames))
    commands = [
        "source gdbfpu",
        f"source {tmp_path}/planter.gdb",
        f"fpu-trace on --audit --quiet --limit 120 --out {tmp_path}/events",
        "continue",
        "python print('PLANTED', *planted)",
        "fpu-report",
        "detach",
    ]
    with GdbRun(kernel, guest.gdbstub, commands, tmp_path) as gdb:
        output = gdb.finish()
    (planted,) = re.findall(r"^PLANTED (.*)$", output, re.MULTILINE)
    hits, audits = lines_of(tmp_path / "events")
    found = [{f["rule"] for f in audit["findings"]} for audit in audits if audit["findings"]]
    sanitizer = ("fpstate_sanitize_xstate", "ptracer") in {
        (hit["function"], hit["comm"]) for hit in hits
    }
    assert Counter(planted.split()) == Counter(
        [frame[0] for frame in frames] + ["STALE"] * sanitizer
    )
    left = {"SANITIZE"}
    wanted = [{rule} for rule in planted.split() if rule != "STALE"]
    # A frame that lost AVX's bit is not what memory had, either, if memory had the registers.
    assert [
        rules - {"FRAMEDIFF"} if "FRAMESTALE" in rules else rules
        for rules in found
        if rules != left
    ] == wanted
    works = "xsaveopt" in features(guest)  # else the sanitizer returns at once
    assert (left in found) is (sanitizer and not works)
    if sanitizer:
        check_cleaned(hits, audits, output, works=works)


def check_cleaned(
    hits: list[dict[str, Any]], audits: list[dict[str, Any]], output: str, *, works: bool
) -> None:
    stale = [audit for audit in audits if audit["cleaned"] or audit["left"]]
    assert len(stale) == 1 or not works  # what is left is found by each call
    audit = stale[0]
    assert audit["cleaned" if works else "left"] == {"AVX": 256}
    (hit,) = [hit for hit in hits if hit["seq"] == audit["of"]]
    assert not int(hit["xfeatures"], 16) & AVX
    told = f"made clean for {hit['comm']} (pid {hit['pid']}): AVX 256 bytes"
    assert (told in output) is works


BAD_XCOMP = "xcomp_bv is 0x8000000000000007"
SAID = r"guest: badxcomp pid=(\d+) child=(\d+) sigreturn=1 ptrace=([01]) ok"


def run_badxcomp(guest: Machine) -> tuple[int, bool]:
    """Run badxcomp, which then sleeps; return its stopped child, and whether it has the header."""
    guest.run("badxcomp > /tmp/said & until grep -q guest: /tmp/said; do sleep 0.1; done", 60.0)
    said = guest.run("cat /tmp/said", 10.0)
    match = re.search(SAID, said)
    assert match, said
    return int(match[2]), match[3] == "0"


def check_child(audit: dict[str, Any], child: int, *, taken: bool) -> None:
    """Check that the audit names the child where the kernel took the header, and nothing else."""
    named = [(f["rule"], f["pid"], f["severity"]) for f in audit["findings"]]
    assert named == [("XCOMP", child, "error")] * taken
    assert audit["verdict"] == ("findings" if taken else "clean")
    assert [f for f in audit["findings"] if BAD_XCOMP not in f["read"]] == []


def test_a_header_that_cve_2017_15537_needs_is_seen_in_a_frame(
    machine: Boot, initrd: Path, kernel: Kernel, tmp_path: Path
) -> None:
    """Sigreturn refuses it: it is in that frame, and where ptrace may have put it."""
    guest = machine(initrd)
    commands = [
        "source gdbfpu",
        'break fpu__restore_sig if $_streq((char *)$fpu_task()->comm, "badxcomp")',
        "echo READY\\n",
        "continue",
        f"fpu-audit --sigframe --format json --out {tmp_path}/frame",
        "delete",
        f"fpu-trace on --audit --quiet --probe fpu__restore_sig --out {tmp_path}/events",
        "continue",
        f"fpu-audit --all --format json --out {tmp_path}/audit",
        "detach",
    ]
    with GdbRun(kernel, guest.gdbstub, commands, tmp_path) as gdb:
        gdb.wait_for("READY")
        child, taken = run_badxcomp(guest)
        gdb.interrupt()
        gdb.finish()
    frame = audit_of(tmp_path / "frame")
    assert [finding["rule"] for finding in frame["findings"]] == ["FRAME"]
    assert BAD_XCOMP in frame["findings"][0]["read"]
    check_child(audit_of(tmp_path / "audit"), child, taken=taken)
    _, audits = lines_of(tmp_path / "events")
    assert [each for each in audits if each["findings"]] == []


@pytest.mark.parametrize("stub", ["kgdb", "qemu"])
def test_the_task_that_has_such_a_header_is_named(
    machine: Boot, initrd: Path, kernel: Kernel, cpu: str, stub: str, tmp_path: Path
) -> None:
    """Where ptrace takes the header (before 814fb7bb7db5) the audit finds it in that very task."""
    guest = machine(initrd, cpu=cpu)
    if "badxcomp" not in runnable(["badxcomp"], features(guest)):  # no header, and no way to one
        said = guest.run("badxcomp", 20.0)
        assert said == "guest: badxcomp failed: PTRACE_GETREGSET\n"
        return
    child, taken = run_badxcomp(guest)
    if stub == "kgdb":
        guest.break_in()
    socket = guest.kgdb if stub == "kgdb" else guest.gdbstub
    asked = f"fpu-audit --all --format json --out {tmp_path}/audit"
    with GdbRun(kernel, socket, ["source gdbfpu", asked, "detach"], tmp_path) as gdb:
        gdb.finish()
    check_child(audit_of(tmp_path / "audit"), child, taken=taken)
    assert guest.run("echo alive", 10.0).split() == ["alive"]
    guest.check()
