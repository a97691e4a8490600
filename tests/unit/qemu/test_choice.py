# SPDX-License-Identifier: GPL-2.0-or-later
"""Which kernel is used, and which instead if it is not available."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from kernel_tree import url

from qemu import catalogue, choice, kernels, ready
from qemu.catalogue import Entry
from qemu.errors import GivenError, SetupError

_ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def pair(entry, monkeypatch, tmp_path) -> Path:
    """A built kernel whose two files the environment gives."""
    kernel = kernels.obtain_entry(entry)
    monkeypatch.setenv("VMLINUX", str(kernel.vmlinux))
    monkeypatch.setenv("BZIMAGE", str(kernel.bzimage))
    return kernel.vmlinux.parent


def test_given_pair_is_the_preferred_kernel(pair, capsys):
    assert choice.kernel_name() == "kgdb-4.4"
    said = "kernel: kgdb-4.4, because kgdb-4.4 is given by VMLINUX and BZIMAGE\n"
    assert capsys.readouterr().err == said
    kernel = kernels.obtain("kgdb-4.4")
    assert (kernel.vmlinux, kernel.bzimage) == (pair / "vmlinux", pair / "bzImage")
    assert kernel.version == "9.8.7"


def test_given_pair_stands_for_the_named_kernel_and_no_other(pair, monkeypatch):
    monkeypatch.setenv("KERNEL", "of-my-own")
    assert kernels.obtain("of-my-own").vmlinux == pair / "vmlinux"
    with pytest.raises(SetupError, match="no kernel is called 'another'"):
        kernels.obtain("another")


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("VMLINUX", "", "VMLINUX is not set: give both VMLINUX=PATH and BZIMAGE=PATH"),
        ("BZIMAGE", "", "BZIMAGE is not set: give both VMLINUX=PATH and BZIMAGE=PATH"),
        ("VMLINUX", "/nowhere/vmlinux", "VMLINUX: there is no file /nowhere/vmlinux"),
        ("BZIMAGE", "/nowhere/bzImage", "BZIMAGE: there is no file /nowhere/bzImage"),
    ],
)
def test_half_a_pair_is_one_clear_line(pair, monkeypatch, capsys, variable, value, message):
    monkeypatch.setenv(variable, value)
    assert ready.main([]) == 1
    assert capsys.readouterr().err == f"kernel: {message}\n"
    with pytest.raises(SetupError) as error:
        kernels.obtain("kgdb-4.4")
    assert str(error.value) == message


def test_pair_whose_image_is_no_kernel_is_refused(pair, monkeypatch, tmp_path):
    other = tmp_path / "other"
    other.write_bytes(bytes(4096))
    monkeypatch.setenv("BZIMAGE", str(other))
    with pytest.raises(GivenError, match="other is not a bzImage"):
        kernels.obtain("kgdb-4.4")


@pytest.fixture
def preferred(entry, monkeypatch) -> Callable[[Entry], None]:
    """A function that puts an entry in the place of the catalogue's kgdb-4.4."""

    def put(entry: Entry) -> None:
        whole = {**catalogue.load(), "kgdb-4.4": replace(entry, name="kgdb-4.4")}
        monkeypatch.setattr(choice, "load", lambda: whole)

    return put


def _choice(capsys) -> tuple[str, str]:
    name = choice.kernel_name()
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.startswith(f"kernel: {name}, because kgdb-4.4 ")
    return name, said.removeprefix(f"kernel: {name}, because kgdb-4.4 ").rstrip()


def test_named_kernel_is_used_without_a_word(monkeypatch, capsys):
    monkeypatch.setenv("KERNEL", "kgdb-5.10")
    assert choice.kernel_name() == "kgdb-5.10"
    assert capsys.readouterr().err == ""


def test_network_that_answers_offers_the_preferred_kernel(entry, server, preferred, capsys):
    preferred(replace(entry, directory=url(server, "pub")))
    assert _choice(capsys) == ("kgdb-4.4", "can be downloaded")


def test_network_that_does_not_answer_leaves_the_fallback(entry, server, preferred, capsys):
    preferred(replace(entry, directory=url(server, "pub"), file="absent.tar.xz"))
    name, reason = _choice(capsys)
    assert name == "kgdb-5.10"
    assert reason.startswith("is not available (http://127.0.0.1:")
    assert reason.endswith("absent.tar.xz: HTTP Error 404: Not Found)")


