"""DHCPv4 for one guest: one lease, for ever, to whoever asks on its bridge.

What comes in was written by the guest: it is short, it is parsed by length, and a flood of it is left in the kernel.
"""

import asyncio
import socket
import struct
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface

from hostler.api import launcher
from hostler.api.kubevirt.network import DHCPOptions
from hostler.runtime.errors import Terminal
from launcher.agent.netns import within
from launcher.agent.network import Route

SERVER_PORT, CLIENT_PORT = 67, 68
COOKIE = b"\x63\x82\x53\x63"
HEADER = struct.Struct("!BBBBIHH4s4s4s4s16s192s4s")
LARGEST = 1500
SMALLEST = 300  # BOOTP's length, which some clients insist on
OPTIONS = 548 - HEADER.size  # what fits into the datagram of 576 bytes that every client takes
FOREVER = b"\xff\xff\xff\xff"
FLOOD = 50  # messages a second that one guest may cost us
SO_NO_CHECK = 11  # udhcpc drops packets whose checksum is left to a network card that does not exist

DISCOVER, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE, INFORM = range(1, 9)
REPLIES = {DISCOVER: OFFER, REQUEST: ACK, INFORM: ACK}

Options = Mapping[int, bytes]


@dataclass(frozen=True)
class Lease:
    """What the guest is told."""

    address: IPv4Interface
    server: IPv4Address
    gateway: IPv4Address | None
    mtu: int
    hostname: str = ""
    mac: str | None = None  # answer only this card
    nameservers: tuple[IPv4Address, ...] = ()
    search: tuple[str, ...] = ()
    routes: tuple[Route, ...] = ()
    extra: Options = field(default_factory=dict)


@dataclass(frozen=True)
class Message:
    """What a client sent, as far as we read it."""

    kind: int
    xid: int
    flags: int
    client: IPv4Address
    hardware: bytes
    options: Options

    def address(self, option: int) -> IPv4Address | None:
        value = self.options.get(option, b"")
        return IPv4Address(value) if len(value) == 4 else None


def decode(data: bytes) -> Message | None:
    """A client's message, or None for what is none."""
    if len(data) < HEADER.size or len(data) > LARGEST:
        return None
    op, htype, hlen, _, xid, _, flags, ciaddr, _, _, _, chaddr, _, cookie = HEADER.unpack_from(data)
    if (op, htype, hlen, cookie) != (1, 1, 6, COOKIE):
        return None
    options = dict(split_options(data[HEADER.size :]))
    kind = options.get(53, b"")
    if len(kind) != 1:
        return None
    return Message(kind[0], xid, flags, IPv4Address(ciaddr), chaddr[:6], options)


