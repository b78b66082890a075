import struct
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostler.api.kubevirt.network import DHCPOptions
from hostler.runtime.errors import Terminal
from launcher.agent import dhcp
from launcher.agent.dhcp import ACK, DISCOVER, INFORM, NAK, OFFER, RELEASE, REQUEST, Lease, Message
from launcher.agent.network import Route

MAC = bytes.fromhex("525400123456")
SERVER, GUEST, NOWHERE = IPv4Address("10.0.2.1"), IPv4Address("10.0.2.2"), IPv4Address(0)
EVERYBODY = IPv4Address("255.255.255.255")
LEASE = Lease(IPv4Interface("10.0.2.2/24"), SERVER, SERVER, 1450, "web-0")


def sent(kind: int, client: IPv4Address = NOWHERE, hardware: bytes = MAC, **options: bytes) -> bytes:
    """What a client sends; options by their number, as in o50=..."""
    zero = bytes(4)
    head = dhcp.HEADER.pack(1, 1, 6, 0, 7, 0, 0, client.packed, zero, zero, zero, hardware, b"", dhcp.COOKIE)
    body = bytes([53, 1, kind]) + b"".join(bytes([int(k[1:]), len(v)]) + v for k, v in options.items())
    return head + body + b"\xff"


def reply(data: bytes, lease: Lease = LEASE) -> tuple[int, IPv4Address, IPv4Address, dict[int, bytes]] | None:
    """(kind, your address, where to, options) of the answer, if any."""
    asked = dhcp.decode(data)
    assert asked is not None
    answer = dhcp.answer(asked, lease)
    if answer is None:
        return None
    data, to = answer
    options = dict(dhcp.split_options(data[dhcp.HEADER.size :]))
    assert (data[0], struct.unpack_from("!I", data, 4)[0], data[28:34]) == (2, 7, asked.hardware)
    assert dhcp.SMALLEST <= len(data) <= 548
    return options[53][0], IPv4Address(data[16:20]), to, options


@pytest.mark.parametrize(
    ("data", "kind", "yours", "to"),
    [
        pytest.param(sent(DISCOVER), OFFER, GUEST, EVERYBODY, id="discover"),
        pytest.param(sent(REQUEST, o50=GUEST.packed, o54=SERVER.packed), ACK, GUEST, EVERYBODY, id="request"),
        pytest.param(sent(REQUEST, o50=GUEST.packed), ACK, GUEST, EVERYBODY, id="after a reboot"),
        pytest.param(sent(REQUEST, GUEST), ACK, GUEST, GUEST, id="renewal"),
        pytest.param(sent(REQUEST, o50=b"\x0a\x00\x02\x09"), NAK, NOWHERE, EVERYBODY, id="another address"),
        pytest.param(sent(REQUEST), NAK, NOWHERE, EVERYBODY, id="no address"),
        pytest.param(sent(INFORM, GUEST), ACK, NOWHERE, GUEST, id="inform"),
    ],
)
def test_answers(data: bytes, kind: int, yours: IPv4Address, to: IPv4Address) -> None:
    answer = reply(data)
    assert answer is not None
    assert answer[:3] == (kind, yours, to)
    assert IPv4Address(answer[3][54]) == SERVER


@pytest.mark.parametrize(
    ("data", "lease"),
    [
        pytest.param(sent(RELEASE, GUEST), LEASE, id="release"),
        pytest.param(sent(99), LEASE, id="unknown kind"),
        pytest.param(sent(REQUEST, o50=GUEST.packed, o54=b"\x0a\x00\x02\x63"), LEASE, id="another server's offer"),
        pytest.param(
            sent(DISCOVER), Lease(LEASE.address, SERVER, None, 1500, mac="0a:58:0a:58:00:05"), id="other card"
        ),
    ],
)
def test_silence(data: bytes, lease: Lease) -> None:
    assert reply(data, lease) is None


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(sent(DISCOVER)[:239], id="short"),
        pytest.param(sent(DISCOVER) + bytes(1500), id="long"),
        pytest.param(b"\x02" + sent(DISCOVER)[1:], id="a reply"),
        pytest.param(sent(DISCOVER).replace(dhcp.COOKIE, b"abcd"), id="BOOTP"),
        pytest.param(sent(DISCOVER)[:240] + b"\xff", id="no kind"),
        pytest.param(sent(DISCOVER)[:240] + b"\x35\x09\x01", id="an option longer than the message"),
    ],
)
def test_what_is_no_message(data: bytes) -> None:
    assert dhcp.decode(data) is None


