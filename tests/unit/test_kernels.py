# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel catalogue and its builder, on a source tree that builds in a blink."""

from __future__ import annotations

import hashlib
import http.server
import os
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from qemu import catalogue, kernels
from qemu.catalogue import Entry
from qemu.errors import SetupError

_ROOT = Path(__file__).parents[2]

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
\t@mkdir -p arch/x86/boot; echo bz > arch/x86/boot/bzImage; echo map > System.map
\t@echo '$(CC)|$(KCFLAGS)|$(KBUILD_BUILD_TIMESTAMP)|$(KBUILD_BUILD_HOST)' > vmlinux
\t@if test -e FAIL; then echo 'x.c:1: error: no'; exit 1; fi
"""


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("KERNEL_TARBALL", raising=False)
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
        version="9.8.7",
        config="c.config",
        configs=tmp_path / "configs",
        flags=("-fno-pie", "-fcommon"),
        directory=str(tarball.parent),
        file=tarball.name,
        sha256=hashlib.sha256(tarball.read_bytes()).hexdigest(),
    )


class _Cut(http.server.SimpleHTTPRequestHandler):
    """Serves files; /cut/ in a path promises 100 bytes more than there are."""

    requests: list[str]

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


def _url(server: http.server.ThreadingHTTPServer, path: str) -> str:
    return f"http://127.0.0.1:{server.server_port}/{path}"


def test_local_tarball_is_built_and_only_the_result_kept(entry, cache):
    kernel = kernels.obtain_entry(entry)
    assert (kernel.name, kernel.version) == ("tiny", "9.8.7")
    assert kernel.bzimage.read_text() == "bz\n"
    kept = {path.name for path in kernel.vmlinux.parent.iterdir()}
    assert kept == {"vmlinux", "bzImage", ".config", "System.map"}
    config = (kernel.vmlinux.parent / ".config").read_text()
    assert config.endswith("CONFIG_TTY=y\nCONFIG_A=0x1\n")
    assert [path.name for path in (cache / "kernels").iterdir()] == [kernel.vmlinux.parent.name]
    assert Path(entry.directory, entry.file).is_file()


def test_build_is_told_flags_and_a_fixed_time_and_place(entry):
    compiler, flags, when, host = kernels.obtain_entry(entry).vmlinux.read_text().split("|")
    assert compiler == "gcc -fno-pie -fcommon"
    assert flags.endswith("=/usr/src/linux")
    assert (when, host) == ("Thu Jan  1 00:00:00 UTC 1970", "gdbfpu\n")


def test_second_time_comes_from_the_cache(entry):
    first = kernels.obtain_entry(entry)
    Path(entry.directory, entry.file).unlink()
    assert kernels.obtain_entry(entry) == first


def test_configuration_flags_and_source_each_make_another_kernel(entry):
    keys = {entry.key, replace(entry, flags=()).key, replace(entry, sha256="0" * 64).key}
    entry.fragment.write_text("CONFIG_TTY=n\n")
    keys.add(entry.key)
    assert len(keys) == 4
    assert replace(entry, about="other words").key == entry.key


def test_symbol_that_does_not_survive_is_named(entry, cache):
    entry.fragment.write_text("CONFIG_TTY=y\nCONFIG_UNKNOWN=y\nCONFIG_UNKNOWN_TOO=m\n")
    with pytest.raises(SetupError, match=r"not take CONFIG_UNKNOWN, CONFIG_UNKNOWN_TOO$"):
        kernels.obtain_entry(entry)
    assert list((cache / "kernels").iterdir()) == []


def test_symbol_that_comes_back_is_named(entry):
    entry.fragment.write_text("# CONFIG_TTY is not set\n# CONFIG_ABSENT is not set\n")
    assert kernels.obtain_entry(entry).version == "9.8.7"
    entry.fragment.write_text("# CONFIG_TTY is not set\nCONFIG_TTY=y\n# CONFIG_B is not set\n")
    assert kernels.obtain_entry(entry).version == "9.8.7"
    entry.fragment.write_text("CONFIG_TTY=y\n# CONFIG_TTY is not set\nCONFIG_UNKNOWN=y\n")
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
    entry.fragment.write_text("CONFIG_UNKNOWN=y\n")
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
    for each in entries.values():
        assert each.key.startswith(each.name)
        symbols = each.fragment.read_text().splitlines()
        assert {"CONFIG_KGDB=y", "CONFIG_KGDB_SERIAL_CONSOLE=y"} <= set(symbols)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[a]\nkind = 'guess'\n", "a: kind is 'guess', not one of debian-source, tarball"),
        ("[a]\nkind = 'tarball'\ncolour = 'red'\n", "a: unknown key colour"),
        ("[a]\nkind = 'tarball'\nabout = ''\nversion = '1'\n", "missing key config, directory"),
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
    assert listed.stdout.split("\n")[0].split()[:3] == ["kgdb-5.10", "not", "built"]
    refused = run("kgdb-0.1")
    assert refused.returncode == 1
    assert refused.stderr.startswith("qemu.kernels: no kernel 'kgdb-0.1'; the catalogue has ")
    assert refused.stderr.count("\n") == 1
