# SPDX-License-Identifier: GPL-2.0-or-later
"""Names of a kernel's memory or of files, which may hold anything, made fit for a terminal."""

from __future__ import annotations

__all__ = ("one_line", "printable")


def printable(comm: bytes) -> str:
    r"""Return `comm` (`char[TASK_COMM_LEN]`) without anything that a terminal would obey.

    Control bytes, invalid UTF-8 and spaces at either end appear as `\xNN`, other unprintable
    characters as `\uNNNN` or `\UNNNNNNNN`, a backslash as two, so that no two names look alike.
    """
    text = comm.split(b"\0", 1)[0].replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")
    shown = "".join(c if c.isprintable() else _escaped(c) for c in text)
    left, right = len(shown) - len(shown.lstrip(" ")), len(shown.rstrip(" "))
    return r"\x20" * left + shown[left:right] + r"\x20" * (len(shown) - max(left, right))


def one_line(text: str) -> str:
    r"""Return `text` with all that is no printable character as `\xNN`, `\uNNNN` or `\n`.

    File names on a command line may hold a newline, a terminal's commands, bytes that are no
    UTF-8 (as surrogates, see os.fsdecode).
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _escaped(character: str) -> str:
    code = ord(character)
    if code < 0x80:  # what is \x80 and above stands for a byte that is no UTF-8
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
