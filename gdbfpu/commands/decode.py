# SPDX-License-Identifier: GPL-2.0-or-later
"""`gdbfpu decode`: show what an FPU state image contains, or each image in a core file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from gdbfpu.commands.decode_options import DecodeOptions
from gdbfpu.commands.output import standard_output
from gdbfpu.commands.streams import standard_input
from gdbfpu.commands.values import STANDARD_INPUT
from gdbfpu.errors import CorruptState, UsageError
from gdbfpu.text.json_text import json_text
from gdbfpu.xsave.core import ELF_MAGIC, Thread, read_core
from gdbfpu.xsave.cpuid import read_tables
from gdbfpu.xsave.decode import decode
from gdbfpu.xsave.image import FpuImage
from gdbfpu.xsave.places import ARCHITECTURE, Tables
from gdbfpu.xsave.text import render_table, to_json

__all__ = ("decode_texts",)

_MAX_BYTES = 1 << 20  # far more than any XSAVE area has, but less than a disk named by mistake
_MAX_CPUID = 16 << 20  # `cpuid -r` prints 8 KiB for each CPU
_PACKED = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ\0": "xz",
    b"\x04\x22\x4d\x18": "lz4",
    b"BZh": "bzip2",
}


def decode_texts(options: DecodeOptions) -> Iterator[str]:
    """Yield what the file contains, as tables or JSON; raise GdbFpuError.

    An image gives one text, a core file one for each thread.
    """
    tables = _tables(options)
    with _opened(options.file) as stream:
        head = stream.read(8)
        if options.image == "auto" and head.startswith(ELF_MAGIC):
            try:
                threads, own = read_core(head, stream, options.thread)
            except (CorruptState, UsageError) as error:
                raise type(error)(f"{_name(options.file)}: {error}") from error
            yield from _threads(threads, tables or own or ARCHITECTURE, options)
            return
        data = head + stream.read(_MAX_BYTES + 1 - len(head))
    if options.thread is not None:
        raise UsageError(f"--thread needs a core file, and {_name(options.file)} is not one")
    if options.image == "auto":
        _refuse_packed(options.file, head)
    if len(data) > _MAX_BYTES:
        raise UsageError(
            f"{_name(options.file)} has more than {_MAX_BYTES} bytes: too large for an FPU state "
            "image"
        )
    image = decode(data, format=options.image, tables=tables or ARCHITECTURE)
    yield _text(image, options, {})


def _threads(threads: tuple[Thread, ...], tables: Tables, options: DecodeOptions) -> Iterator[str]:
    """Yield each thread's image; in JSON, all as one object unless `options` name a thread."""
    whole = options.format == "json" and options.thread is None
    if whole:
        yield '{"threads": ['
    for number, thread in enumerate(threads, 1):
        image = decode(thread.image, format=thread.format, tables=tables)
        whose = "" if thread.lwp is None else f" of thread {thread.lwp}"
        image = replace(image, reason=f"{thread.note}{whose}")
        text = _text(image, options, {"thread": thread.lwp})
        last = number == len(threads) or options.thread is not None
        yield text + ("" if last else "," if whole else "\n")
        if options.thread is not None:
            return
    if whole:
        yield "]}"


def _text(image: FpuImage, options: DecodeOptions, more: dict[str, Any]) -> str:
    screen = standard_output()
    if options.format == "json":
        return json_text({**more, **to_json(image, options.components)}, screen)
    return render_table(image, options.components, screen=screen)


def _tables(options: DecodeOptions) -> Tables | None:
    """Return the sizes and offsets that `options` give, None if they give none."""
    if options.cpuid is None:
        return None if options.cpu is None else Tables(cpu=options.cpu)
    with _opened(options.cpuid) as stream:
        data = stream.read(_MAX_CPUID + 1)
    try:
        if len(data) > _MAX_CPUID:
            raise UsageError(
                f"it has more than {_MAX_CPUID} bytes, too many for the output of `cpuid -r`"
            )
        return read_tables(data.decode("utf-8", "replace"))
    except UsageError as error:
        raise UsageError(f"cannot use {_name(options.cpuid)}: {error}") from error


@contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    """Open `file` for a block of code; an OSError there becomes a UsageError that names `file`."""
    try:
        if file == STANDARD_INPUT:
            yield standard_input()
        else:
            with file.open("rb") as stream:
                yield stream
    except OSError as error:
        raise UsageError(f"cannot read {_name(file)}: {error.strerror}") from error


def _name(file: Path) -> str:
    return "standard input" if file == STANDARD_INPUT else str(file)


def _refuse_packed(file: Path, head: bytes) -> None:
    """Raise UsageError for a compressed file; systemd compresses core files."""
    for magic, name in _PACKED.items():
        if head.startswith(magic):
            raise UsageError(f"{_name(file)} is compressed with {name}: unpack it first")
