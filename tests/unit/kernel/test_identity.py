# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether vmlinux matches the running kernel: notes made by the linker, memory by hand."""

from __future__ import annotations

import struct
import subprocess

import pytest
from fake import FakeTarget

from gdbfpu.errors import CorruptState, GdbFpuError, MemoryFault
from gdbfpu.kernel.identity import file_slide, find_slide, verify

ID = "00112233445566778899aabbccddeeff01234567"
NOTES = 0xFFFFFFFF81A00000
BANNER = b"Linux version 4.4.60 (root@vm) #1 SMP\n"


def run(*argv):
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """`vmlinux` with a build-id, `bare` without, and `notes`, the linker's note section."""
    folder = tmp_path_factory.mktemp("identity")
    text = BANNER.decode().replace("\n", "\\n")
    (folder / "k.c").write_text(
        f'const char linux_banner[] = "{text}"; const char empty_banner[] = "";'
        "int main(void) { return linux_banner[0] + empty_banner[0]; }"
    )
    common = ("gcc", "-no-pie", folder / "k.c", "-o")
    run(*common, folder / "vmlinux", f"-Wl,--build-id=0x{ID}")
    run(*common, folder / "bare", "-Wl,--build-id=none")
    section = "--dump-section=.note.gnu.build-id=" + str(folder / "notes")
    run("objcopy", section, folder / "vmlinux", folder / "unused")
    name = "--rename-section=.note.gnu.build-id=.notes"  # a kernel's section of notes
    run("objcopy", name, folder / "vmlinux", folder / "with-notes")
    return folder


def kernel(notes, **symbols):
    target = FakeTarget()
    target.put(NOTES, notes)
    target.symbols = {"__start_notes": NOTES, "__stop_notes": NOTES + len(notes), **symbols}
    return target


