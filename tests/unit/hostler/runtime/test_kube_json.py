"""What is sent to the API server, byte for byte."""

from hostler.runtime.kube import written


def test_as_go_writes_it() -> None:
    body = {"b": {"d": 1, "c": [True, None]}, "a": "<a href='x'>&\n\u2028é"}
    text = '{"a":"\\u003ca href=\'x\'\\u003e\\u0026\\n\\u2028é","b":{"c":[true,null],"d":1}}'
    assert written(body) == text.encode()
