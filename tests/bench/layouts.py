# SPDX-License-Identifier: GPL-2.0-or-later
"""The layouts of a full-size vmlinux, cold and cached, and what `source gdbfpu` costs.

Cold is a new process without the cache of layouts; the file itself is in the page cache for all.
The rivals are asked for the same types, and GDB, which takes long, for struct fpu alone. gdbfpu is
run from a copy, in which Python may keep its byte code as it does for a person.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qemu.gdbs import gdb_program
from qemu.kernels import obtain

_ROOT = Path(__file__).resolve().parents[2]
_KERNEL = "debian-5.10"  # BENCH_VMLINUX=PATH in the environment takes another
_DEADLINE = 300.0  # seconds for one program
_RUNS, _GDB_RUNS = 9, 2
_OURS, _SLOW = "gdbfpu layout", "GDB ptype struct fpu"
# A child's peak begins with that of the process that started it: this one has a few MB only.
_METER = """
import os, resource, sys, time
null = os.open(os.devnull, os.O_RDWR)
begun = time.perf_counter()
child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ,
    file_actions=[(os.POSIX_SPAWN_DUP2, null, stream) for stream in range(3)])
status = os.waitpid(child, 0)[1]
seconds = time.perf_counter() - begun
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6
print(seconds, peak)
sys.exit(os.waitstatus_to_exitcode(status))
"""
_DRGN = """
import sys, drgn
program = drgn.Program()
program.extra_module("vmlinux", create=True).try_file(sys.argv[1], force=True)
for name in sys.argv[2:]:
    kind = program.type(("union " if name == "fpregs_state" else "struct ") + name)
    print(name, kind.size, [(m.name, m.bit_offset) for m in kind.members])
