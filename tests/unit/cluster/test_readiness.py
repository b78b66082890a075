"""Whether a program is ready, seen from outside."""

import os
import socket

import pytest

from cluster import readiness
from cluster.spec import Ready

TABLE = """  sl  local_address rem_address   st tx_queue rx_queue
   0: 0100007F:094B 00000000:0000 0A 00000000:00000000
   1: 0100007F:1F90 0100007F:C350 01 00000000:00000000
"""


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        pytest.param(0x94B, True, id="listened on"),
        pytest.param(0x1F90, False, id="only connected"),
        pytest.param(0xC350, False, id="the other end"),
    ],
)
def test_listens(port, expected):
    assert readiness.listens(TABLE, port) is expected


def test_this_very_process():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert readiness.is_ready(Ready(port=port), os.getpid())
    assert not readiness.is_ready(Ready(port=port), os.getpid())


def test_a_socket_as_the_program_sees_it(tmp_path):
    path = tmp_path / "it.sock"
    assert not readiness.is_ready(Ready(socket=str(path)), os.getpid())
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        assert readiness.is_ready(Ready(socket=str(path)), os.getpid())


def test_a_process_that_is_gone_is_not_ready():
    assert not readiness.is_ready(Ready(port=1), 2**22 - 1)


def test_nothing_to_wait_for():
    assert readiness.is_ready(Ready(), os.getpid())


@pytest.mark.parametrize("url", ["https://127.0.0.1:1/readyz", "https://no.such.host.invalid/readyz"])
def test_nobody_answers(url, tmp_path):
    assert not readiness.answers(url, str(tmp_path / "no.crt"))