@given(st.binary(max_size=1600))
def test_nothing_that_a_guest_sends_breaks_the_server(data: bytes) -> None:
    asked = dhcp.decode(data)
    assert asked is None or dhcp.answer(asked, LEASE) is not Ellipsis


@given(st.binary(max_size=1200))
def test_no_options_that_a_guest_sends_break_the_server(options: bytes) -> None:
    asked = dhcp.decode(sent(DISCOVER)[:-1] + options)
    if asked is not None:
        dhcp.answer(asked, LEASE)


def test_what_a_guest_is_told() -> None:
    lease = Lease(
        IPv4Interface("10.88.0.5/24"),
        IPv4Address("169.254.75.10"),
        IPv4Address("10.88.0.1"),
        1450,
        "web-0",
        nameservers=(IPv4Address("10.96.0.10"),),
        search=("default.svc.cluster.local", "svc.cluster.local"),
        routes=(
            Route(IPv4Network("0.0.0.0/0"), IPv4Address("10.88.0.1")),
            Route(IPv4Network("10.88.0.0/20")),
        ),
        extra={66: b"tftp"},
    )
    options = dhcp.told(lease)
    assert options == {
        51: b"\xff\xff\xff\xff",
        1: b"\xff\xff\xff\x00",
        26: b"\x05\xaa",
        3: b"\x0a\x58\x00\x01",
        121: b"\x00\x0a\x58\x00\x01" + b"\x14\x0a\x58\x00\x00\x00\x00\x00",
        6: b"\x0a\x60\x00\x0a",
        12: b"web-0",
        15: b"default.svc.cluster.local",
        119: b"\x07default\x03svc\x07cluster\x05local\x00\x03svc\x07cluster\x05local\x00",
        66: b"tftp",
    }


def test_what_does_not_fit_is_left_out_from_the_end() -> None:
    lease = Lease(LEASE.address, SERVER, SERVER, 1450, "h" * 63, search=tuple("a" * 60 + f".{i}" for i in range(6)))
    answer = reply(sent(DISCOVER), lease)
    assert answer is not None
    assert 119 not in answer[3]
    assert answer[3][12] == b"h" * 63


def test_the_users_own_options() -> None:
    wanted = DHCPOptions.model_validate(
        {
            "bootFileName": "pxelinux.0",
            "tftpServerName": "tftp.example.com",
            "ntpServers": ["10.0.0.1", "10.0.0.2"],
            "privateOptions": [{"option": 240, "value": "x"}],
        }
    )
    assert dhcp.chosen(wanted) == {
        42: bytes([10, 0, 0, 1, 10, 0, 0, 2]),
        66: b"tftp.example.com",
        67: b"pxelinux.0",
        240: b"x",
    }
    assert dhcp.chosen(None) == {}


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"ntpServers": ["pool.ntp.org"]}, "ntpServers"),
        ({"bootFileName": "x" * 256}, "option 67 with 256 bytes"),
        ({"privateOptions": [{"option": 300, "value": "x"}]}, "option 300"),
    ],
)
def test_options_that_do_not_exist(wanted: dict[str, object], message: str) -> None:
    with pytest.raises(Terminal, match=message):
        dhcp.chosen(DHCPOptions.model_validate(wanted))


def test_an_address_option_of_another_length_is_none() -> None:
    message = Message(REQUEST, 1, 0, NOWHERE, MAC, {50: b"\x01"})
    assert message.address(50) is None
