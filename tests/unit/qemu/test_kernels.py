# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel catalogue and its builder, on a source tree that builds in a blink."""

from __future__ import annotations

import hashlib
import http.server
import os
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from qemu import catalogue, choice, kernels
from qemu.catalogue import Entry
from qemu.errors import SetupError
from qemu.given import release_of

_ROOT = Path(__file__).parents[3]

# What the builder asks of a kernel tree: a version, two configuration goals and bzImage.
# Its configuration drops CONFIG_UNKNOWN, as olddefconfig drops a symbol that it does not have.
_MAKEFILE = """\
VERSION = 9
PATCHLEVEL = 8
SUBLEVEL = 7

tinyconfig:
\t@echo '# CONFIG_TTY is not set' > .config
olddefconfig:
\t@grep -v UNKNOWN .config > new; mv new .config
bzImage:
\t@mkdir -p arch/x86/boot; echo map > System.map
\t@(head -c 514 /dev/zero; printf HdrS; head -c 8 /dev/zero; printf '\\020\\000'; \
\t\techo '9.8.7 (gdbfpu@gdbfpu) #1') > arch/x86/boot/bzImage
\t@echo '$(CC)|$(LDFLAGS_vmlinux)|$(KCFLAGS)|$(KBUILD_BUILD_TIMESTAMP)' > vmlinux
\t@echo '|$(KBUILD_BUILD_HOST)' >> vmlinux
\t@if test -e FAIL; then echo 'x.c:1: error: no'; exit 1; fi
"""


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("KERNEL", "KERNEL_TARBALL", "VMLINUX", "BZIMAGE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache" / "gdbfpu"


def _tarball(directory: Path, *extra: str) -> Path:
    tree = directory / "linux-9.8.7"
    tree.mkdir(parents=True)
    (tree / "Makefile").write_text(_MAKEFILE)
    for name in extra:
        (tree / name).touch()
    path = directory / "linux-9.8.7.tar.xz"
    with tarfile.open(path, "w:xz") as archive:
        archive.add(tree, tree.name)
    return path


@pytest.fixture
def entry(tmp_path) -> Entry:
    tarball = _tarball(tmp_path / "upstream")
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "c.config").write_text("# a comment\nCONFIG_TTY=y\nCONFIG_A=0x1\n")
    return Entry(
        name="tiny",
        about="a tree of one file",
        kind="tarball",
        stubs=("kgdb",),
        version="9.8.7",
        config=("c.config",),
        configs=tmp_path / "configs",
        flags=("-fno-pie", "-fcommon"),
        ldflags=("-z", "max-page-size=4096"),
        directory=str(tarball.parent),
        file=tarball.name,
        sha256=hashlib.sha256(tarball.read_bytes()).hexdigest(),
    )


class _Cut(http.server.SimpleHTTPRequestHandler):
    """Serves files; /cut/ in a path promises 100 bytes more than there are."""

    requests: list[str]

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        whole = Path(self.directory, Path(self.path).name)
        if not whole.is_file():
            self.send_error(404)
            return
        data = whole.read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data) + 100 * ("/cut/" in self.path)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(entry) -> Iterator[http.server.ThreadingHTTPServer]:
    def handler(*args: object) -> _Cut:
        return _Cut(*args, directory=entry.directory)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.requests = []
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join(10)


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _fragment(entry: Entry, text: str) -> None:
    (entry.configs / entry.config[0]).write_text(text)


def _url(server: http.server.ThreadingHTTPServer, path: str) -> str:
    return f"http://127.0.0.1:{server.server_port}/{path}"


def test_local_tarball_is_built_and_only_the_result_kept(entry, cache):
    kernel = kernels.obtain_entry(entry)
    assert (kernel.name, kernel.version) == ("tiny", "9.8.7")
    assert kernel.bzimage.read_bytes()[514:518] == b"HdrS"
    kept = {path.name for path in kernel.vmlinux.parent.iterdir()}
    assert kept == {"vmlinux", "bzImage", ".config", "System.map"}
    config = (kernel.vmlinux.parent / ".config").read_text()
    assert config.endswith("CONFIG_TTY=y\nCONFIG_A=0x1\n")
    assert [path.name for path in (cache / "kernels").iterdir()] == [kernel.vmlinux.parent.name]
    assert Path(entry.directory, entry.file).is_file()


