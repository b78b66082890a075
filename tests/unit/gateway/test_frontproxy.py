"""Who asks is only what the API server says."""

import pytest

from gateway.access import Ask, refused, review
from gateway.frontproxy import Proxy, User

DATA = {
    "requestheader-client-ca-file": "PEM",
    "requestheader-allowed-names": '["front-proxy-client"]',
    "requestheader-username-headers": '["X-Remote-User"]',
    "requestheader-group-headers": '["X-Remote-Group"]',
    "requestheader-extra-headers-prefix": '["X-Remote-Extra-"]',
}
HEADERS = [
    ("x-remote-user", "jane"),
    ("X-Remote-Group", "dev"),
    ("X-Remote-Group", "system:authenticated"),
    ("X-Remote-Extra-Scopes%2Fone", "a"),
    ("X-Remote-Extra-Scopes%2Fone", "b"),
]


def test_the_user_with_all_that_the_server_knows():
    user = Proxy.read(DATA).user("front-proxy-client", HEADERS)
    assert user == User("jane", ("dev", "system:authenticated"), {"scopes/one": ("a", "b")})


@pytest.mark.parametrize(
    ("data", "caller", "headers"),
    [
        pytest.param(DATA, "", HEADERS, id="without a certificate"),
        pytest.param(DATA, "somebody", HEADERS, id="with another name"),
        pytest.param(DATA, "front-proxy-client", [], id="without a user"),
        pytest.param({}, "front-proxy-client", HEADERS, id="a server without a front proxy"),
    ],
)
def test_nobody(data, caller, headers):
    assert Proxy.read(data).user(caller, headers) is None


def test_the_review_is_kubevirts():
    ask = Ask("subresources.kubevirt.io", "v1", "shop", "virtualmachines", "web", "start", "update")
    user = User("jane", ("dev",), {"scopes": ("a",)})
    assert review(user, ask) == {
        "user": "jane",
        "groups": ["dev"],
        "extra": {"scopes": ["a"]},
        "resourceAttributes": {
            "namespace": "shop",
            "verb": "update",
            "group": "subresources.kubevirt.io",
            "version": "v1",
            "resource": "virtualmachines",
            "subresource": "start",
            "name": "web",
        },
    }
    assert str(refused(user, ask, "no role")) == (
        'virtualmachines.subresources.kubevirt.io "web" is forbidden: User "jane" cannot update resource '
        '"virtualmachines/start" in API group "subresources.kubevirt.io" in the namespace "shop": no role'
    )
