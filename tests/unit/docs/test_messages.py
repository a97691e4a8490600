# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/troubleshooting.md has each message that gdbfpu prints when something is wrong.

No other is there. A block of code marked `message` has messages, one a line, with `…` for each
value. Words follow it that say what to do.
"""

from __future__ import annotations

import re
from pathlib import Path

from doc_pages import DOCS
from messages import messages, messages_of

TEXT = (DOCS / "troubleshooting.md").read_text()
BLOCKS = re.findall(
    r"^```message\n(.*?)^```\n\n(.*?)(?=^```|^## |\Z)", TEXT, re.DOTALL | re.MULTILINE
)
LISTED = [line for block, _ in BLOCKS for line in block.splitlines()]


def test_each_message_has_an_entry() -> None:
    missing = {text: place for text, place in messages().items() if text not in LISTED}
    assert missing == {}, "write what to do about them into docs/troubleshooting.md"


def test_each_entry_is_a_message() -> None:
    assert [line for line in LISTED if line not in messages()] == [], "no code says that any more"


def test_no_message_is_listed_twice_and_all_blocks_are_read() -> None:
    assert sorted(set(LISTED)) == sorted(LISTED)
    assert len(BLOCKS) == TEXT.count("```message\n")


def test_each_group_says_what_to_do() -> None:
    first, *others = BLOCKS
    assert [block for block, words in others if len(words.split()) < 5] == []
    assert len(first[0].splitlines()) < 10
    assert all(len(block.splitlines()) < 20 for block, _ in BLOCKS)


def test_what_counts_as_a_message(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(
        '''
HINT = "or not"

class Trouble(GdbFpuError):
    """Made of a text."""

class Made(Trouble):
    def __init__(self, name):
        super().__init__(f"made of {name}")

class Told(Trouble):
    def __init__(self, text, running):
        super().__init__(text)

def reason(lwp) -> str:
    return f"no thread {lwp}" if lwp else "no threads"

def fail(path, error):
    why = f"{path} is " + ("bad" if path else "worse")
    remark("seen")
    gdb.write("to the screen")
    gdb.write(f"{path} warns", gdb.STDERR)
    if error:
        raise ValueError("a reason")
    if path:
        raise Trouble(reason(1)) from error
    raise Trouble(HINT) if path else Trouble(why)

def passed_on(error):
    if not error:
        raise Told(f"told {error}", 1)
    raise Made("a value") if error else Trouble(str(error))
'''
    )
    (tmp_path / "errors.py").write_text("class GdbFpuError(Exception):\n    pass\n")
    assert sorted(messages_of(tmp_path)) == [
        "made of …", "no thread …", "no threads", "or not", "seen",
        "told …", "… is bad", "… is worse", "… warns",
    ]  # fmt: skip
