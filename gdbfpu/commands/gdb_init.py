# SPDX-License-Identifier: GPL-2.0-or-later
"""The line in the user's GDB init file that lets `source gdbfpu` work in any directory.

It puts the folder of the file `gdbfpu` on GDB's source path. If that folder is gone, GDB warns when
it starts, and reads the rest of its init file.
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import Callable

__all__ = ("SOURCE", "add_line", "init_file", "remove_line", "replace")

SOURCE = Path(__file__).resolve().parents[1] / "source"
"""The folder of the file that `source gdbfpu` reads in GDB."""


def init_file() -> Path:
    """Return the file that GDB reads when it starts, whether or not it is there.

    GDB 13 reads only the first that is there (gdbsupport/pathstuff.cc,
    find_gdb_home_config_file).
    """
    base = os.environ.get("XDG_CONFIG_HOME")
    configured = (Path(base) if base else Path.home() / ".config") / "gdb" / "gdbinit"
    # A symbolic link stays one: what it points to is written.
    return (configured if configured.exists() else Path.home() / ".gdbinit").resolve()


def add_line(file: Path, source: Path = SOURCE) -> str:
    """Put the line for the folder `source` into `file`; return what was done. Raises OSError.

    It takes the place of the lines of other installations.
    """
    text = file.read_bytes() if file.exists() else b""
    found = [folder for line in text.splitlines() if (folder := _folder(line))]
    if found != [source]:
        line = b"directory " + _quoted(os.fsencode(source))
        replace(file, _with(_without(text, lambda folder: True), line))
    return f"installed in {file}{' already' * (found == [source])}; in GDB say: source gdbfpu"


def remove_line(file: Path, source: Path = SOURCE) -> str:
    """Remove the line for the folder `source` from `file`; return what was done. Raises OSError.

    Lines of installations that are gone go with it, those of others stay.
    """
    text = file.read_bytes() if file.exists() else b""
    left = _without(text, lambda folder: folder == source or not folder.is_dir())
    if left != text:
        replace(file, left)
        return f"removed from {file}"
    other = next(filter(None, map(_folder, text.splitlines())), None)
    if other:
        return f"not removed from {file}, for it is another installation's: {other}"
    return f"not installed in {file}"


def _folder(line: bytes) -> Path | None:
    """Return the folder that a line of ours, of whichever installation, names."""
    found = re.fullmatch(rb"directory (/.*/gdbfpu/source)", line.strip())
    return Path(os.fsdecode(re.sub(rb"\\(.)", rb"\1", found[1]))) if found else None


def _quoted(path: bytes) -> bytes:
    """Quote a file name as GDB's `directory` splits its arguments."""
    special = b" \t\\'\""
    return b"".join(b"\\" + bytes([c]) if c in special else bytes([c]) for c in path)


def _with(text: bytes, line: bytes) -> bytes:
    if text and not text.endswith(b"\n"):
        return text + b"\n" + line
    return text + line + b"\n"


def _without(text: bytes, gone: Callable[[Path], bool]) -> bytes:
    """Return `text` without the lines of ours whose folders are `gone`."""
    kept = text.splitlines(keepends=True)
    left = [line for line in kept if not ((folder := _folder(line)) and gone(folder))]
    put_behind = kept and left != kept and kept[-1] not in left and not text.endswith(b"\n")
    # put behind a file that did not end in a newline
    return b"".join(left).removesuffix(b"\n") if put_behind else b"".join(left)


def replace(file: Path, text: bytes, mode: int | None = None) -> None:
    """Replace the file in one step, its mode kept where none is given; an empty one goes.

    Raises OSError.
    """
    if not text:
        file.unlink()
        return
    if mode is None:
        mode = file.stat().st_mode & 0o777 if file.exists() else 0o644
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=".gdbfpu.")
    with os.fdopen(descriptor, "wb") as new:
        new.write(text)
    Path(name).chmod(mode)
    Path(name).replace(file)
