"""Selection rules in the configuration: compiled when read, so that a slip is a message and not an empty archive."""

from __future__ import annotations

import re
from typing import Final

from pydantic import AfterValidator

from gateway.rules import BadRule, SelectionRule
from gateway.settings.element import near_keyword
from gateway.settings.finding import shown, wrong

MAX_RULE: Final = 4000  # characters; a longer one is no rule that a person reviews
RULE: Final = "a rule-engine expression over DICOM keywords, such as Modality == 'CT'"


def rule_of(level: str) -> AfterValidator:
    """Checks a rule of that level: "study", "series" or "instance"."""

    def check(text: str) -> str:
        found = rule_fault(level, text)
        if found:
            raise wrong(found, _mend(found))
        return text

    return AfterValidator(check)


def rule_fault(level: str, text: str) -> str | None:
    """Why the rule cannot be used, in rule-engine's words; None when it can."""
    if len(text) > MAX_RULE:
        return f"more than {MAX_RULE} characters"
    try:
        SelectionRule(level, text)
    except BadRule as err:
        return shown(str(err)).strip('"')
    except RecursionError:  # rule-engine's parser, on hundreds of nested operators
        return "too deeply nested"
    return None


def _mend(found: str) -> str:
    unknown = re.search(r"symbol: '(\w+)'", found)
    meant = near_keyword(unknown[1]) if unknown else None
    return f"did you mean {meant}? Allowed: {RULE}" if meant else f"allowed: {RULE}"
