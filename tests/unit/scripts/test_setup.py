# SPDX-License-Identifier: GPL-2.0-or-later
"""scripts/setup: it does nothing where all is there, and only what is missing elsewhere.

The commands that it calls are replaced by ones that note how they were called.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from qemu.host_packages import PACKAGES

_SETUP = Path(__file__).parents[3] / "scripts" / "setup"

_FAKES = {
    # Everything is installed, but for what the file `missing` names.
    "dpkg-query": r"""for last; do
  case $last in -*|'${'*) continue;; esac
  if ! grep -qxs -- "$last" "$STATE/missing"; then echo "installed $last"; fi
done""",
    "apt-get": """if [ "$1" = indextargets ]; then cat "$STATE/mirror"; exit; fi
if [ "$1" = update ]; then echo mirror > "$STATE/mirror"; fi
if [ "$1" = update ]; then rm -f "$STATE/old"; fi
if [ "$1" = install ] && [ -e "$STATE/old" ]; then exit 100; fi
if [ "$1" = install ]; then rm "$STATE/missing"; fi""",
    "dpkg": ":",
    "sudo": 'exec "$@"',
    "gdb": 'echo "$STATE/python"',
    "python": """if [ -e "$STATE/fail" ]; then exit 1; fi
if [ "$2" = venv ]; then mkdir -p "$4/bin"; ln -sf "$STATE/python" "$4/bin/python"; fi""",
}

_DEBIAN = {"ID": "debian", "PRETTY_NAME": "Debian GNU/Linux 12 (bookworm)"}
_AS = """
import platform, runpy, sys
release = eval(sys.argv[1])
platform.freedesktop_os_release = lambda: release
sys.argv[:] = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


