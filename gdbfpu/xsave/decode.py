# SPDX-License-Identifier: GPL-2.0-or-later
"""Decode an image of the FPU's state, in any format, to an FpuImage."""

from __future__ import annotations

from dataclasses import replace

from gdbfpu.errors import UsageError
from gdbfpu.xsave.area import (
    EXTENDED_OFFSET,
    LEGACY_SIZE,
    Span,
    XsaveHeader,
    changed,
    in_use,
    parse_header,
    standard_spans,
)
from gdbfpu.xsave.components import extended_registers
from gdbfpu.xsave.components.parts import Parts
from gdbfpu.xsave.components.sse import control_registers
from gdbfpu.xsave.components.views import Register
from gdbfpu.xsave.components.x87 import registers as x87_registers
from gdbfpu.xsave.defects import legacy_defects, xsave_defects
from gdbfpu.xsave.features import FPSSE, SSE, bits, component_name
from gdbfpu.xsave.formats import FORMATS, detect
from gdbfpu.xsave.image import ComponentState, FpuImage
from gdbfpu.xsave.legacy import (
    CONTROL_SIZE,
    FSAVE_ENVIRONMENT_SIZE,
    FSAVE_SIZE,
    INIT_FCW,
    INIT_MXCSR,
    MXCSR_MASK_OFFSET,
    MXCSR_OFFSET,
    XMM_END,
    XMM_OFFSET,
    parse_fsave,
    parse_fxsave,
    parse_mxcsr,
)
from gdbfpu.xsave.places import ARCHITECTURE, Tables, place_compacted, place_standard
from gdbfpu.xsave.sigframe import frame_defects, parse_frame

__all__ = ("decode",)

_INIT_FSAVE = (INIT_FCW, 0, 0xFFFF, 0, 0, 0)
_INIT_X87 = INIT_FCW.to_bytes(MXCSR_OFFSET, "little")
_INIT_LEGACY = _INIT_X87 + INIT_MXCSR.to_bytes(LEGACY_SIZE - MXCSR_OFFSET, "little")
_MAX_COMPONENT = 1 << 16  # bytes; a damaged table may say 4 GiB


def decode(image: bytes, *, format: str = "auto", tables: Tables = ARCHITECTURE) -> FpuImage:
    """Return all that `image` holds. A damaged image has `defects`, and is decoded anyway.

    `format` is one of FORMATS, or `auto`. Raises UsageError for another format, or when `auto`
    cannot decide. Source: Intel SDM volume 1, 13.4 to 13.12.
    """
    reason = "it was asked for"
    if format == "auto":
        format, reason = detect(image)
    if format not in FORMATS:
        raise UsageError(f"no image format {format!r}; say one of auto, {', '.join(FORMATS)}")
    if format == "fsave":
        return _decode_fsave(image, reason)
    if format == "fxsave":
        return _decode_fxsave(image, reason)
    if format == "sigframe":
        return _decode_sigframe(image, reason, tables)
    return _decode_xsave(image, format, reason, tables)


def _decode_fsave(image: bytes, reason: str) -> FpuImage:
    registers: tuple[Register, ...] = ()
    fresh = False
    if len(image) >= FSAVE_ENVIRONMENT_SIZE:
        x87 = parse_fsave(image)
        registers = x87_registers(x87, image[8:10])
        fresh = (x87.fcw, x87.fsw, x87.ftw, x87.fop, x87.fip, x87.fdp) == _INIT_FSAVE
        fresh = fresh and not any(map(any, x87.st))
    span = Span(0, 0, FSAVE_SIZE)
    return FpuImage(
        format="fsave",
        reason=reason,
        places="architecture",
        size=len(image),
        xfeatures=None,
        xcomp_bv=None,
        components=(_component(image, span, True, not fresh),),
        registers=registers,
        defects=legacy_defects(len(image), FSAVE_SIZE, 0, 0),
    )


def _decode_fxsave(
    image: bytes, reason: str, format: str = "fxsave", expected: int = LEGACY_SIZE
) -> FpuImage:
    """Decode the legacy region alone: FXSAVE's image, or one too short for its XSAVE header."""
    spans = standard_spans(FPSSE)
    differing = changed(image, spans)
    mxcsr, mask = parse_mxcsr(image)
    return FpuImage(
        format=format,
        reason=reason,
        places="architecture",
        size=len(image),
        xfeatures=None,
        xcomp_bv=None,
        components=tuple(_component(image, s, True, differing >> s.number & 1) for s in spans),
        registers=_registers(image[:LEGACY_SIZE], Parts({SSE: image[XMM_OFFSET:XMM_END]}, 3)),
        defects=legacy_defects(len(image), expected, mxcsr, mask),
    )


def _decode_xsave(
    image: bytes, format: str, reason: str, tables: Tables, size: int | None = None
) -> FpuImage:
    """Decode an XSAVE area of `size` bytes, by default those of `image`; `image` may be cut."""
    if len(image) < EXTENDED_OFFSET:
        return _decode_fxsave(image, reason, format, EXTENDED_OFFSET)
    header = parse_header(image)
    compacted = format == "compacted"
    if compacted:
        place = place_compacted(image, header, tables)
    else:
        place = place_standard(image, header, tables, size)
    legacy = _effective_legacy(image, header, compacted)
    mxcsr, mask = parse_mxcsr(legacy)
    return FpuImage(
        format=format,
        reason=reason,
        places=place.source,
        size=len(image),
        xfeatures=header.xfeatures,
        xcomp_bv=header.xcomp_bv,
        components=_components(image, header, place.spans),
        registers=_registers(legacy, _parts(image, legacy, header, place.spans), compacted),
        defects=(
            *legacy_defects(len(image), EXTENDED_OFFSET, mxcsr, mask),
            *xsave_defects(len(image), header, place.spans, compacted, tables.mask),
        ),
        notes=place.notes,
    )