def test_build_is_told_flags_and_a_fixed_time_and_place(entry):
    compiler, link, flags, when, host = kernels.obtain_entry(entry).vmlinux.read_text().split("|")
    assert compiler == "gcc -fno-pie -fcommon"
    assert link == "-z max-page-size=4096"
    assert flags.endswith("=/usr/src/linux")
    assert (when, host) == ("Thu Jan  1 00:00:00 UTC 1970\n", "gdbfpu\n")


def test_fragments_add_up(entry):
    (entry.configs / "more.config").write_text("CONFIG_MORE=y\n")
    kernel = kernels.obtain_entry(replace(entry, config=("c.config", "more.config")))
    config = (kernel.vmlinux.parent / ".config").read_text()
    assert config.endswith("CONFIG_TTY=y\nCONFIG_A=0x1\nCONFIG_MORE=y\n")
    with pytest.raises(SetupError, match=r"no configuration .*absent\.config"):
        kernels.obtain_entry(replace(entry, config=("c.config", "absent.config")))


def test_second_time_comes_from_the_cache(entry):
    first = kernels.obtain_entry(entry)
    Path(entry.directory, entry.file).unlink()
    assert kernels.obtain_entry(entry) == first


def test_configuration_flags_and_source_each_make_another_kernel(entry):
    keys = {entry.key, replace(entry, flags=()).key, replace(entry, sha256="0" * 64).key}
    keys.add(replace(entry, ldflags=()).key)
    _fragment(entry, "CONFIG_TTY=n\n")
    keys.add(entry.key)
    assert len(keys) == 5
    assert replace(entry, about="other words").key == entry.key


def test_symbol_that_does_not_survive_is_named(entry, cache):
    _fragment(entry, "CONFIG_TTY=y\nCONFIG_UNKNOWN=y\nCONFIG_UNKNOWN_TOO=m\n")
    with pytest.raises(SetupError, match=r"not take CONFIG_UNKNOWN, CONFIG_UNKNOWN_TOO$"):
        kernels.obtain_entry(entry)
    assert list((cache / "kernels").iterdir()) == []


def test_symbol_that_comes_back_is_named(entry):
    _fragment(entry, "# CONFIG_TTY is not set\n# CONFIG_ABSENT is not set\n")
    assert kernels.obtain_entry(entry).version == "9.8.7"
    _fragment(entry, "# CONFIG_TTY is not set\nCONFIG_TTY=y\n# CONFIG_B is not set\n")
    assert kernels.obtain_entry(entry).version == "9.8.7"
    _fragment(entry, "CONFIG_TTY=y\n# CONFIG_TTY is not set\nCONFIG_UNKNOWN=y\n")
    with pytest.raises(SetupError, match=r"not take CONFIG_UNKNOWN$"):
        kernels.obtain_entry(entry)


def test_failed_build_shows_what_make_said(entry, tmp_path):
    tarball = _tarball(tmp_path / "broken", "FAIL")
    digest = hashlib.sha256(tarball.read_bytes()).hexdigest()
    broken = replace(entry, directory=str(tarball.parent), sha256=digest)
    with pytest.raises(SetupError, match=r"building failed (?s:.*)x\.c:1: error: no"):
        kernels.obtain_entry(broken)


def test_killed_builder_takes_make_with_it(entry, tmp_path):
    started = tmp_path / "started"
    tree = Path(entry.directory, "linux-9.8.7")
    slow = f"\t@echo $$PPID > {started}.new; mv {started}.new {started}; sleep 60\n"
    (tree / "Makefile").write_text(_MAKEFILE.replace("bzImage:\n", "bzImage:\n" + slow))
    with tarfile.open(Path(entry.directory, entry.file), "w:xz") as archive:
        archive.add(tree, tree.name)
    digest = hashlib.sha256(Path(entry.directory, entry.file).read_bytes()).hexdigest()
    code = "import sys\nfrom qemu.kernels import *\nfrom qemu.catalogue import *\n"
    code += "from pathlib import *\n" + f"obtain_entry({replace(entry, sha256=digest)!r})"
    code = code.replace("PosixPath", "Path")
    with subprocess.Popen([sys.executable, "-c", code], cwd=_ROOT) as builder:
        _wait_for(started.exists)
        builder.kill()
    make = Path("/proc", started.read_text().strip())
    _wait_for(lambda: not make.exists())


def test_other_version_is_refused(entry):
    with pytest.raises(SetupError, match=r"the source is Linux 9\.8\.7, not 9\.8\.6"):
        kernels.obtain_entry(replace(entry, version="9.8.6"))


