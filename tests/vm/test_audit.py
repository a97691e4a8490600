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

from qemu.kernels import Kernel
from qemu.vm import Machine
from tests.vm.gdbrun import GdbRun
from tests.vm.test_tracing import run_programs

Boot = Callable[..., Machine]
PROGRAMS = "ymmall 0 20 & ymmall 0 20 & audiod 0 20 & ia32sig 0 20 & intonly 0 20 & ptracer 0 5 &"

# Rules on a task, a CPU or the kernel, and the task that gets the defect: any kernel's.
INJECTED = {
    "STALE": "1",
    "XCOMP": "1",
    "SUPV": "1",
    "MXCSR": "1",
    "AMDFIP": "1",
    "INITBUF": "1",
    "OWNER": "current",
    "TWICE": "current",
    "KERNFPU": "current",
}
UNTIL_515 = {"PKRU0": "1"}
SINCE_516 = {"SIZE": "1", "PERM": "1", "AMXBUF": "1", "XFD3": "1", "GUEST": "1"}
OLDER = {"SANOFF": "1", "FLAGS": "1"}  # what no kernel that is booted here can have
COMPACTED = {"XCOMP2": "1"}  # nor QEMU's CPU


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
    assert (found["verdict"], found["findings"]) == ("clean", [])
    assert {one["rule"] for one in found["undecided"]} == {
        *("MSR", "MODOPT", "UABI", "CORE", "MICROARCH")
    }
    assert f"{len(audits) + 1} audits: 0 findings" in output
    assert all(line.endswith(" ok") for lines in announced.values() for line in lines)


def test_frames_are_read_over_kgdb(
    machine: Boot, initrd: Path, kernel: Kernel, tmp_path: Path
) -> None:
    """KGDB of 5.8 on refuses user memory: the frames come through the tasks' page tables."""
    guest = machine(initrd)
    guest.run(PROGRAMS, 10.0)
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
    machine: Boot, initrd: Path, kernel: Kernel, tmp_path: Path
) -> None:
    guest = machine(initrd)
    guest.run(PROGRAMS, 10.0)
    symbols = kernel.vmlinux.with_name("System.map").read_text()
    wanted, refused = dict(INJECTED), {**OLDER, **COMPACTED}
    (wanted if " fpu_kernel_cfg\n" in symbols else refused).update(SINCE_516)
    (wanted if " init_pkru_value\n" in symbols else refused).update(UNTIL_515)
    commands = ["source gdbfpu", "tbreak copy_fpstate_to_sigframe if $fpu_live($fpu_task())"]
    commands += ["continue", "pipe fpu-state --raw | cat > before"]
    for rule, task in {**wanted, **refused}.items():
        options = f"--laboratory --inject {rule} --reveal --format json --out {rule}"
        commands.append(f"fpu-audit {options} {task}")
    commands += ["fpu-audit --inject STALE 1", "fpu-audit --all --format json --out clean"]
    commands += ["pipe fpu-state --raw | cat > after", "detach"]
    with GdbRun(kernel, guest.gdbstub, commands, tmp_path) as gdb:
        output = gdb.finish()
    for rule in wanted:
        found = audit_of(tmp_path / rule)
        assert {finding["rule"] for finding in found["findings"]} == {rule}, (rule, found)
        assert found["verdict"] == ("notes" if rule == "STALE" else "findings")
    for rule in refused:
        assert not (tmp_path / rule).exists(), rule
    assert output.count("fpu-audit: cannot plant this defect here: ") == len(refused)
    assert "fpu-audit: --inject writes to the running kernel's memory: on a laboratory" in output
    check_stale(audit_of(tmp_path / "STALE"))
    assert audit_of(tmp_path / "clean")["findings"] == []
    assert (tmp_path / "before").read_text() == (tmp_path / "after").read_text() != ""
    assert guest.run("echo alive", 10.0).split() == ["alive"]


