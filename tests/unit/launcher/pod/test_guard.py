"""What SIGTERM sets off."""

import pytest

from launcher.pod.guard import stopping


@pytest.mark.parametrize(
    ("grace", "expected"),
    [
        pytest.param(0, [(0, "destroy"), (5, "kill"), (7, "leave")], id="no grace"),
        pytest.param(3, [(0, "shutdown"), (3, "destroy"), (8, "kill"), (10, "leave")], id="one press"),
        pytest.param(
            12,
            [(0, "shutdown"), (5, "shutdown"), (10, "shutdown"), (12, "destroy"), (17, "kill"), (19, "leave")],
            id="pressed again every 5 seconds",
        ),
    ],
)
def test_stopping(grace: float, expected: list[tuple[float, str]]) -> None:
    assert stopping(grace) == expected
