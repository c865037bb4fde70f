"""Who has only README and docs finds an answer: each question leads to a page that says the words an answer needs."""

from __future__ import annotations

import pytest

from tests.support.daemon import REPOSITORY

DOCS = REPOSITORY / "docs"


@pytest.mark.parametrize(
    ("question", "page", "answer"),
    [
        (
            "What happens if the disk fills?",
            "runbooks/PacsGatewayReceiverPaused.md",
            ("0xA700", "goes on", "min_free_disk"),
        ),
        ("Where is patient data?", "privacy.md", ("state_dir/outbox", "sealed (AES-256-GCM", "held", "audit.jsonl")),
        ("How do I move to PostgreSQL?", "nodes.md", ("migrate --from-sqlite", "database_password_file")),
        ("What happens if the disk fills?", "operating.md", ("sink.full", "0xA700", "PostgreSQL", "by itself")),
        ("Where is patient data?", "operating.md", ("state_dir/held", "key_file", "crosswalk")),
        ("How do I move to PostgreSQL?", "operating.md", ("migrate --from-sqlite", "createdb", "systemctl stop")),
        ("How do I rotate the key?", "backup.md", ("key rotate", "pseudonym.key.old", "--project")),
    ],
)
def test_a_question_that_comes_up_is_answered(question: str, page: str, answer: tuple[str, ...]) -> None:
    index = (DOCS / "index.md").read_text("utf-8")
    assert question in index
    assert f"({page})" in index[index.index(question) :].partition("\n\n")[0]
    text = (DOCS / page).read_text("utf-8")
    assert [word for word in answer if word not in text] == []
