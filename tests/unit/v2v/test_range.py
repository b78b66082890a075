"""When an answer goes on from where a transfer broke off."""

import pytest

from v2v.range import Mark, part

AT = Mark(100, '"v1"', 1000)


@pytest.mark.parametrize(
    ("status", "headers", "continues"),
    [
        pytest.param(206, {"Content-Range": "bytes 100-999/1000", "ETag": '"v1"'}, True, id="the rest"),
        pytest.param(206, {"Content-Range": "bytes 100-999/1000", "ETag": '"v2"'}, False, id="another version"),
        pytest.param(206, {"Content-Range": "bytes 100-999/1000"}, False, id="no version any more"),
        pytest.param(206, {"Content-Range": "bytes 99-999/1000", "ETag": '"v1"'}, False, id="from elsewhere"),
        pytest.param(206, {"Content-Range": "bytes 100-1999/2000", "ETag": '"v1"'}, False, id="another size"),
        pytest.param(206, {"Content-Range": "bytes 100-999/*", "ETag": '"v1"'}, False, id="an unknown size"),
        pytest.param(206, {"Content-Range": "nonsense", "ETag": '"v1"'}, False, id="nonsense"),
        pytest.param(206, {"ETag": '"v1"'}, False, id="no range"),
        pytest.param(200, {"Content-Length": "1000", "ETag": '"v1"'}, False, id="all of it again"),
    ],
)
def test_continues(status: int, headers: dict[str, str], continues: bool) -> None:
    assert part(status, headers).continues(AT) is continues


@pytest.mark.parametrize(
    ("headers", "validator"),
    [
        ({"ETag": '"a"', "Last-Modified": "Mon"}, '"a"'),
        ({"ETag": 'W/"a"', "Last-Modified": "Mon"}, "Mon"),
        ({"ETag": '"' + "a" * 500 + '"'}, ""),
        ({}, ""),
    ],
)
def test_what_tells_versions_apart(headers: dict[str, str], validator: str) -> None:
    assert part(200, headers).validator == validator


def test_what_is_asked_for() -> None:
    assert Mark().headers() == {}
    assert AT.headers() == {"Range": "bytes=100-", "If-Range": '"v1"'}
    assert (Mark(5).durable, AT.durable, Mark(0, '"v1"').durable) == (False, True, False)
