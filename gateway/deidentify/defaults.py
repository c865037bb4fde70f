"""What is done to an element that Table E.1-1 does not name. It fails closed:

- private elements, unknown standard tags, retired elements (but `RETIRED_NUMBERS`), group lengths, whole overlay (60xx) and
  curve (50xx) groups, and what has no place in a data set (groups below 0008) are removed; so are URIs and opaque bytes;
- of the patient group (0010) and of security screening (4010) nothing is kept but what `PATIENT_GROUP` lists; other elements
  that name a person, a department, a device or an issuer are removed (`REMOVED`), labels that are typed replaced (`TYPED`);
- a person's name, a date or a time becomes empty; free text (ST, LT, UT, UC) becomes a dummy, or is cleaned where only
  technical terms belong (`HARMLESS_TEXT`); a UID is replaced, unless the element holds a class, a syntax or a coding
  scheme, which name no instance, or is registered (PS3.6 Annex A); items of sequences are cleaned;
- all else of the standard is kept: codes, short labels, numbers, geometry, look-up tables, pixel data.

Options reach these elements as they do the rows of the table: dates and times are shifted or kept (PS3.15 E.1.1 note 4 and
E.3.6), typed and free text is cleaned (E.3.5 note 3), that of content items and graphic layers under the option that is about
them, UIDs stay with Retain UIDs, else references would break. What is removed above stays removed.

The exceptions, each looked at by hand, are the sets below.
"""

from __future__ import annotations

from pydicom._uid_dict import UID_dictionary

from gateway.deidentify.actions import NUMBER_VRS, TEXT_VRS, Action, Rule
from gateway.deidentify.options import DATES, FREE_TEXT, FULL_DATES, MODIFIED_DATES, Options

CLASS_UIDS = frozenset(
    {
        0x00080016,
        0x0008001A,
        0x0008001B,
        0x00080062,
        0x0008010C,
        0x00080117,
        0x00080118,
        0x0008040E,
        0x00081150,
        0x0008115A,
    }
    | {0x00083002, 0x00340003, 0x04000010, 0x04000510, 0x30100052, 0x30100053}
)
"""SOP classes, transfer syntaxes, coding schemes, context groups, mapping resources."""

REGISTERED = frozenset(uid.encode() for uid in UID_dictionary)
"""PS3.6 Annex A. DICOM's root and a length would be no proof: instance UIDs are made under it by mistake."""

HARMLESS_TEXT = frozenset(
    {
        0x00080114,
        0x00080115,
        0x00080119,
    }  # coding scheme: external ID, name; long code value
    | {0x00160003, 0x00160017, 0x00160020}  # EXIF battery level, sensitivity, version
    | {0x00187006, 0x00187008, 0x00187040, 0x00187041, 0x00187062}  # detector, grid, exposure control
    | {0x00286190, 0x00280A02, 0x20100010, 0x300A007B}  # mask operation, calibration, display format, fraction pattern
    | {0x00201040}  # position reference indicator, on a slide its corner (PS3.3 C.7.4.1)
    | {0x00400031, 0x00400032, 0x00660032, 0x3010000C}  # issuer's name space, algorithm parameters, volume expression
)
ICC_PROFILE = 0x00282000
CODE_MEANING, URN_CODE = 0x00080104, 0x00080120
HARMLESS_BYTES = frozenset({0x00142210, 0x00143080, 0x00160062, 0x00700256, 0x4010106C})
"""Axis values, bad pixels, EXIF version, fill pattern, detector calibration."""

REMOVED = frozenset(
    {
        0x00080300,
        0x00080310,
        0x04000500,
        0x0040E030,
        0x0040E031,
    }  # dictionaries of private data, encrypted attributes, repositories
    | {
        0x00080051,
        0x00400026,
        0x00400027,
        0x0040003A,
        0x00400515,
    }  # issuers of accession and order numbers, department, container
    | {
        0x00080220,
        0x00321031,
        0x00321034,
        0x00440103,
        0x0044010A,
        0x30100019,
        0x0074100C,
    }  # groups and persons responsible
    | {
        0x0072000E,
        0x00720010,
        0x21000160,
        0x00181003,
        0x00181803,
        0x30020020,
    }  # users, owner, device, time server, machine
    | {0x00287007, 0x0028702A, 0x30040006, 0x300600C8}  # comments in short text
    | {0x00720008, 0x00140100, 0x00181801, 0x21100030, 0x00880130}  # persons, hosts, media
    | {0x00440012, 0x0044000A, 0x00221097, 0x00820016}  # lots, products, names
    | {0x00181006, 0x300A0421, 0x00185010}  # serial numbers of grid, accessory, transducer
    | {0x00420015}  # the length of a document that is replaced
)
TYPED = frozenset(
    {0x00189423, 0x00189916, 0x00400255, 0x0040A492, 0x00380102, 0x00741204, 0x00741202}  # protocol, step, plan
    | {0x00700081, 0x00700068, 0x00620005, 0x00286022, 0x00209453, 0x00440011}  # labels of content
    | {0x20000050, 0x30020002, 0x30020003, 0x300A00C2, 0x300A0009}  # film, RT image, beam, treatment
)
"""Labels that somebody typed, and may have typed a name into: a dummy."""
CONTENT_TEXT = frozenset({0x0040A160, 0x0040A492})
"""Text Value and Completion Flag Description, of content items and of the document that they make up."""
GRAPHIC_TEXT = frozenset({0x00700068})
"""Graphic Layer Description."""
PATIENT_GROUP = frozenset(
    {0x00100028, 0x00100200, 0x00100201, 0x00101023, 0x00101024, 0x00102201, 0x00102202, 0x00102210, 0x00109431}
)
"""What is kept of group 0010 without a row: position, quality control, dimensions, species, orientation."""