class _Machine:
    """A machine made of the fake commands; `calls` are those that change it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.state = root / "state"
        self.state.mkdir()
        (root / "bin").mkdir()
        for name, body in _FAKES.items():
            place = self.state if name == "python" else root / "bin"
            note = f'printf \'%s\\n\' "{name} $*" >> "$STATE/calls"'
            (place / name).write_text(f"#!/bin/sh\n{note}\n{body}\n")
            (place / name).chmod(0o755)
        (self.state / "mirror").write_text("mirror\n")

    def run(
        self, release: dict[str, str] | None = None, **more: str
    ) -> subprocess.CompletedProcess:
        (self.state / "calls").write_text("")
        environment = {
            **os.environ,
            "PATH": f"{self.root}/bin:{os.environ['PATH']}",
            "STATE": str(self.state),
            "XDG_CACHE_HOME": str(self.root / "cache"),
            **more,
        }
        command = [sys.executable, "-c", _AS, repr(release or _DEBIAN), str(_SETUP)]
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    @property
    def calls(self) -> list[str]:
        lines = (self.state / "calls").read_text().splitlines()
        return [line for line in lines if not line.startswith(("dpkg-query", "gdb", "sudo"))]


@pytest.fixture
def machine(tmp_path) -> _Machine:
    return _Machine(tmp_path)


def test_environment_is_made_once_with_the_project_s_dependencies(machine):
    venv = machine.root / "cache" / "gdbfpu" / "venv"
    first = machine.run()
    assert first.returncode == 0, first.stderr
    _, make, install = machine.calls
    assert make == f"python -m venv --clear {venv}"
    assert install.startswith("python -m pip --disable-pip-version-check install ")
    assert {"pyelftools>=0.32", "pytest", "qemu.qmp"} <= set(install.split())
    assert not {".", "gdbfpu"} & set(install.split())
    second = machine.run()
    assert (second.returncode, second.stdout) == (0, "")
    assert [call.split()[:2] for call in machine.calls] == [["apt-get", "indextargets"]]


def test_missing_packages_alone_are_installed(machine):
    machine.run()
    (machine.state / "missing").write_text("flex\nqemu-system-x86\n")
    assert machine.run().returncode == 0
    ask, repair, install = machine.calls
    assert ask.startswith("apt-get indextargets")
    assert repair == "dpkg --configure -a"
    assert install.split()[:2] == ["apt-get", "install"]
    assert install.split()[-2:] == ["qemu-system-x86", "flex"]
    assert "--no-install-recommends" in install


def test_lists_that_are_old_are_fetched_again(machine):
    machine.run()
    (machine.state / "missing").write_text("flex\n")
    (machine.state / "old").touch()
    assert machine.run().returncode == 0
    verbs = [call.split()[1] for call in machine.calls]
    assert verbs == ["indextargets", "--configure", "install", "update", "install"]


def test_lists_are_fetched_where_apt_knows_no_debian(machine):
    machine.run()
    (machine.state / "mirror").write_text("")
    assert machine.run().returncode == 0
    assert [call.split()[1] for call in machine.calls] == ["indextargets", "update"]


def test_environment_left_half_made_is_made_again(machine):
    (machine.state / "fail").touch()
    failed = machine.run()
    assert failed.returncode == 1
    assert failed.stderr.startswith("setup: ")
    assert failed.stderr.count("\n") == 1
    (machine.state / "fail").unlink()
    assert machine.run().returncode == 0
    assert [call.split()[2] for call in machine.calls if "python" in call] == ["venv", "pip"]


def test_gdb_without_python_is_one_clear_line(machine):
    (machine.root / "bin" / "gdb").write_text("#!/bin/sh\necho no scripting >&2; exit 1\n")
    process = machine.run()
    assert process.returncode == 1
    assert process.stderr == "setup: gdb has no Python: no scripting\n"


@pytest.mark.parametrize(
    ("release", "said"),
    [
        (
            {"ID": "fedora", "PRETTY_NAME": "Fedora Linux 41"},
            "Fedora Linux 41 lacks packages, install them: dnf install qemu-system-x86 dwarves",
        ),
        (
            {"ID": "rocky", "ID_LIKE": "rhel centos fedora", "PRETTY_NAME": "Rocky Linux 9.5"},
            "Rocky Linux 9.5 lacks packages, install them: dnf install qemu-system-x86 dwarves",
        ),
        (
            {"ID": "manjaro", "ID_LIKE": "arch", "PRETTY_NAME": "Manjaro Linux"},
            "Manjaro Linux lacks packages, install them: pacman -S qemu-system-x86 pahole",
        ),
        (
            {"ID": "opensuse-tumbleweed", "ID_LIKE": "opensuse suse", "PRETTY_NAME": "openSUSE"},
            "openSUSE lacks packages, install them: zypper install qemu-x86 dwarves",
        ),
        (
            {"ID": "nixos", "PRETTY_NAME": "NixOS"},
            "NixOS lacks what these packages of Debian have: qemu-system-x86 dwarves",
        ),
    ],
)
def test_another_distribution_is_told_what_it_lacks(machine, release, said):
    """In one line. Nothing is installed; once all is there, the environment is made."""
    found = (each.found.partition("|")[0] for each in PACKAGES if each.found)
    programs = {name for name in found if "/" not in name}
    for name in programs - set(_FAKES) - {"pahole", "qemu-system-x86_64"}:
        (machine.root / "bin" / name).symlink_to("/bin/true")
    process = machine.run(release, PATH=f"{machine.root}/bin")
    assert (process.returncode, process.stdout) == (1, "")
    assert process.stderr == f"setup: {said}\n"
    assert machine.calls == []
    for name in ("pahole", "qemu-system-x86_64"):
        (machine.root / "bin" / name).symlink_to("/bin/true")
    assert machine.run(release).returncode == 0
    assert [call.split()[2] for call in machine.calls] == ["venv", "pip"]


def test_ubuntu_is_set_up_as_debian_is(machine):
    (machine.state / "missing").write_text("flex\n")
    assert machine.run({"ID": "ubuntu", "ID_LIKE": "debian"}).returncode == 0
    assert [call.split()[1] for call in machine.calls[:3]] == [
        "indextargets",
        "--configure",
        "install",
    ]


def test_every_distribution_has_a_name_for_each_package():
    """Debian's are those that apt knows; the others' are checked by nobody here."""
    for package in PACKAGES:
        named = [package.fedora, package.arch, package.suse]
        assert all(named) if package.found else not any(named)
    names = [package.debian for package in PACKAGES]
    known = subprocess.run(["apt-cache", "pkgnames"], capture_output=True, text=True, check=True)
    assert set(names) <= set(known.stdout.split())
    where = [package.found for package in PACKAGES if package.found.startswith("/")]
    assert [path for path in where if not any(Path("/").glob(path[1:]))] == []


def test_an_old_python_is_one_clear_line(machine):
    hide = _AS.replace(
        "import platform", "import sys; sys.modules['tomllib'] = None; import platform"
    )
    command = [sys.executable, "-c", hide, "{}", str(_SETUP)]
    process = subprocess.run(command, capture_output=True, text=True)
    assert (process.returncode, process.stderr) == (1, "setup: this needs Python 3.11 or newer\n")
