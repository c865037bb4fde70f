"""The whole of it: files read, every check made, all mistakes told at once."""

from __future__ import annotations

import platform
from pathlib import Path

from gateway.errors import BadConfiguration, Mistake
from gateway.settings.archives import bad_archive_files, bad_archives
from gateway.settings.available import not_available
from gateway.settings.certificates import bad_certificates, half_certificates
from gateway.settings.cross import contradictions
from gateway.settings.document import read
from gateway.settings.explain import validated
from gateway.settings.finding import Finding, Raw
from gateway.settings.schema import Project, Settings
from gateway.settings.secret import missing_secrets


def load(path: Path, *, files: bool = True) -> Settings:
    """Reads `path` and the `projects.d/*.toml` beside it.

    `files` False: the files that hold secrets need not be there yet (`key init`, checking on another machine).
    Raises BadConfiguration with every mistake at once, in the order of files and lines.
    """
    document = read(path)
    raw = {"node": platform.node(), **document.raw}
    settings, findings = _checked(raw, files=files)
    mistakes = [document.mistake(finding) for finding in findings] + list(document.strays)
    if mistakes or settings is None:
        raise BadConfiguration(tuple(sorted(dict.fromkeys(mistakes), key=document.order)))
    return settings


def project_named(settings: Settings, name: str) -> Project:
    """The project of that name. Raises BadConfiguration when there is none."""
    for found in settings.project:
        if found.name == name:
            return found
    known = ", ".join(p.name for p in settings.project)
    raise BadConfiguration((Mistake("command line", 0, "--project", "no project of that name", f"one of: {known}"),))


def _checked(raw: Raw, *, files: bool) -> tuple[Settings | None, list[Finding]]:
    """The settings, if they are valid, and what was found. A place the schema complains about is not complained about twice."""
    settings, findings = validated(raw)
    told = {finding.place for finding in findings}
    on_disk = (*missing_secrets(raw), *bad_certificates(raw), *bad_archive_files(raw)) if files else ()
    more = [*not_available(raw), *contradictions(raw), *half_certificates(raw), *bad_archives(raw)]
    findings += [finding for finding in more if finding.place not in told]
    told |= {finding.place for finding in more}
    return settings, findings + [finding for finding in on_disk if finding.place not in told]