def split_options(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(code, value) up to the end mark, or to where the data is not well formed."""
    at = 0
    while at < len(data) and data[at] != 255:
        if data[at] == 0:
            at += 1
            continue
        if at + 1 >= len(data) or at + 2 + data[at + 1] > len(data):
            return
        yield data[at], data[at + 2 : at + 2 + data[at + 1]]
        at += 2 + data[at + 1]


def answer(asked: Message, lease: Lease) -> tuple[bytes, IPv4Address] | None:
    """The reply and where it goes; None if there is nothing to say."""
    kind = REPLIES.get(asked.kind)
    if kind is None or (lease.mac and asked.hardware != mac_bytes(lease.mac)):
        return None
    server = asked.address(54)
    if server is not None and server != lease.server:
        return None  # the client took another server's offer
    if asked.kind == REQUEST and not wants(asked, lease.address.ip):
        return encode(asked, NAK, lease, {}), IPv4Address("255.255.255.255")
    has_address = asked.client == lease.address.ip
    return encode(asked, kind, lease, told(lease)), asked.client if has_address else IPv4Address("255.255.255.255")


def wants(asked: Message, address: IPv4Address) -> bool:
    """Whether a REQUEST is for the address that we give."""
    requested = asked.address(50) or (asked.client if int(asked.client) else None)
    return requested == address


def told(lease: Lease) -> dict[int, bytes]:
    """The options of an offer, the more important first: what does not fit is left out."""
    options = {51: FOREVER, 1: lease.address.netmask.packed, 26: struct.pack("!H", lease.mtu)}
    if lease.gateway is not None:
        options[3] = lease.gateway.packed
    if len(lease.routes) > 1:
        # a client that knows classless routes ignores the router option, so the default route is among them
        options[121] = b"".join(map(classless, lease.routes))
    options[6] = b"".join(server.packed for server in lease.nameservers[:3])
    options[12] = lease.hostname.encode()
    options[15] = lease.search[0].encode() if lease.search else b""
    options[119] = b"".join(map(domain_name, lease.search[:6]))
    return {code: value for code, value in options.items() if value} | dict(lease.extra)


def classless(route: Route) -> bytes:
    """RFC 3442: prefix length, the octets that count, gateway (0.0.0.0: on the link)."""
    length = route.network.prefixlen
    octets = route.network.network_address.packed[: (length + 7) // 8]
    return bytes([length]) + octets + (route.gateway.packed if route.gateway else bytes(4))


def domain_name(name: str) -> bytes:
    """RFC 1035, without compression."""
    labels = [label.encode()[:63] for label in name.strip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def encode(asked: Message, kind: int, lease: Lease, options: Options) -> bytes:
    yours = lease.address.ip.packed if kind != NAK and asked.kind != INFORM else bytes(4)
    client = asked.client.packed if kind != NAK else bytes(4)
    head = HEADER.pack(
        2, 1, 6, 0, asked.xid, 0, asked.flags, client, yours, bytes(4), bytes(4), asked.hardware, b"", COOKIE
    )
    body = bytes([53, 1, kind, 54, 4]) + lease.server.packed
    for code, value in options.items():
        if len(value) <= 255 and len(body) + len(value) + 3 <= OPTIONS:
            body += bytes([code, len(value)]) + value
    return (head + body + b"\xff").ljust(SMALLEST, b"\0")


def mac_bytes(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", "").replace("-", ""))


def chosen(options: DHCPOptions | None) -> dict[int, bytes]:
    """KubeVirt's dhcpOptions, by number."""
    if options is None:
        return {}
    try:
        ntp = b"".join(IPv4Address(server).packed for server in options.ntp_servers)
    except ValueError as error:
        raise Terminal("InvalidDHCPOption", f"dhcpOptions.ntpServers: {error}") from error
    texts = {66: options.tftp_server_name, 67: options.boot_file_name}
    texts |= {private.option: private.value for private in options.private_options}
    found = {42: ntp} | {code: text.encode() for code, text in texts.items() if text}
    for code, value in found.items():
        if len(value) > 255 or not 0 < code < 255:
            raise Terminal("InvalidDHCPOption", f"dhcpOptions: option {code} with {len(value)} bytes does not exist")
    return {code: value for code, value in found.items() if value}


class Server:
    """Answers on one bridge until closed."""

    def __init__(self, sock: socket.socket, lease: Lease) -> None:
        self._sock = sock
        self._lease = lease
        self._loop = asyncio.get_running_loop()
        self._window = 0.0
        self._count = 0
        self._pause: asyncio.TimerHandle | None = None
        self._loop.add_reader(sock, self._read)

    def close(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._sock)
        self._sock.close()

    def _read(self) -> None:
        try:
            data = self._sock.recv(LARGEST)
            asked = decode(data)
            reply = answer(asked, self._lease) if asked else None
            if reply is not None:
                self._sock.sendto(reply[0], (str(reply[1]), CLIENT_PORT))
        except OSError:
            pass  # a guest that has gone, or a full queue: the client asks again
        self._count += 1
        if self._count >= FLOOD:
            self._breathe()

    def _breathe(self) -> None:
        """Stop reading for the rest of the second if this one's share is used up."""
        now = time.monotonic()
        elapsed, self._window, self._count = now - self._window, now, 0
        if elapsed < 1:
            self._loop.remove_reader(self._sock)
            self._pause = self._loop.call_later(1, self._loop.add_reader, self._sock, self._read)


async def serve(namespace: int, lease: Lease) -> Server:
    """Answer DHCP on the guest's bridge in another network namespace."""
    return Server(await within(namespace, lambda: listen(launcher.BRIDGE)), lease)


def listen(bridge: str) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, bridge.encode())
        sock.bind(("0.0.0.0", SERVER_PORT))  # noqa: S104 - only what comes in by the bridge
    except OSError:
        sock.close()
        raise
    return sock