def note(name, kind, data):
    """A note as the ELF specification has it."""
    padded = (part.ljust((len(part) + 3) // 4 * 4, b"\0") for part in (name, data))
    return struct.pack("<III", len(name), len(data), kind) + b"".join(padded)


OTHERS = [
    note(b"Xen\0", 6, b"linux\0"),  # 6 bytes: two of padding follow
    note(b"Linux\0", 0x100, b"\1\0\0\0"),
    note(b"Xen\0", 3, bytes.fromhex(ID)),  # type 3 of another owner
    note(b"GNU\0", 1, bytes(16)),  # NT_GNU_ABI_TAG
    note(b"", 3, b""),
    note(b"Abcd\0", 7, b"\1"),  # 5 bytes and 1: three of padding follow
]


def test_same_build_id(folder):
    notes = (folder / "notes").read_bytes()
    assert verify(kernel(notes), folder / "vmlinux") == ID


def test_build_id_among_other_notes(folder):
    notes = b"".join([*OTHERS, (folder / "notes").read_bytes(), *OTHERS])
    assert verify(kernel(notes), folder / "vmlinux") == ID


@pytest.mark.parametrize("other", [ID[:-1] + "8", "f" + ID[1:], ID[:-2], ID + "00", "ff" * 20, ""])
def test_other_build_id_is_refused_with_both(folder, other):
    notes = note(b"GNU\0", 3, bytes.fromhex(other))
    with pytest.raises(GdbFpuError) as caught:
        verify(kernel(notes), folder / "vmlinux")
    message = str(caught.value)
    assert ID in message
    assert other in message
    assert str(folder / "vmlinux") in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "notes",
    [
        b"".join(OTHERS),
        b"".join(OTHERS)[:-5],
        bytes(40),
        b"\xff" * 100,  # sizes of 4 GiB
        struct.pack("<III", 0xFFFFFFF0, 20, 3) + bytes(24),
        b"short",
    ],
)
def test_no_build_id_in_memory(folder, notes):
    with pytest.raises(GdbFpuError, match="shows no build-id"):
        verify(kernel(notes), folder / "vmlinux")


def test_memory_that_is_not_there(folder):
    target = kernel(b"x" * 40)
    target.ranges.clear()
    with pytest.raises(GdbFpuError, match=r"not in memory.*nokaslr") as caught:
        verify(target, folder / "vmlinux")
    assert not isinstance(caught.value, MemoryFault)


@pytest.mark.parametrize("stop", [NOTES - 4, NOTES, NOTES + 4097, None])
def test_absurd_place_of_the_notes(folder, stop):
    target = kernel(b"x" * 40)
    target.symbols["__stop_notes"] = stop
    with pytest.raises(CorruptState, match="where the kernel's notes are"):
        verify(target, folder / "vmlinux")
    assert target.reads == []


@pytest.mark.parametrize("name", ["__start_notes", "__stop_notes"])
def test_kernel_without_symbols_for_its_notes(folder, name):
    target = kernel(b"x" * 40)
    del target.symbols[name]
    with pytest.raises(CorruptState):
        verify(target, folder / "vmlinux")


def test_notes_of_the_largest_size_believed(folder):
    notes = (folder / "notes").read_bytes().ljust(4096, b"\0")
    assert verify(kernel(notes), folder / "vmlinux") == ID


# --- without a build-id: the banner


def symbol(folder, name):
    lines = run("nm", folder / "bare").splitlines()
    return next(int(line.split()[0], 16) for line in lines if line.split()[-1] == name)


def bannered(folder, running, name="linux_banner"):
    address = symbol(folder, name)
    target = FakeTarget()
    target.symbols = {"linux_banner": address}
    target.put(address, running)
    return target


def test_same_banner(folder):
    assert verify(bannered(folder, BANNER + b"\0rest"), folder / "bare") == ""


@pytest.mark.parametrize(
    "running", [BANNER.replace(b"4.4.60", b"4.4.61"), BANNER.replace(b"#1", b"#2"), bytes(200)]
)
def test_other_banner_is_refused(folder, running):
    with pytest.raises(GdbFpuError, match=r"does not match the running kernel.*nokaslr"):
        verify(bannered(folder, running), folder / "bare")


def test_empty_banner_proves_nothing(folder):
    with pytest.raises(GdbFpuError):
        verify(bannered(folder, bytes(64), "empty_banner"), folder / "bare")


def test_file_without_a_banner_is_no_kernel(folder):
    with pytest.raises(GdbFpuError, match="is it a Linux kernel"):
        verify(FakeTarget(), folder / "bare")


def test_unreadable_banner(folder):
    target = bannered(folder, BANNER)
    target.ranges.clear()
    with pytest.raises(MemoryFault):
        verify(target, folder / "bare")


# --- the file


def test_other_machine_is_refused_before_anything_is_read(folder):
    data = bytearray((folder / "vmlinux").read_bytes())
    data[18:20] = struct.pack("<H", 183)  # EM_AARCH64
    (folder / "arm").write_bytes(data)
    target = kernel(b"x" * 40)
    with pytest.raises(GdbFpuError, match=r"EM_AARCH64.*EM_X86_64"):
        verify(target, folder / "arm")
    assert target.reads == []


def test_file_that_is_not_there(folder):
    with pytest.raises(GdbFpuError, match="No such file"):
        verify(FakeTarget(), folder / "missing")


# --- how far KASLR moved it

MIB = 1 << 20
STEP, MOST = 2 * MIB, 1 << 30  # arch/x86/boot/compressed/kaslr.c: places in the first GiB


def moved(folder, slide, applied=0):
    """A kernel `slide` above its file, in a debugger whose symbols are `applied` above it."""
    lines = run("readelf", "-SW", folder / "with-notes").splitlines()
    fields = next(line for line in lines if " .notes " in line).partition("NOTE")[2].split()
    start, data = int(fields[0], 16), (folder / "notes").read_bytes()
    target = FakeTarget()
    target.slide = applied
    target.symbols = {
        "__start_notes": start + applied,
        "__stop_notes": start + len(data) + applied,
    }
    if slide is not None:
        target.put(start + slide, data)
    return target, start


@pytest.mark.parametrize("applied", [0, STEP, 0x1C200000])
def test_slide_of_the_symbols(folder, applied):
    target, _ = moved(folder, 0, applied)
    assert file_slide(target, folder / "with-notes") == applied
    assert target.reads == []


def test_slide_of_symbols_that_are_not_there(folder):
    target, _ = moved(folder, 0, STEP)
    assert file_slide(target, folder / "vmlinux") == 0  # a file without a section .notes
    del target.symbols["__start_notes"]
    assert file_slide(target, folder / "with-notes") == 0


@pytest.mark.parametrize("applied", [0, STEP, 0x1C200000])
@pytest.mark.parametrize("slide", [0, STEP, 2 * STEP, 0x1C200000, MOST - STEP])
def test_kernel_is_found_wherever_kaslr_puts_it(folder, slide, applied):
    """Between the places nothing is mapped."""
    target, _ = moved(folder, slide, applied)
    assert find_slide(target, folder / "with-notes") == slide


def test_present_place_is_tried_first(folder):
    applied = 3 * STEP + 5  # no place of KASLR's, and still the truth
    target, start = moved(folder, applied, applied)
    told = []
    assert find_slide(target, folder / "with-notes", lambda *at: told.append(at)) == applied
    assert [address for address, _ in target.reads] == [start + applied]
    assert told == []


@pytest.mark.parametrize("slide", [MIB, STEP - 4, MOST, MOST + STEP, -STEP, None])
def test_places_that_kaslr_does_not_choose_are_not_tried(folder, slide):
    target, start = moved(folder, slide)
    assert find_slide(target, folder / "with-notes") is None
    places = [address for address, _ in target.reads]
    assert places == list(range(start, start + MOST, STEP))


def test_no_place_is_tried_twice(folder):
    target, start = moved(folder, None, 2 * STEP)
    assert find_slide(target, folder / "with-notes") is None
    places = [address for address, _ in target.reads]
    assert places[:2] == [start + 2 * STEP, start]
    assert sorted(places) == list(range(start, start + MOST, STEP))


def test_other_build_ids_on_the_way_do_not_count(folder):
    target, start = moved(folder, 3 * STEP)
    other = "ff" + ID[2:]
    for at, data in ((0, note(b"GNU\0", 3, bytes.fromhex(other))), (STEP, bytes(36))):
        target.put(start + at, data)
    assert find_slide(target, folder / "with-notes") == 3 * STEP
    target.put(start + 3 * STEP, note(b"GNU\0", 3, bytes.fromhex(other)))
    assert find_slide(target, folder / "with-notes") is None


def test_search_is_told(folder):
    target, _ = moved(folder, 3 * STEP)
    told = []
    find_slide(target, folder / "with-notes", lambda *at: told.append(at))
    assert told == [(0, 512), (1, 512), (2, 512)]


def test_kernel_without_a_build_id_is_found_by_its_banner(folder):
    target = bannered(folder, BANNER.replace(b"4.4.60", b"4.4.61"))
    address = target.symbols["linux_banner"]
    target.put(address + STEP, bytes(len(BANNER)))
    target.put(address + 4 * STEP, BANNER + b"\0rest")
    assert find_slide(target, folder / "bare") == 4 * STEP
    del target.ranges[address + 4 * STEP]
    assert find_slide(target, folder / "bare") is None


def test_banner_below_moved_symbols(folder):
    """The file is asked at its own address, memory where the kernel is."""
    name = "--rename-section=.note.ABI-tag=.notes"
    run("objcopy", name, folder / "bare", folder / "bare-notes")
    lines = run("readelf", "-SW", folder / "bare-notes").splitlines()
    fields = next(line for line in lines if " .notes " in line).partition("NOTE")[2].split()
    address = symbol(folder, "linux_banner")
    target = FakeTarget()
    target.symbols = {"linux_banner": address + STEP, "__start_notes": int(fields[0], 16) + STEP}
    target.put(address + 4 * STEP, BANNER)
    assert find_slide(target, folder / "bare-notes") == 4 * STEP


def test_file_that_says_nothing_is_found_nowhere(folder):
    assert find_slide(FakeTarget(), folder / "with-notes") is None
    assert find_slide(FakeTarget(), folder / "bare") is None