RETIRED_NUMBERS = frozenset(
    {0x00200030, 0x00200035, 0x00200050, 0x00185210, 0x00185212, 0x00181141, 0x00181146}  # position, orientation, angle
    | {0x00180032, 0x00180033, 0x00189195, 0x00189196}  # energy windows, spectral limits
    | {0x30060044, 0x30060045, 0x30060049}  # thickness and offset of contours, and whose holes they are
    | {0x300600C0}  # how a structure set's frames of reference lie
    | {0x00660023, 0x00660024, 0x00660025, 0x00660029}  # which points make a surface, in words of 16 bits
    | {0x30040010, 0x30040012}  # dose at points and on the average, and of a calibration
    | {0x300A0082, 0x300A008D, 0x300A008E, 0x300A008F}  # where a beam's dose was specified
    | {0x00400300, 0x00400301, 0x00400307, 0x00189324}  # fluoroscopy: time, exposures, distance; dose saved
)
"""What is kept of retired elements: measurements of geometry, energy and dose, which older objects have in no other place."""

_BY_VR = {
    b"PN": Action.EMPTY,
    b"DA": Action.EMPTY,
    b"DT": Action.EMPTY,
    b"TM": Action.EMPTY,
    b"AS": Action.EMPTY,
    b"ST": Action.DUMMY,
    b"LT": Action.DUMMY,
    b"UT": Action.DUMMY,
    b"UC": Action.DUMMY,
    b"UR": Action.REMOVE,
    b"OB": Action.REMOVE,
    b"UN": Action.REMOVE,
    b"UI": Action.UID,
    b"SQ": Action.ITEMS,
}


def is_well_known(uid: bytes) -> bool:
    """Whether a UID is the standard's own, naming a class, a syntax, a frame of reference, and no patient's instance."""
    return uid in REGISTERED


def default_for(tag: int, vr: bytes, options: Options) -> Rule:
    """The rule of a current standard element without a row; `vr` is the dictionary's first."""
    if tag >> 16 < 8:
        return Rule(Action.REMOVE, "default: no part of a data set")
    if tag in REMOVED:
        return Rule(Action.REMOVE, "default: may identify")
    if (tag >> 16 == 0x0010 and tag not in PATIENT_GROUP) or tag >> 16 == 0x4010:
        return Rule(Action.REMOVE, "default: withheld")
    if tag in CLASS_UIDS:
        return Rule(Action.KEEP, "default: class or scheme")
    if tag == CODE_MEANING and options.clean_text:
        return Rule(Action.TEXT, "default: standard; clean-descriptors")
    if tag == URN_CODE:
        return Rule(Action.DUMMY, "default: a code must stay, its address may identify")
    if tag == ICC_PROFILE:
        return Rule(Action.ICC, "default: colours stay, words go")
    if tag in HARMLESS_TEXT and vr in FREE_TEXT:
        return Rule(Action.TEXT, "default: technical text, harmless words stay")
    if tag in HARMLESS_TEXT or tag in HARMLESS_BYTES:
        return Rule(Action.KEEP, "default: harmless")
    action = Action.DUMMY if tag in TYPED else _BY_VR.get(vr, Action.KEEP)
    reason = "typed text" if tag in TYPED else "standard" if action is Action.KEEP else vr.decode()
    return _by_option(tag, vr, action, options, f"default: {reason}") or Rule(action, f"default: {reason}")


def _by_option(tag: int, vr: bytes, action: Action, options: Options, source: str) -> Rule | None:
    """What an applied option makes of a default; None: nothing."""
    if vr in DATES and options.shift_dates:
        return Rule(Action.SHIFT, f"{source}; {MODIFIED_DATES}")
    if vr in DATES and options.full_dates:
        return Rule(Action.KEEP, f"{source}; {FULL_DATES}", spared=True)
    if action is Action.UID and options.retain_uids:
        return Rule(Action.KEEP, f"{source}; retain-uids", spared=True)
    if action is Action.DUMMY and vr in FREE_TEXT:
        option = _cleaned_by(tag, options)
        return Rule(Action.TEXT, f"{source}; {option}") if option else None
    return None


def _cleaned_by(tag: int, options: Options) -> str:
    """The applied option that lets a text stay once it is cleaned, or ""."""
    if options.clean_text:
        return "clean-descriptors"
    if options.clean_structured and tag in CONTENT_TEXT:
        return "clean-structured-content"
    return "clean-graphics" if options.clean_graphics and tag in GRAPHIC_TEXT else ""


def unnamed(tag: int) -> str:
    """Why an element that no dictionary names is removed."""
    if tag & 0xFFFF == 0:
        return "default: group length"
    if tag >> 16 & 1:
        return "default: private"
    if tag >> 16 < 8:
        return "default: no part of a data set"
    if tag >> 24 in (0x50, 0x60):
        return "default: overlay or curve"
    return "default: unknown"


def mismatched(vr: bytes, expected: bytes) -> Action | None:
    """What to do with a kept element that came with another VR than the dictionary's; None = keep it.

    The stricter of both VRs' defaults decides; text where a number belongs (or bytes where text does) is removed.
    """
    strict = _BY_VR.get(vr)
    if strict is not None and vr not in (b"OB", b"UN"):
        return strict
    words = vr == b"US" and expected == b"OW"  # LUT Data may be either
    return None if words or _kind(vr) == _kind(expected) else Action.REMOVE


def _kind(vr: bytes) -> str:
    if vr in TEXT_VRS:
        return "text"
    return "number" if vr in NUMBER_VRS else "bytes"
