"""Answers that may be a second old."""

from __future__ import annotations

from gateway.cstore.recent import Recent


def test_remembers_for_its_time_and_never_nothing() -> None:
    asked: list[str] = []
    now = [100.0]

    def answer(key: str) -> str:
        asked.append(key)
        return "" if key == "nothing" else key.upper()

    recent = Recent(answer, seconds=1.0, clock=lambda: now[0], size=2)
    assert [recent.get("a"), recent.get("a")] == ["A", "A"] and asked == ["a"]
    assert [recent.get("nothing"), recent.get("nothing")] == ["", ""] and asked == ["a", "nothing", "nothing"]
    now[0] = 99.0  # the clock was set back
    recent.get("a")
    now[0] = 100.0
    recent.get("a")
    assert asked.count("a") == 3
    recent.get("b")
    recent.get("c")  # two at most: "a" falls out
    recent.get("a")
    assert asked.count("a") == 4
    recent.forget("a")
    recent.get("a")
    assert asked.count("a") == 5