def check_stale(found: dict[str, Any]) -> None:
    (finding,) = found["findings"]
    assert (finding["component"], finding["pid"], finding["severity"]) == ("AVX", 1, "note")
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
points = re.findall(r"fpu-trace: (\\w+) at (0x[0-9a-f]+), on `(\\w+)", said)

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
        if not planted.count("STALE"):
            xsave = int(gdb.parse_and_eval("&((struct fpu *)$rdi)->state.xsave"))
            header = bytes(gdb.selected_inferior().read_memory(xsave + 512, 1))[0]
            poke(xsave + 512, header & ~4)
            gdb.selected_inferior().write_memory(xsave + 576, b"\\x5a" * 256)
            planted.append("STALE")
        return False

for function, address, instruction in points:
    ends = instruction in ("ret", "jmp")
    if function == "copy_fpstate_to_sigframe":
        (Exit if ends else Entry)("*" + address)
    elif function == "fpstate_sanitize_xstate" and not ends:
        Sanitize("*" + address)
end
"""
END, START = "end", "start"
FRAMES = [
    ("FRAMESTALE", "ymmall", START, 512, 0x1B),  # AVX's bit of XSTATE_BV
    ("FRAME", "ymmall", END, -4, 0),  # FP_XSTATE_MAGIC2
    ("FRAMEPAST", "ymmall", END, 9, None),
    ("FRAMEDIFF", "audiod", START, 160 + 16 * 12, None),  # XMM12
    ("FRAME", "audiod", START, 480, 0),  # xstate_size
    ("FRAME32", "ia32sig", START, 112 + 464, 0),  # FP_XSTATE_MAGIC1
    ("FRAME", "intonly", START, 527, 0x80),  # XCOMP_BV[63]
    ("SUPV", "ymmall", START, 513, 0x0A),  # CET_U's bit, beside PKRU's
]


def test_what_is_planted_inside_a_function_is_found(
    machine: Boot, initrd: Path, kernel: Kernel, tmp_path: Path
) -> None:
    guest = machine(initrd, smp=1)
    guest.run(PROGRAMS, 10.0)
    (tmp_path / "planter.gdb").write_text(PLANTER.format(frames=FRAMES))
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
    sanitizer = "fpstate_sanitize_xstate" in {hit["function"] for hit in hits}
    assert Counter(planted.split()) == Counter(
        [frame[0] for frame in FRAMES] + ["STALE"] * sanitizer
    )
    assert found == [{rule} for rule in planted.split() if rule != "STALE"]
    if sanitizer:
        check_cleaned(hits, audits, output)


def check_cleaned(hits: list[dict[str, Any]], audits: list[dict[str, Any]], output: str) -> None:
    cleaned = [audit for audit in audits if audit["cleaned"]]
    assert [(audit["cleaned"], audit["left"]) for audit in cleaned] == [({"AVX": 256}, {})]
    (hit,) = [hit for hit in hits if hit["seq"] == cleaned[0]["of"]]
    assert (hit["comm"], hit["xfeatures"]) == ("ptracer", "0x213")
    assert f"made clean for ptracer (pid {hit['pid']}): AVX 256 bytes" in output


def test_a_header_that_cve_2017_15537_needs_is_refused(
    machine: Boot, initrd: Path, kernel: Kernel, tmp_path: Path
) -> None:
    """The kernel refuses it in both ways, and the audits agree that it is nowhere."""
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
        guest.run("badxcomp > /tmp/said & until grep -q guest: /tmp/said; do sleep 0.1; done", 60.0)
        gdb.interrupt()
        gdb.finish()
    said = guest.run("cat /tmp/said", 10.0)
    assert re.search(r"guest: badxcomp pid=\d+ child=\d+ sigreturn=1 ptrace=1 ok", said), said
    frame = audit_of(tmp_path / "frame")
    assert [finding["rule"] for finding in frame["findings"]] == ["FRAME"]
    assert "xcomp_bv is 0x8000000000000007" in frame["findings"][0]["read"]
    audit = audit_of(tmp_path / "audit")
    assert (audit["verdict"], audit["findings"]) == ("clean", [])
    _, audits = lines_of(tmp_path / "events")
    assert [each for each in audits if each["findings"]] == []
