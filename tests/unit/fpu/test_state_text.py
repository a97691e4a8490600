# SPDX-License-Identifier: GPL-2.0-or-later
"""What fpu-state prints: tables, dumps, differences, JSON by its schema."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from fake_kernel import FPU, GOLDEN, golden_world, layouts_44

from gdbfpu.errors import UsageError
from gdbfpu.fpu import model as fpu
from gdbfpu.fpu.state import TaskState, read_state
from gdbfpu.fpu.state_text import diff_json, diff_table, state_json, state_raw, state_table
from gdbfpu.kernel.tasks import Kernel

SCHEMA = json.loads(Path(__file__).parents[3].joinpath("docs/decode.schema.json").read_text())
DIFF_SCHEMA = {"$ref": "#/$defs/diff", "$defs": SCHEMA["$defs"]}
REGS_ACTIVE = FPU + 5
LIVE = {"mxcsr": b"\x80\x9f\0\0", "st0": b"\xb0" * 10, "xmm7": b"\xd7" * 16}


def state(comm, live=None, saved=True) -> TaskState:
    """The recorded state of `comm` with its pattern; with `live` it runs, and a stub shows that.

    Without `saved` it is the state before the first save: the header in memory is zero.
    """
    hits = (hit for hit in GOLDEN["hits"] if hit["comm"] == comm)
    hit = next(hit for hit in hits if bool(hit["header"]["xfeatures"]) is saved)
    world, task = golden_world(hit, "qemu")
    world.target.put_int(task + REGS_ACTIVE, bool(live), 1)
    if live:
        world.run(task, 1)
        world.target.fpu[1] = live
    model = fpu.probe(Kernel(world.target, layouts_44()))
    return read_state(model, model.kernel.task(task))


def validate(data, schema=SCHEMA):
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(json.loads(json.dumps(data, allow_nan=False)))


def row_of(text, name):
    (row,) = (line.split() for line in text.splitlines() if line.split()[:1] == [name])
    return row


def test_head_names_the_task_and_the_truth():
    sleeping = state("audiod")
    first, second, *_ = state_table(sleeping, ()).splitlines()
    pid = sleeping.task.pid
    assert first == (
        f"task       audiod (pid {pid}, tgid {pid}), task_struct {sleeping.task.address:#x}, "
        f"struct fpu {sleeping.task.address + 1792:#x}"
    )
    assert second == "truth      in memory: the task does not run"


def test_table_of_a_sleeping_task_needs_no_sources():
    text = state_table(state("audiod"), ["SSE"])
    assert row_of(text, "xmm7")[-1] == "112d4454fb2109409c7500883ce437fe"
    assert "v2_double {3.14159265358979, -1e+300}" in text
    assert "memory" not in text.split("bytes in memory order")[1]
    assert "ymm0" not in text and "st0" not in text


def test_table_of_a_live_task_tells_the_sources():
    text = state_table(state("audiod", LIVE), ())
    assert row_of(text, "xmm7")[-2:] == ["d7" * 16, "CPU"]
    assert row_of(text, "xmm6")[-1] == "memory"
    assert "low half CPU, rest memory" in text


def test_raw_dump_is_memory_even_where_a_cpu_has_newer():
    running = state("audiod", LIVE)
    text = state_raw(running, ["SSE"])
    lines = text.splitlines()
    assert lines[1].startswith("truth      live in CPU 1")
    assert "SSE, in use" in lines
    dumped = bytes.fromhex("".join(line.split(":")[1] for line in lines if line[:2] == "  "))
    assert dumped == running.raw[160:416]
    assert dumped[7 * 16 :][:16] == bytes.fromhex("112d4454fb2109409c7500883ce437fe")


def test_raw_dump_tells_the_bits_of_the_header_in_memory():
    running = state("audiod", LIVE, saved=False)
    assert [c.in_use for c in running.image.components] == [True, True, False]
    lines = state_raw(running, ()).splitlines()
    parts = [line for line in lines if line.endswith(("in use", "the header"))]
    assert parts == [f"{name}, initial according to the header" for name in ("x87", "SSE", "AVX")]


def test_raw_dump_of_all_components():
    text = state_raw(state("Xorg"), ())
    parts = [line.split(",")[0] for line in text.splitlines() if line.endswith("in use")]
    assert parts == ["x87", "SSE", "AVX"]
    assert "  576: fffefdfc fbfaf9f8 f7f6f5f4 f3f2f1f0 efeeedec ebeae9e8 e7e6e5e4 e3e2e1e0" in text


def test_json_by_the_schema():
    for found in (state("audiod"), state("x87calc"), state("Xorg", LIVE)):
        validate(state_json(found, ()))
    data = state_json(state("Xorg", LIVE), ["SSE"])
    assert data["task"]["comm"] == "Xorg"
    assert (data["task"]["cpu"], data["task"]["live"]) == (1, True)
    assert data["registers"]["xmm7"]["source"] == "CPU"
    assert data["registers"]["xmm7"]["bytes"] == "d7" * 16
    assert data["registers"]["xmm6"]["source"] == "memory"


@pytest.mark.parametrize("lost", ["pid", "truth", "live"])
def test_schema_refuses_a_task_that_lacks_a_key(lost):
    data = state_json(state("audiod"), ())
    del data["task"][lost]
    with pytest.raises(jsonschema.ValidationError, match=f"'{lost}' is a required property"):
        validate(data)


def test_schema_wants_sources_with_a_task_and_only_there():
    data = state_json(state("audiod"), ())
    del data["registers"]["xmm7"]["source"]
    with pytest.raises(jsonschema.ValidationError, match="'source' is a required property"):
        validate(data)
    data = state_json(state("audiod"), ())
    del data["task"]
    with pytest.raises(jsonschema.ValidationError, match="'memory'"):
        validate(data)


# --- differences


def test_diff_shows_only_what_differs():
    one, other = state("audiod"), state("Xorg")
    data = diff_json(one, other, ["SSE"])
    validate(data, DIFF_SCHEMA)
    assert [task["comm"] for task in data["tasks"]] == ["audiod", "Xorg"]
    assert data["registers"]["xmm7"] == [
        "112d4454fb2109409c7500883ce437fe",
        bytes(0x70 | j for j in range(16)).hex(),
    ]
    assert data["registers"]["mxcsr"] == ["c0ff0000", "801f0000"]
    assert "mxcsr_mask" not in data["registers"]
    assert set(data["registers"]) == {"mxcsr", *(f"xmm{i}" for i in range(16))}


def test_diff_as_a_table():
    one, other = state("audiod"), state("Xorg")
    text = diff_table(one, other, ["SSE"])
    assert f"audiod ({one.task.pid})" in text
    assert f"Xorg ({other.task.pid})" in text
    assert text.count("truth ") == 2
    row = next(line for line in text.splitlines() if line.startswith("xmm7"))
    assert "v2_double {3.14159265358979, -1e+300}" in row
    assert "mxcsr_mask" not in text


def test_equal_states_do_not_differ():
    one = state("audiod")
    assert diff_json(one, one, ())["registers"] == {}
    assert diff_table(one, one, ()).endswith("\n\nno register differs")


def test_register_that_only_one_state_has():
    """As after a task's first use of AMX: its image is larger than others'."""
    one = state("Xorg")
    registers = tuple(r for r in one.image.registers if r.name != "ymm3")
    less = replace(one, image=replace(one.image, registers=registers))
    value = one.image.register("ymm3").raw.hex()
    for data, pair in (
        (diff_json(one, less, ()), [value, None]),
        (diff_json(less, one, ()), [None, value]),
    ):
        validate(data, DIFF_SCHEMA)
        assert data["registers"] == {"ymm3": pair}
    (row,) = (line for line in diff_table(less, one, ()).splitlines() if "v4_double" in line)
    assert row.split()[:2] == ["ymm3", "-"]


def test_component_that_the_image_lacks():
    for show in (state_table, state_json, state_raw):
        with pytest.raises(UsageError, match="no component 'PKRU'; it has x87, SSE, AVX"):
            show(state("audiod"), ["PKRU"])
    with pytest.raises(UsageError, match="no component 'PKRU'"):
        diff_table(state("audiod"), state("Xorg"), ["PKRU"])
