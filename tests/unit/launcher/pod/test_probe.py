"""What the guest's agent says of a command, believed as far as it makes sense."""

from typing import Any

import pytest

from launcher.pod import probe
from launcher.pod.probe import Unwell, execute


class Says:
    """Answers as it is told, in order."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def ask(self, command: str, **arguments: object) -> object:
        self.asked.append((command, arguments))
        return self.answers.pop(0)


def test_a_command_is_followed_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "LOOK", 0)
    agent = Says({"pid": 7}, {"exited": False}, {"exited": True, "exitcode": 0})
    execute(agent, ["test", "-e", "/x"])
    assert agent.asked[0] == ("guest-exec", {"path": "test", "arg": ["-e", "/x"], "capture-output": True})
    assert agent.asked[1:] == [("guest-exec-status", {"pid": 7})] * 2


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        pytest.param([{"pid": 7}, {"exited": True, "exitcode": 3}], "ended with 3", id="it failed"),
        pytest.param([{"pid": 7}, {"exited": True, "signal": 9}], "ended with 9", id="it was killed"),
        pytest.param([{"pid": "7"}], "nonsense", id="no number"),
        pytest.param([[]], "nonsense", id="no object"),
        pytest.param([{"pid": 7}, "x"], "nonsense", id="no status"),
    ],
)
def test_all_else_is_unwell(answers: list[Any], why: str) -> None:
    with pytest.raises(Unwell, match=why):
        execute(Says(*answers), ["true"])