def test_wrong_checksum_is_refused(entry):
    with pytest.raises(SetupError, match=f"SHA-256 {entry.sha256}, the catalogue says 00"):
        kernels.obtain_entry(replace(entry, sha256="0" * 64))


def test_environment_names_a_local_copy(entry, monkeypatch, tmp_path):
    copy = tmp_path / "copy.tar.xz"
    Path(entry.directory, entry.file).rename(copy)
    monkeypatch.setenv("KERNEL_TARBALL", str(copy))
    assert kernels.obtain_entry(entry).version == "9.8.7"


def test_missing_local_tarball_is_named(entry):
    Path(entry.directory, entry.file).unlink()
    with pytest.raises(SetupError, match=r"cannot read .*linux-9\.8\.7\.tar\.xz: No such file"):
        kernels.obtain_entry(entry)


def test_http_source_is_downloaded_once_and_not_kept(entry, server, cache):
    kernel = kernels.obtain_entry(replace(entry, directory=_url(server, "pub")))
    assert kernel.version == "9.8.7"
    assert server.requests == ["/pub/linux-9.8.7.tar.xz"]
    assert list((cache / "sources").iterdir()) == []


def test_file_url_is_a_source(entry):
    kernel = kernels.obtain_entry(replace(entry, directory=f"file://{entry.directory}/"))
    assert kernel.version == "9.8.7"


def test_download_survives_a_failed_build(entry, server):
    _fragment(entry, "CONFIG_UNKNOWN=y\n")
    remote = replace(entry, directory=_url(server, "pub"))
    for _ in range(2):
        with pytest.raises(SetupError, match="not take CONFIG_UNKNOWN"):
            kernels.obtain_entry(remote)
    assert len(server.requests) == 1


def test_download_that_is_cut_off_is_refused(entry, server, cache):
    with pytest.raises(SetupError, match=r"xz was cut off after \d+ of \d+ bytes"):
        kernels.obtain_entry(replace(entry, directory=_url(server, "cut")))
    assert list((cache / "sources").iterdir()) == []


def test_missing_file_on_the_server_is_one_clear_line(entry, server):
    absent = replace(entry, directory=_url(server, "pub"), file="linux-1.tar.xz")
    with pytest.raises(SetupError, match=r"linux-1\.tar\.xz: HTTP Error 404") as error:
        kernels.obtain_entry(absent)
    assert "\n" not in str(error.value)


def test_catalogue_of_the_project_loads_and_finds_its_configurations():
    entries = catalogue.load()
    assert entries["kgdb-5.10"].release == "5.10.223"
    assert entries["kgdb-4.4"].url == (
        "https://cdn.kernel.org/pub/linux/kernel/v4.x/linux-4.4.tar.xz"
    )
    assert len({each.key for each in entries.values()}) == len(entries) == 7
    for each in entries.values():
        assert each.key.startswith(each.name)
        symbols = set(each.fragment.splitlines())
        built_for_kgdb = {"CONFIG_KGDB=y", "CONFIG_KGDB_SERIAL_CONSOLE=y"} <= symbols
        assert built_for_kgdb == ("kgdb" in each.stubs) == each.name.startswith("kgdb-")
        assert "qemu" in each.stubs


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[a]\nkind = 'guess'\n", "a: kind is 'guess', not one of debian-image, "),
        ("[a]\nkind = 'tarball'\ncolour = 'red'\n", "a: unknown key colour"),
        (
            "[a]\nkind = 'tarball'\nabout = ''\nversion = '1'\n",
            "missing key stubs, directory, file, sha256, config",
        ),
        (
            "[a]\nkind = 'debian-image'\nabout = ''\nsuite = ''\npackage = ''\nstubs = ['jtag']\n",
            "a: no stub is called jtag",
        ),
        ("[a\n", "catalogue.toml: "),
    ],
)
def test_wrong_catalogue_is_refused(tmp_path, text, message):
    path = tmp_path / "catalogue.toml"
    path.write_text(text)
    with pytest.raises(SetupError, match=message):
        catalogue.load(path)


