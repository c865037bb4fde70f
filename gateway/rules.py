"""Selection rules: rule-engine expressions over DICOM keywords, checked when the configuration is read.

A missing attribute is null. A rule that cannot be evaluated on a given answer (null >= 20) keeps nothing: the verdict's
reason is `select.<level>.error`, so that what a PACS left out is seen and not guessed.
"""

from __future__ import annotations

from collections.abc import Mapping

import rule_engine
from pydicom.datadict import dictionary_VM, dictionary_VR, tag_for_keyword

from gateway.model import Verdict

CANNOT_TELL = (rule_engine.errors.EngineError, TypeError, AttributeError, ArithmeticError, LookupError, ValueError)
"""rule-engine's own, and what it lets through on null operands (`SeriesDescription.as_lower`) and on text that is no number."""
NUMERIC = frozenset({"DS", "IS", "US", "SS", "UL", "SL", "UV", "SV", "FL", "FD"})


class BadRule(ValueError):
    """The expression cannot be used; the message says why, in the words of rule-engine."""


class SelectionRule:
    """One compiled expression of `[project.select]`; `level` is "study", "series" or "instance"."""

    def __init__(self, level: str, text: str) -> None:
        self.level = level
        self.text = text
        context = rule_engine.Context(resolver=_resolve, type_resolver=_type_of)
        try:
            self._rule = rule_engine.Rule(text, context=context)
        except rule_engine.errors.EngineError as err:
            raise BadRule(getattr(err, "message", "") or type(err).__name__) from None
        self.keywords = frozenset(k for k in context.symbols)

    def verdict(self, attributes: Mapping[str, object]) -> Verdict:
        """`attributes`: DICOM keyword -> str, float, list of str, or None."""
        try:
            kept = self._rule.matches(attributes)
        except CANNOT_TELL:
            return Verdict(False, f"select.{self.level}.error")
        return Verdict(True) if kept else Verdict(False, f"select.{self.level}")


def compiled(level: str, text: str | None) -> SelectionRule | None:
    """None where a project has no rule of that level."""
    return SelectionRule(level, text) if text else None


def _resolve(thing: Mapping[str, object], name: str) -> object:
    value = thing.get(name)
    if value is not None:
        return value
    return () if _is_multiple(name) else None


def _type_of(name: str) -> object:
    tag = tag_for_keyword(name)
    if tag is None:
        raise rule_engine.errors.SymbolResolutionError(name)
    scalar = rule_engine.DataType.FLOAT if dictionary_VR(tag) in NUMERIC else rule_engine.DataType.STRING
    return rule_engine.DataType.ARRAY(scalar) if _is_multiple(name) else scalar


def _is_multiple(name: str) -> bool:
    tag = tag_for_keyword(name)
    return tag is not None and dictionary_VM(tag) != "1"