"""
# What a command needs of layouts, from the file's name on, imports and all.
_IN_GDB = """python
import time
begun = time.perf_counter()
from functools import partial
from pathlib import Path
from gdbfpu.layouts import elf
from gdbfpu.layouts.sources import from_file
from gdbfpu.commands.model import question
file = Path({file!r})
from_file(file, question(elf.build_id(file)), partial(elf.symbol_addresses, file))
print(time.perf_counter() - begun)
end
"""


def rows(quick: bool = False) -> list[dict[str, Any]]:
    """Measure; return a row each for time and memory, cold, the cache, and `source gdbfpu`.

    With `quick`, everything once, and without what takes GDB long.
    """
    runs = 1 if quick else _RUNS
    vmlinux = Path(os.environ.get("BENCH_VMLINUX") or obtain(_KERNEL).vmlinux)
    with tempfile.TemporaryDirectory(prefix="gdbfpu-") as folder:
        place = _Place(Path(folder))
        bare, unkept = place.loading(runs, PYTHONDONTWRITEBYTECODE="1")
        bare, loaded = place.loading(runs)
        seconds, peaks = place.cold(vmlinux, runs, 0 if quick else _GDB_RUNS)
        cached = [place.in_gdb(vmlinux) for _ in range(runs + 1)][1:]
    size = f"of {vmlinux.stat().st_size / 1e6:.0f} MB"
    cold = "GDBFPU_CACHE=off python -m gdbfpu layout VMLINUX"
    note = f"GDB: {_GDB_RUNS} runs" if _SLOW in seconds else ""
    in_ms = {name: 1000 * time for name, time in seconds.items() if name.startswith("pahole")}
    in_gdb = "gdb -ex 'source gdbfpu' -ex 'python ... from_file(vmlinux, ...)'"
    source = "gdb -nx -batch -ex 'directory scripts' -ex 'source gdbfpu'"
    slow = f"without byte code of gdbfpu's {1000 * (unkept - bare):.0f} ms"
    return [
        _row(f"layouts from a vmlinux {size}, cold", "s", seconds, "0.5", cold, runs, note),
        _row(f"layouts from a vmlinux {size}, peak memory", "MB", peaks, "350", cold, runs, note),
        _row("layouts cached by build-id, inside GDB", "ms",
            {_OURS: 1000 * statistics.median(cached), **in_ms}, "20", in_gdb, runs,
            "with the imports it needs; pahole: a process"),
        _row("`source gdbfpu`, over GDB's own start", "ms",
            {_OURS: 1000 * (loaded - bare), "GDB's own start": 1000 * bare}, "60", source, runs,
            slow),
    ]  # fmt: skip


def _row(
    what: str, unit: str, found: Mapping[str, float], reach: str, command: str, runs: int, note: str
) -> dict[str, Any]:
    return {
        "what": what,
        "ours": found[_OURS],
        "unit": unit,
        "rivals": {name: value for name, value in found.items() if name != _OURS},
        "reach": f"at most {reach} {unit}",
        "command": command,
        "runs": runs,
        "note": note,
    }


class _Place:
    """A copy of gdbfpu in `folder`, with caches of its own but for the dependencies."""

    def __init__(self, folder: Path) -> None:
        self._home = folder / "checkout"
        for name in ("gdbfpu", "scripts"):
            leave = shutil.ignore_patterns("__pycache__")
            shutil.copytree(_ROOT / name, self._home / name, ignore=leave)
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        (folder / "gdbfpu").mkdir()
        (folder / "gdbfpu" / "venv").symlink_to(cache / "gdbfpu" / "venv")
        left_out = ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "GDBFPU_CACHE")
        kept = {name: value for name, value in os.environ.items() if name not in left_out}
        self._environment = {**kept, "XDG_CACHE_HOME": str(folder)}
        self._gdb = [gdb_program(), "-nx", "-batch", "-iex", f"directory {self._home / 'scripts'}"]

    def loading(self, runs: int, **more: str) -> tuple[float, float]:
        """Return the median seconds of a GDB that does nothing and of one that loads gdbfpu."""
        found: dict[bool, list[float]] = {False: [], True: []}
        for number in range(runs + 1):
            for loads, times in found.items():
                argv = [*self._gdb, *(["-ex", "source gdbfpu"] if loads else [])]
                times += [self._metered(argv, **more)[0]] if number else []
        return statistics.median(found[False]), statistics.median(found[True])

    def cold(
        self, vmlinux: Path, runs: int, slow_runs: int
    ) -> tuple[dict[str, float], dict[str, float]]:
        """Return the median seconds and MB of all contenders, which take turns."""
        measured: dict[str, list[tuple[float, float]]] = defaultdict(list)
        contenders = self._contenders(vmlinux)
        for number in range(runs + 1):  # the first fills the page cache and Python's byte code
            for name, argv in contenders.items():
                if name != _SLOW or number < slow_runs:
                    both = self._metered(argv, GDBFPU_CACHE="off")
                    measured[name] += [both] if number or name == _SLOW else []
        medians = {name: [*map(statistics.median, zip(*m))] for name, m in measured.items()}
        return {n: m[0] for n, m in medians.items()}, {n: m[1] for n, m in medians.items()}

    def _contenders(self, vmlinux: Path) -> dict[str, list[str]]:
        """Return the command lines of all, which ask for the types that gdbfpu finds."""
        ours = [sys.executable, "-m", "gdbfpu", "layout", str(vmlinux)]
        shown = self._run([*ours, "--format", "json"], GDBFPU_CACHE="off")
        names = [struct["name"] for struct in json.loads(shown)["structs"]]
        return {
            _OURS: ours,
            "pahole, BTF": ["pahole", "-F", "btf", "-C", ",".join(names), str(vmlinux)],
            "pahole, DWARF": ["pahole", "-F", "dwarf", "-C", ",".join(names), str(vmlinux)],
            "drgn": [sys.executable, "-c", _DRGN, str(vmlinux), *names],
            _SLOW: [gdb_program(), "-nx", "-batch", "-ex", "ptype struct fpu", str(vmlinux)],
        }

    def in_gdb(self, vmlinux: Path) -> float:
        """Return the seconds GDB's Python takes for layouts; the first time fills the cache."""
        script = self._home / "read.gdb"
        script.write_text(_IN_GDB.format(file=str(vmlinux)))
        shown = self._run([*self._gdb, "-ex", "source gdbfpu", "-x", str(script)])
        return float(shown)

    def _metered(self, argv: Sequence[str], **more: str) -> tuple[float, float]:
        """Return the seconds and the MB of a program."""
        seconds, peak = self._run([sys.executable, "-S", "-c", _METER, *argv], **more).split()
        return float(seconds), float(peak)

    def _run(self, argv: Sequence[str], **more: str) -> str:
        """Return what a program prints; end it, and what it started, at the deadline."""
        with subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            cwd=self._home,
            env={**self._environment, **more},
            start_new_session=True,
        ) as process:
            try:
                output, _ = process.communicate(timeout=_DEADLINE)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, list(argv), output)
        return output


if __name__ == "__main__":
    print(json.dumps(rows(), indent=1))
