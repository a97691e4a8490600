# SPDX-License-Identifier: GPL-2.0-or-later
"""A kernel source that builds in a blink, and catalogue entries for it.

It has what the builder asks of a kernel tree: a version, two configuration goals, bzImage and
modules. Its configuration drops CONFIG_UNKNOWN, as olddefconfig drops a symbol that it does not
have. As in Linux 4.4 the top Makefile adds to LDFLAGS_vmlinux, and the one of the decompressor, a
make of its own, sets it anew for a vmlinux of its own.
"""

from __future__ import annotations

import hashlib
import http.server
import tarfile
from pathlib import Path

from qemu.catalogue import Entry

MAKEFILE = """\
VERSION = 9
PATCHLEVEL = 8
SUBLEVEL = 7
LDFLAGS_vmlinux += --own

tinyconfig:
\t@echo '# CONFIG_TTY is not set' > .config
olddefconfig:
\t@grep -v UNKNOWN .config > new; mv new .config
bzImage: vmlinux
\t@mkdir -p arch/x86/boot; echo map > System.map
\t@$(MAKE) -s -C arch/x86 vmlinux
\t@(head -c 514 /dev/zero; printf HdrS; head -c 8 /dev/zero; printf '\\020\\000'; \
\t\techo '9.8.7 (gdbfpu@gdbfpu) #1') > arch/x86/boot/bzImage
\t@echo "|decompressor: $$(cat arch/x86/vmlinux)" >> vmlinux
modules:
\t@mkdir -p lib; echo module > lib/crc7.ko
vmlinux:
\t@echo 'x.c:1: warning: noise'
\t@echo '  CC      init/main.o'
\t@echo '  LD      vmlinux'
\t@echo '$(CC)|$(LDFLAGS_vmlinux)|$(KCFLAGS)|$(KBUILD_BUILD_TIMESTAMP)' > vmlinux
\t@echo '|$(KBUILD_BUILD_HOST)' >> vmlinux
"""
X86_MAKEFILE = """\
LDFLAGS_vmlinux := -T
vmlinux:
\t@echo '$(LDFLAGS_vmlinux)' > vmlinux
"""
FAILING = """
bzImage: good.o bad.o
good.o:
\t@echo '  CC      good.o'
\t@for i in $$(seq 200); do echo "good.c:$$i: warning: noise"; done; sleep 0.3
bad.o:
\t@echo '  CC      bad.o'
\t@echo 'bad.c:1: error: no'
\t@echo 'bad.c:2: warning: yes'
\t@exit 1
"""
"""Two recipes that run at once; the one that fails is not the one that ends last."""


def tarball(
    directory: Path,
    makefile: str = MAKEFILE,
    version: str = "9.8.7",
    *,
    lacking: str = "",
    suffix: str = "xz",
) -> Path:
    """Write a tarball of such a tree, of some version, without the file `lacking`."""
    tree = directory / f"linux-{version}"
    (tree / "arch" / "x86").mkdir(parents=True, exist_ok=True)
    numbers = zip(("VERSION", "PATCHLEVEL", "SUBLEVEL"), version.split("."), strict=True)
    stated = "".join(f"{name} = {number}\n" for name, number in numbers)
    files = {
        "Kconfig": "",
        "Makefile": stated + makefile.partition("SUBLEVEL = 7\n")[2],
        "arch/x86/Makefile": X86_MAKEFILE,
    }
    for name in files.keys() - {lacking}:
        (tree / name).write_text(files[name])
    path = directory / f"linux-{version}.tar.{suffix}"
    with tarfile.open(path, f"w:{suffix}") as archive:
        archive.add(tree, tree.name)
    return path


def entry_for(path: Path, configs: Path, **fields: object) -> Entry:
    """Return a catalogue entry, `tiny`, that is built from the tarball at `path`."""
    values = {
        "name": "tiny",
        "about": "a tree of three files",
        "version": path.name.removeprefix("linux-").partition(".tar")[0],
        "flags": ("-fno-pie", "-fcommon"),
        "ldflags": ("-z", "max-page-size=4096"),
        **fields,
    }
    return Entry(
        kind="tarball",
        stubs=("kgdb",),
        config=("c.config",),
        configs=configs,
        directory=str(path.parent),
        file=path.name,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        **values,
    )


def url(server: http.server.ThreadingHTTPServer, path: str) -> str:
    """Return the URL of a path on a server of this machine."""
    return f"http://127.0.0.1:{server.server_port}/{path}"
