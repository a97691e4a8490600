# SPDX-License-Identifier: GPL-2.0-or-later
"""Tables and JSON objects made from images."""

import json
import struct
from pathlib import Path

import jsonschema
import pytest
from fpu_images import float80, legacy, put, xsave

from gdbfpu.errors import UsageError
from gdbfpu.xsave.decode import decode
from gdbfpu.xsave.text import render_table, to_json, value_lines

BIT63 = 1 << 63
SCHEMA = json.loads(Path(__file__).parents[3].joinpath("docs/decode.schema.json").read_text())
PI = float80(0, 16384, 0xC90FDAA22168C235)
SOFTWARE = struct.pack("<IIQI", 0x46505853, 836, 7, 832)


def full_image():
    image = xsave(
        0x602FF, fsw=7 << 11, ftw=0x80, st=[PI], xmm=[struct.pack("<4f", 1, -2.5, 1e-40, 6.02e23)]
    )
    image = put(put(image, 2688, b"\x58\x55\x55\x55"), 2752, b"\1")
    return bytes(put(image, 11007, b"\0"))


IMAGES = {
    "standard": full_image(),
    "compacted": bytes(put(xsave(0x1FD00, BIT63 | 0x1FD00), 4000, b"\1")),
    "fxsave": bytes(legacy()),
    "fsave": bytes(108),
    "sigframe": bytes(
        put(put(xsave(3), 464, b"SXPF\x44\3\0\0\7\0\0\0\0\0\0\0\x40\3"), 832, b"EXPF")
    ),
    "unknown": bytes(xsave(1 << 42, st=[b"\xff" * 10])),
    "nan": bytes(xsave(3, xmm=[b"\xff" * 16], st=[b"\xff" * 10])),
}


@pytest.mark.parametrize("name", IMAGES)
def test_json_follows_the_schema(name):
    text = json.dumps(to_json(decode(IMAGES[name])), allow_nan=False)
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(text))


def test_schema_refuses_what_lacks_a_key():
    broken = json.loads(json.dumps(to_json(decode(IMAGES["fsave"]))))
    del broken["registers"]["fcw"]["bytes"]
    with pytest.raises(jsonschema.ValidationError, match="'bytes' is a required property"):
        jsonschema.Draft202012Validator(SCHEMA).validate(broken)


def test_json_keys_of_the_architecture():
    found = to_json(decode(IMAGES["standard"]))
    assert (found["format"], found["xfeatures"], found["xcomp_bv"]) == (
        "standard",
        "0x602ff",
        "0x0",
    )
    assert found["registers"]["st0"]["bytes"] == "35c26821a2da0fc90040"
    assert found["registers"]["st0"]["decimal"] == "3.1415926535897932385"
    assert found["registers"]["xmm0"]["v4_float"][:2] == (1.0, -2.5)
    assert found["registers"]["pkru"]["rights"][1] == "read"
    assert found["components"][2] == {
        "number": 2,
        "name": "AVX",
        "offset": 576,
        "size": 256,
        "in_use": True,
        "changed": False,
    }


def test_json_of_a_frame():
    found = to_json(decode(IMAGES["sigframe"]))
    assert found["frame"] == {
        "ia32": False,
        "magic1": 0x46505853,
        "extended_size": 836,
        "xfeatures": "0x7",
        "xstate_size": 832,
        "magic2": 0x46505845,
    }


def test_json_of_chosen_components():
    found = to_json(decode(IMAGES["standard"]), ["pkru", "TILECFG"])
    assert list(found["registers"]) == ["pkru", "tilecfg"]
    assert [c["name"] for c in found["components"]] == ["PKRU", "TILECFG"]


def test_table_says_what_the_image_is():
    lines = render_table(decode(IMAGES["standard"])).splitlines()
    assert lines[0] == "format     standard (XCOMP_BV[63] is clear), 11008 bytes"
    assert lines[1].startswith("xfeatures  0x602ff x87|SSE|AVX|BNDREGS|")
    assert lines[2:4] == ["xcomp_bv   0x0", "places     architecture"]


def row(text, name):
    return next(line for line in text.splitlines() if line.split()[:1] == [name])


def test_table_rows():
    text = render_table(decode(IMAGES["standard"]))
    assert row(text, "PKRU").split() == ["PKRU", "9", "2688", "8", "in", "use", "changed"]
    assert row(text, "st0").split()[1:] == [
        "3.1415926535897932385",
        "0x1.921fb54442d1846ap+1",
        "normal,",
        "valid",
        "35c26821a2da0fc90040",
    ]
    assert row(text, "ymm1").split()[1:] == ["0", "32", "bytes", "of", "zero"]
    assert "v4_float {1, -2.5, 1e-40, 6.02e+23}" in text


def test_table_of_a_component():
    text = render_table(decode(IMAGES["standard"]), ["PKRU"])
    assert "pkru" in text
    assert "xmm0" not in text


def test_table_shows_defects_and_frames():
    text = render_table(decode(IMAGES["unknown"]))
    assert "defect     the place of bit 42 is not known" in text
    assert row(text, "bit").split() == ["bit", "42", "42", "?", "?", "in", "use", "initial"]
    text = render_table(decode(IMAGES["sigframe"]))
    assert "frame      of a 64-bit task, 832 bytes of state" in text


def test_unknown_component_is_refused():
    with pytest.raises(UsageError, match="no component 'AVX9'"):
        to_json(decode(IMAGES["standard"]), ["AVX9"])


@pytest.mark.parametrize(
    ("word", "text"),
    [(0x0F800000, "1.2621775e-29"), (0x6B000000, "1.5474251e+26"), (0x6C800000, "1.2379401e+27")],
)
def test_shortest_single_above_the_nearest_decimal(word, text):
    """Powers of two, as numpy prints them; the decimal just below reads as another number."""
    image = decode(bytes(legacy(xmm=[word.to_bytes(4, "little") * 4])))
    lines = value_lines(image.register("xmm0"))
    assert lines[1] == f"v4_float {{{', '.join([text] * 4)}}}"


def test_largest_single_is_still_a_number():
    image = decode(bytes(xsave(3, xmm=[b"\xff\xff\x7f\x7f" * 4])))
    lines = value_lines(image.register("xmm0"))
    assert lines[1] == f"v4_float {{{', '.join(['3.4028235e+38'] * 4)}}}"