def test_command_lists_and_refuses():
    def run(*argv: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "qemu.kernels", *argv]
        return subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, env=os.environ)

    listed = run()
    assert listed.returncode == 0
    assert listed.stdout.split("\n")[0].split()[:3] == ["kgdb-4.4", "not", "cached"]
    refused = run("kgdb-0.1")
    assert refused.returncode == 1
    assert refused.stderr.startswith("qemu.kernels: no kernel 'kgdb-0.1'; the catalogue has ")
    assert refused.stderr.count("\n") == 1


@pytest.fixture
def pair(entry, monkeypatch, tmp_path) -> Path:
    """A built kernel whose two files the environment gives."""
    kernel = kernels.obtain_entry(entry)
    monkeypatch.setenv("VMLINUX", str(kernel.vmlinux))
    monkeypatch.setenv("BZIMAGE", str(kernel.bzimage))
    return kernel.vmlinux.parent


def test_given_pair_is_the_preferred_kernel(pair, capsys):
    assert choice.kernel_name() == "kgdb-4.4"
    said = "kernel: kgdb-4.4, as kgdb-4.4 is given by VMLINUX and BZIMAGE\n"
    assert capsys.readouterr().err == said
    kernel = kernels.obtain("kgdb-4.4")
    assert (kernel.vmlinux, kernel.bzimage) == (pair / "vmlinux", pair / "bzImage")
    assert kernel.version == "9.8.7"


def test_given_pair_stands_for_the_named_kernel_and_no_other(pair, monkeypatch):
    monkeypatch.setenv("KERNEL", "of-my-own")
    assert kernels.obtain("of-my-own").vmlinux == pair / "vmlinux"
    with pytest.raises(SetupError, match="no kernel 'another'"):
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
    assert choice.main() == 1
    assert capsys.readouterr().err == f"kernel: {message}\n"
    with pytest.raises(SetupError) as error:
        kernels.obtain("kgdb-4.4")
    assert str(error.value) == message


def test_pair_whose_image_is_no_kernel_is_refused(pair, monkeypatch, tmp_path):
    other = tmp_path / "other"
    other.write_bytes(bytes(4096))
    monkeypatch.setenv("BZIMAGE", str(other))
    with pytest.raises(SetupError, match="other is not a bzImage"):
        kernels.obtain("kgdb-4.4")


@pytest.mark.parametrize("head", [b"", b"bz\n", bytes(1024), bytes(514) + b"HdrS" + bytes(600)])
def test_image_that_states_no_release_is_refused(tmp_path, head):
    image = tmp_path / "bzImage"
    image.write_bytes(head)
    with pytest.raises(SetupError, match="states no release"):
        release_of(image)


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
    assert said.count("\n") == 1 and said.startswith(f"kernel: {name}, as kgdb-4.4 ")
    return name, said.removeprefix(f"kernel: {name}, as kgdb-4.4 ").rstrip()


def test_named_kernel_is_used_without_a_word(monkeypatch, capsys):
    monkeypatch.setenv("KERNEL", "kgdb-5.10")
    assert choice.kernel_name() == "kgdb-5.10"
    assert capsys.readouterr().err == ""


def test_network_that_answers_offers_the_preferred_kernel(entry, server, preferred, capsys):
    preferred(replace(entry, directory=_url(server, "pub")))
    assert _choice(capsys) == ("kgdb-4.4", "can be downloaded")


def test_network_that_does_not_answer_leaves_the_fallback(entry, server, preferred, capsys):
    preferred(replace(entry, directory=_url(server, "pub"), file="absent.tar.xz"))
    name, reason = _choice(capsys)
    assert name == "kgdb-5.10"
    assert reason.startswith("cannot be had (http://127.0.0.1:")
    assert reason.endswith("absent.tar.xz: HTTP Error 404: Not Found)")


def test_silent_network_is_waited_for_a_few_seconds_only(entry, preferred, capsys, monkeypatch):
    monkeypatch.setattr(choice, "_ANSWER", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        preferred(replace(entry, directory=f"http://127.0.0.1:{silent.getsockname()[1]}/"))
        started = time.monotonic()
        name, reason = _choice(capsys)
        assert time.monotonic() - started < 3
    assert name == "kgdb-5.10"
    assert "cannot be had" in reason


def test_tarball_at_hand_is_built_without_the_network(entry, preferred, capsys, monkeypatch):
    preferred(replace(entry, directory="http://127.0.0.1:1/"))
    monkeypatch.setenv("KERNEL_TARBALL", "/a/linux.tar.xz")
    assert _choice(capsys) == ("kgdb-4.4", "is built from /a/linux.tar.xz")


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
