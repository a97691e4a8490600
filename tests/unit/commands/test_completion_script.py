# SPDX-License-Identifier: GPL-2.0-or-later
"""The completion of real shells: a person types the start of a word, TAB and RETURN.

The command itself is replaced by one that shows the words it is called with.
"""

import os
import subprocess
import sys
import time

import pexpect
import pytest

DEADLINE = 30.0
TAB_SECONDS = 0.15
READY = "ready> "

SHELLS = {
    "bash": (
        ["bash", "--norc", "--noprofile", "-i"],
        "PS1='{ready}'; bind 'set enable-bracketed-paste off'; source {script}",
        "gdbfpu() {{ printf '<%s>' \"$@\"; echo; }}",
    ),
    "zsh": (
        ["zsh", "-f", "-i"],
        "PS1='{ready}'; unsetopt zle_bracketed_paste prompt_sp; fpath=({folder} $fpath); "
        "autoload -U compinit; compinit -u -D",
        "gdbfpu() {{ printf '<%s>' \"$@\"; echo; }}",
    ),
    "fish": (
        ["fish", "--no-config", "-i"],
        "function fish_prompt; printf '{ready}'; end; source {script}",
        "function gdbfpu; printf '<%s>' $argv; echo; end",
    ),
}


class Shell:
    """A shell that has read the script, in a folder with one file, `hits.jsonl`."""

    def __init__(self, name, folder):
        (folder / "home").mkdir()
        (folder / "files").mkdir()
        (folder / "files/hits.jsonl").touch()
        script = folder / "_gdbfpu"
        command = [sys.executable, "-m", "gdbfpu", "completion", name]
        script.write_bytes(subprocess.run(command, capture_output=True, check=True).stdout)
        argv, setup, function = SHELLS[name]
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder / "home"), "TERM": "dumb",
                       "LC_ALL": "C.UTF-8"}  # fmt: skip
        self.process = pexpect.spawn(
            argv[0], argv[1:], env=environment, cwd=folder / "files", timeout=DEADLINE,
            encoding="utf-8", dimensions=(24, 200),
        )  # fmt: skip
        self.process.delaybeforesend = None
        places = {"ready": READY, "script": script, "folder": folder}
        for line in (setup, function):
            self.process.sendline(line.format(**places))
        self.call("done", tab="")

    def call(self, words, tab="\t"):
        """Return the words with which `gdbfpu` is called after TAB and RETURN."""
        self.process.send(f"gdbfpu {words}{tab}")
        self.process.send("\r")
        self.process.expect(r"\n(<[^\r\n]*>)\r")
        return self.process.match[1].strip("<>").split("><")


@pytest.fixture(scope="module", params=SHELLS)
def shell(request, tmp_path_factory):
    made = Shell(request.param, tmp_path_factory.mktemp(request.param))
    yield made
    made.process.close(force=True)


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("dec", ["decode"]),
        ("uninst", ["uninstall-gdb"]),
        ("export --to perf", ["export", "--to", "perfetto"]),
        ("export --comp", ["export", "--component"]),
        ("report --component BNDR", ["report", "--component", "BNDREGS"]),
        ("report --probe copy_fpstate", ["report", "--probe", "copy_fpstate_to_sigframe"]),
        ("decode --format js", ["decode", "--format", "json"]),
        ("audit --core hi", ["audit", "--core", "hits.jsonl"]),
        ("report hi", ["report", "hits.jsonl"]),
        ("compare hits.jsonl hi", ["compare", "hits.jsonl", "hits.jsonl"]),
        ("report hits.jsonl --pid 1 hi", ["report", "hits.jsonl", "--pid", "1", "hits.jsonl"]),
        ("export --pid 1 --pi", ["export", "--pid", "1", "--pid"]),
        ("state cur", ["state", "cur"]),  # a dump has no selected thread
        ("completion zs", ["completion", "zsh"]),
    ],
)
def test_words_are_completed(shell, words, completed):
    assert shell.call(words) == completed


def test_it_is_fast(shell):
    """The best of some: other programs may have the processor."""
    seconds = []
    for _ in range(5):
        start = time.monotonic()
        shell.call("export --to perf")
        seconds.append(time.monotonic() - start)
    assert min(seconds) < TAB_SECONDS


def test_a_missing_package_is_named():
    hide = "import sys; sys.modules['shtab'] = None; import gdbfpu.cli as c; sys.exit(c.main())"
    done = subprocess.run(
        [sys.executable, "-c", hide, "completion", "bash"], env=os.environ, capture_output=True
    )
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"gdbfpu: the Python package shtab is missing")
