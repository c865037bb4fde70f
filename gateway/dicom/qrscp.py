"""An embedded PACS for `make demo` and for tests: C-ECHO, C-FIND and C-MOVE over a list of DICOM files, nothing else.

Small, not sloppy: Study Root with strict hierarchy, all attributes of the files as matching and return keys, single value,
list of UID, wildcard, range and universal matching (PS3.4 C.2.2.2), counts (C.3.4), C-CANCEL, A801 for a strange destination.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydicom import dcmread
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pynetdicom import AE, build_context, evt
from pynetdicom.events import EventHandlerType
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import ThreadedAssociationServer

from gateway.dicom.association import VERIFICATION
from gateway.dicom.identifier import text
from gateway.dicom.models import STUDY_ROOT, SYNTAXES
from gateway.dicom.quiet import silence
from gateway.dicom.sockets import quicken

LOOPBACK: Final = "127.0.0.1"
SOCKET_TIMEOUT: Final = 30.0
UNIQUE: Final = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}
SUCCESS, PENDING, CANCELLED, BAD_IDENTIFIER = 0x0000, 0xFF00, 0xFE00, 0xA900

Found = Iterator[tuple[int, Dataset | None]]


@dataclass(frozen=True)
class Entity:
    """A study, series or instance: one of its headers stands for it; `computed` holds what no header has."""

    header: Dataset = field(repr=False)
    computed: Mapping[str, object] = field(default_factory=dict, repr=False)

    def values(self, keyword: str) -> list[str]:
        given = self.computed.get(keyword)
        if given is not None:
            return [str(v) for v in given] if isinstance(given, list) else [str(given)]
        return text(self.header, keyword).split("\\")


class EmbeddedPacs:
    """Started and stopped once. `destinations`: AE title -> (host, port) of those it may send to."""

    def __init__(
        self, ae_title: str, files: Sequence[Path], destinations: Mapping[str, tuple[str, int]] | None = None
    ) -> None:
        self.ae_title = ae_title
        self.destinations = dict(destinations or {})
        self._headers = [_header(path) for path in files]
        self._server: ThreadedAssociationServer | None = None

    def start(self, port: int = 0, *, host: str = LOOPBACK) -> int:
        """Listens on `port`, 0 = any free one. Returns the port. Raises OSError when it is taken."""
        silence()
        ae = AE(ae_title=self.ae_title)
        for model in (STUDY_ROOT.find, STUDY_ROOT.move, VERIFICATION):
            ae.add_supported_context(model, SYNTAXES)
        ae.maximum_associations = 32
        handlers: list[EventHandlerType] = [
            (evt.EVT_CONN_OPEN, _on_open),
            (evt.EVT_C_FIND, self._on_find),
            (evt.EVT_C_MOVE, self._on_move),
        ]
        self._server = ae.start_server((host, port), block=False, evt_handlers=handlers)
        assert self._server is not None and self._server.socket is not None  # block=False
        return int(self._server.socket.getsockname()[1])

    def stop(self) -> None:
        """Aborts what is open and stops listening."""
        if self._server is not None:
            server, self._server = self._server, None
            for assoc in server.active_associations:
                assoc.abort()
            server.shutdown()

    # ---- C-FIND

    def _on_find(self, event: evt.Event) -> Found:
        keys = event.identifier
        level = str(keys.get("QueryRetrieveLevel", ""))
        if not _is_strict(keys, level):
            yield BAD_IDENTIFIER, None
            return
        for entity in self._entities(keys, level):
            if event.is_cancelled:
                yield CANCELLED, None
                return
            if all(_fits(e, entity) for e in keys if not _is_control(e)):
                yield PENDING, self._row(keys, entity)

    def _entities(self, keys: Dataset, level: str) -> list[Entity]:
        """The studies, or the parts of the named study or series, each once."""
        groups: dict[str, list[Dataset]] = {}
        for header in self._below(keys, level):
            groups.setdefault(str(header[UNIQUE[level]].value), []).append(header)
        return [Entity(group[0], _computed(group, level)) for group in groups.values()]

    def _below(self, keys: Dataset, level: str) -> list[Dataset]:
        parents = [UNIQUE[above] for above in list(UNIQUE)[: list(UNIQUE).index(level)]]
        return [h for h in self._headers if all(str(h[p].value) == str(keys[p].value) for p in parents)]

    def _row(self, keys: Dataset, entity: Entity) -> Dataset:
        row = Dataset()
        for asked in keys:
            if asked.keyword in entity.computed:
                row.add(DataElement(asked.tag, asked.VR, entity.computed[asked.keyword]))
            elif asked.tag in entity.header:
                row.add(entity.header[asked.tag])
            else:
                row.add(DataElement(asked.tag, asked.VR, None))
        if "SpecificCharacterSet" in entity.header:
            row.SpecificCharacterSet = entity.header.SpecificCharacterSet
        row.QueryRetrieveLevel = keys.QueryRetrieveLevel
        row.RetrieveAETitle = self.ae_title
        return row

    # ---- C-MOVE

    def _on_move(self, event: evt.Event) -> Iterator[Any]:
        keys = event.identifier
        level = str(keys.get("QueryRetrieveLevel", ""))
        to = self.destinations.get(str(event.move_destination).strip())
        if to is None:
            yield None, None  # pynetdicom answers 0xA801
            return
        chosen = self._chosen(keys, level)
        yield (*to, {"contexts": _contexts(chosen), "evt_handlers": [(evt.EVT_CONN_OPEN, _on_open)]})
        yield len(chosen)
        for header in chosen:
            if event.is_cancelled:
                yield CANCELLED, None
                return
            yield PENDING, dcmread(header.filename)

    def _chosen(self, keys: Dataset, level: str) -> list[Dataset]:
        """Nothing at all for a move without a key of its level: this PACS is no example of M12."""
        if level not in UNIQUE or not _is_strict(keys, level) or not text(keys, UNIQUE[level]):
            return []
        wanted = set(text(keys, UNIQUE[level]).split("\\"))
        return [h for h in self._below(keys, level) if str(h[UNIQUE[level]].value) in wanted]


def _on_open(event: evt.Event) -> None:
    quicken(event.assoc, SOCKET_TIMEOUT)


def _header(path: Path) -> Dataset:
    return dcmread(path, stop_before_pixels=True)


def _is_strict(keys: Dataset, level: str) -> bool:
    """One value for the unique key of each level above (PS3.4 C.4.1.2.2.1)."""
    if level not in UNIQUE:
        return False
    above = list(UNIQUE.values())[: list(UNIQUE).index(level)]
    return all(re.fullmatch(r"[0-9.]+", text(keys, keyword)) for keyword in above)


def _is_control(element: DataElement) -> bool:
    return element.keyword in ("QueryRetrieveLevel", "SpecificCharacterSet", "RetrieveAETitle")


def _fits(key: DataElement, entity: Entity) -> bool:
    """Sequence matching is not offered: such a key matches everything, as an unsupported optional key does."""
    several = not isinstance(key.value, str) and hasattr(key.value, "__iter__")
    wanted = "\\".join(str(v) for v in key.value) if several and key.VR != "SQ" else str(key.value or "")
    if key.VR == "SQ" or not wanted.strip():
        return True
    return any(is_match(wanted.strip(), value, key.VR) for value in entity.values(key.keyword))


def is_match(wanted: str, value: str, vr: str) -> bool:
    """PS3.4 C.2.2.2.1 to C.2.2.2.5. `wanted` is not empty; comparison is case-sensitive."""
    if vr == "UI":
        return value in wanted.split("\\")
    if vr in ("DA", "TM", "DT") and "-" in wanted:
        first, _, last = wanted.partition("-")
        return bool(value) and first <= value and (not last or value[: len(last)] <= last)
    if ("*" in wanted or "?" in wanted) and vr not in ("DA", "TM", "DT", "IS", "DS", "AT"):
        pattern = re.escape(wanted).replace(r"\*", ".*").replace(r"\?", ".")
        return re.fullmatch(pattern, value, re.DOTALL) is not None
    return value == wanted


def _computed(group: Sequence[Dataset], level: str) -> dict[str, object]:
    """PS3.4 C.3.4, tables C.6-2 and C.6-3: what no single header says. `group`: all headers of one entity of the level."""

    def different(keyword: str) -> list[str]:
        return sorted({str(h[keyword].value) for h in group if keyword in h})

    if level == "STUDY":
        return {
            "ModalitiesInStudy": different("Modality"),
            "SOPClassesInStudy": different("SOPClassUID"),
            "NumberOfStudyRelatedSeries": str(len(different("SeriesInstanceUID"))),
            "NumberOfStudyRelatedInstances": str(len(group)),
        }
    return {"NumberOfSeriesRelatedInstances": str(len(group))} if level == "SERIES" else {}


def _contexts(headers: Sequence[Dataset]) -> list[PresentationContext]:
    """As the files are: one context per class and transfer syntax."""
    kinds = {(str(h.SOPClassUID), str(h.file_meta.TransferSyntaxUID)) for h in headers}
    build: Callable[[str, str], PresentationContext] = build_context
    return [build(sop_class, syntax) for sop_class, syntax in sorted(kinds)][:128]
