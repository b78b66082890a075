"""Open consoles and screens are counted, and a guest at which nobody looks is forgotten."""

import pytest
from prometheus_client import REGISTRY, Gauge

from gateway import metrics
from gateway.metrics import CONSOLES, SCREENS, open_stream


def consoles(name: str = "web") -> float | None:
    return REGISTRY.get_sample_value("kubevirt_console_active_connections", {"namespace": "shop", "vmi": name})


def streams() -> float:
    return REGISTRY.get_sample_value("hostler_gateway_streams", {"kind": "console"}) or 0


def test_streams_are_counted() -> None:
    with open_stream("console", CONSOLES, "shop", "web"):
        with open_stream("console", CONSOLES, "shop", "web"), open_stream("vnc", SCREENS, "shop", "web"):
            assert (consoles(), streams()) == (2, 2)
        assert (consoles(), consoles("db"), streams()) == (1, None, 1)
    assert (consoles(), streams()) == (None, 0)


@pytest.mark.parametrize("gauge", [CONSOLES, metrics.PORTS])
def test_one_that_breaks_is_closed(gauge: Gauge) -> None:
    with pytest.raises(ConnectionError), open_stream("console", gauge, "shop", "web"):
        raise ConnectionError
    assert (consoles(), streams()) == (None, 0)