def test_silent_network_is_waited_for_a_few_seconds_only(entry, preferred, capsys, monkeypatch):
    monkeypatch.setattr(choice, "_ANSWER", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        preferred(replace(entry, directory=f"http://127.0.0.1:{silent.getsockname()[1]}/"))
        started = time.monotonic()
        name, reason = _choice(capsys)
        assert time.monotonic() - started < 3
    assert name == "kgdb-5.10"
    assert "is not available" in reason


def test_tarball_at_hand_is_built_without_the_network(entry, preferred, capsys, monkeypatch):
    preferred(replace(entry, directory="http://127.0.0.1:1/"))
    path = Path(entry.directory, entry.file)
    monkeypatch.setenv("KERNEL_TARBALL", str(path))
    assert _choice(capsys) == ("kgdb-4.4", f"is built from {path}")


def test_cached_kernel_needs_neither(entry, preferred, capsys):
    local = replace(entry, name="kgdb-4.4")
    kernels.obtain_entry(local)
    preferred(local)
    assert _choice(capsys) == ("kgdb-4.4", "is in the cache")


def test_proxy_of_the_environment_is_used(entry, server, preferred, capsys, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.delenv("no_proxy", raising=False)
    remote = replace(entry, directory="http://kernel.invalid/pub")
    preferred(remote)
    assert _choice(capsys) == ("kgdb-4.4", "can be downloaded")
    assert kernels.obtain_entry(remote).version == "9.8.7"
    assert server.requests == ["http://kernel.invalid/pub/linux-9.8.7.tar.xz"] * 2


class _Attempts:
    """Raises for each kernel the next of the errors, and takes the one after."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.names: list[str] = []

    def __call__(self, name: str) -> str:
        self.names.append(name)
        if self.errors:
            raise self.errors.pop(0)
        return name


def _first_that(attempts: _Attempts, capsys) -> tuple[str, list[str]]:
    """What came of the attempts, and what was said after the line on the kernel to use."""
    found = choice.first_that(attempts)
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("kernel: kgdb-4.4, because kgdb-4.4 ")
    return found, said[1:]


def test_kernel_that_works_is_the_only_one_tried(entry, preferred, capsys):
    preferred(entry)
    attempts = _Attempts()
    assert _first_that(attempts, capsys) == ("kgdb-4.4", [])
    assert attempts.names == ["kgdb-4.4"]


def test_next_kernel_with_kgdb_is_tried_and_one_line_says_why(entry, preferred, capsys):
    preferred(entry)
    attempts = _Attempts(SetupError("no, the log is L"), SetupError("not this"))
    found, said = _first_that(attempts, capsys)
    assert found == "kgdb-6.1"
    assert attempts.names == ["kgdb-4.4", "kgdb-5.10", "kgdb-6.1"]
    assert said == [
        "kernel: using kgdb-5.10 instead: no, the log is L",
        "kernel: using kgdb-6.1 instead: not this",
    ]


def test_where_none_works_the_last_error_is_raised(entry, preferred):
    preferred(entry)
    attempts = _Attempts(*(SetupError(f"error {number}") for number in range(99)))
    with pytest.raises(SetupError) as error:
        choice.first_that(attempts)
    assert attempts.names == [
        *("kgdb-4.4", "kgdb-5.10", "kgdb-6.1", "kgdb-6.1-distro", "kgdb-6.1-clang"),
    ]
    assert str(error.value) == "error 4"


def test_named_kernel_has_no_other_in_its_place(monkeypatch, capsys):
    monkeypatch.setenv("KERNEL", "kgdb-4.4")
    with pytest.raises(SetupError, match="no"):
        choice.first_that(_Attempts(SetupError("no")))
    assert capsys.readouterr().err == ""


def test_what_a_person_gave_has_no_other_in_its_place(entry, preferred):
    preferred(entry)
    with pytest.raises(GivenError, match="no tarball"):
        choice.first_that(_Attempts(GivenError("no tarball")))


def test_pair_that_does_not_boot_is_not_taken_for_the_next_kernel(pair, capsys, monkeypatch):
    tried = []

    def attempt(name: str) -> Path:
        tried.append(name)
        if len(tried) == 1:
            assert kernels.obtain(name).vmlinux == pair / "vmlinux"
            raise SetupError("it hangs")
        return Path(os.environ.get("VMLINUX", "none given"))

    assert choice.first_that(attempt) == Path("none given")
    assert tried == ["kgdb-4.4", "kgdb-5.10"]
    assert capsys.readouterr().err.endswith("kernel: using kgdb-5.10 instead: it hangs\n")


_RUN = """
import sys
from pathlib import Path
from qemu import ready
from qemu.kernels import Kernel
ready._boots = lambda name: Kernel(name, Path("/v"), Path("/b"), "9.8")
sys.exit(ready.main(sys.argv[1:]))
"""


def test_command_is_run_with_the_chosen_kernel_named(monkeypatch):
    monkeypatch.setenv("KERNEL", "kgdb-6.1")

    def run(*argv: str) -> tuple[int, str]:
        command = [sys.executable, "-c", _RUN, *argv]
        process = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True)
        return process.returncode, process.stdout + process.stderr

    assert run("sh", "-c", "echo $KERNEL; exit 3") == (3, "kgdb-6.1\n")
    assert run() == (0, "/v\n")


def test_kernel_that_is_no_use_is_one_line_and_a_status(monkeypatch, capsys):
    monkeypatch.setenv("KERNEL", "kgdb-0.1")
    monkeypatch.setattr(ready, "test_image", lambda: Path("initrd"))
    assert ready.main(["true"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("kernel: no kernel is called 'kgdb-0.1'; the catalogue has ")
    assert said.count("\n") == 1