def _decode_sigframe(image: bytes, reason: str, tables: Tables) -> FpuImage:
    """Decode a frame: its XSAVE image, and a 32-bit frame's x87 from the FSAVE image before it.

    sigreturn loads x87 from that FSAVE image (`convert_to_fxsr` in the kernel).
    """
    frame = parse_frame(image)
    end = frame.base + max(LEGACY_SIZE, frame.xstate_size if frame.extended else 0)
    inner = image[frame.base : end]
    if frame.extended:
        own = replace(tables, mask=frame.xfeatures)
        decoded = _decode_xsave(inner, "standard", reason, own, frame.xstate_size)
    else:
        decoded = _decode_fxsave(inner, reason)
    registers, defects = decoded.registers, decoded.defects
    if frame.ia32:
        front = _decode_fsave(image[:FSAVE_SIZE], reason)
        registers = (*front.registers, *(r for r in registers if r.component != 0))
        defects = (*front.defects, *_differences(front, decoded), *defects)
    return replace(
        decoded,
        format="sigframe",
        size=len(image),
        registers=registers,
        defects=(*frame_defects(frame, len(image)), *defects),
        frame=frame,
    )


def _differences(front: FpuImage, decoded: FpuImage) -> tuple[str, ...]:
    """Return a defect when the FSAVE and the FXSAVE image of a 32-bit frame disagree."""
    other = {register.name: register.raw for register in decoded.registers}
    shared = ("fcw", "fsw", *(f"st{i}" for i in range(8)))
    differing = [
        register.name
        for register in front.registers
        if register.name in shared and other.get(register.name, register.raw) != register.raw
    ]
    return (
        (f"the FSAVE and the FXSAVE image differ in {', '.join(differing)}",) if differing else ()
    )


def _effective_legacy(image: bytes, header: XsaveHeader, compacted: bool) -> bytes:
    """Return the legacy region with initial values where the header says so.

    MXCSR has its own rule. From a standard image XRSTOR always loads it. From a compacted image
    whose XSTATE_BV[1] is clear, XRSTOR sets it to its initial value.
    Source: Intel SDM volume 1, 13.8.1 and 13.8.2.
    """
    legacy = bytearray(image[:LEGACY_SIZE])
    if not header.xfeatures & 1:
        for start, end in ((0, MXCSR_OFFSET), (CONTROL_SIZE, XMM_OFFSET)):
            legacy[start:end] = _INIT_LEGACY[start:end]
    if not header.xfeatures & 2:
        legacy[XMM_OFFSET:XMM_END] = _INIT_LEGACY[XMM_OFFSET:XMM_END]
        if compacted:
            mxcsr = slice(MXCSR_OFFSET, MXCSR_MASK_OFFSET)
            legacy[mxcsr] = _INIT_LEGACY[mxcsr]
    return bytes(legacy)


def _parts(image: bytes, legacy: bytes, header: XsaveHeader, spans: tuple[Span, ...]) -> Parts:
    """Return the bytes of each component: memory's if it is in use, else zeros."""
    data = {SSE: legacy[XMM_OFFSET:XMM_END]}
    for span in spans[2:]:
        used = header.xfeatures >> span.number & 1
        zeros = bytes(min(span.size, _MAX_COMPONENT))
        data[span.number] = image[span.offset : span.end] if used else zeros
    return Parts(data, in_use(header))


def _registers(legacy: bytes, parts: Parts, compacted: bool = False) -> tuple[Register, ...]:
    """Return all registers in reading order, none if the legacy region is cut short."""
    if len(legacy) < CONTROL_SIZE:
        return ()
    fxsave = parse_fxsave(legacy)
    control = control_registers(fxsave.mxcsr, fxsave.mxcsr_mask, compacted and parts.initial(1))
    return (
        *x87_registers(fxsave.x87, bytes([fxsave.ftw_byte]), parts.initial(0)),
        *control,
        *extended_registers(parts),
    )


def _components(
    image: bytes, header: XsaveHeader, spans: tuple[Span, ...]
) -> tuple[ComponentState, ...]:
    """Return the components at `spans`, and those in use whose place is not known."""
    used, differing = in_use(header), changed(image, spans)
    found = [
        _component(image, span, used >> span.number & 1, differing >> span.number & 1)
        for span in spans
    ]
    lost = used & ~sum(1 << span.number for span in spans)
    for number in bits(lost):
        name = component_name(number)
        found.append(ComponentState(number, name, None, None, b"", True, False))
    return tuple(sorted(found, key=lambda component: component.number))


def _component(image: bytes, span: Span, used: int, differs: int) -> ComponentState:
    return ComponentState(
        number=span.number,
        name=component_name(span.number),
        offset=span.offset,
        size=span.size,
        raw=image[span.offset : span.end],
        in_use=bool(used),
        changed=bool(differs),
    )
