from typing import Any

import pytest

from hostler.runtime.errors import Retry
from launcher.agent import facts
from launcher.agent.facts import Domain, Guest, GuestNic

XML = """
<domain type="qemu" id="1">
  <name>default_web</name>
  <os><type arch="x86_64" machine="pc-q35-10.0">hvm</type></os>
  <devices>
    <disk type="file"><target dev="vda" bus="virtio"/><alias name="ua-root"/></disk>
    <disk type="file"><target dev="sda" bus="sata"/></disk>
    <interface type="ethernet">
      <mac address="52:54:00:AA:BB:CC"/><target dev="tap0"/><alias name="ua-default"/>
    </interface>
    <channel type="unix"><target type="virtio" name="org.qemu.guest_agent.0" state="{agent}"/></channel>
  </devices>
</domain>"""


@pytest.mark.parametrize(("agent", "expected"), [("connected", True), ("disconnected", False)])
def test_domain(agent: str, expected: bool) -> None:
    assert facts.domain_facts("default_web", 1, 1, XML.format(agent=agent)) == Domain(
        name="default_web",
        state="running",
        reason=1,
        emulated=True,
        machine="pc-q35-10.0",
        agent=expected,
        macs={"default": "52:54:00:aa:bb:cc"},
        disks={"root": "vda", "sda": "sda"},
    )


@pytest.mark.parametrize(("state", "word"), [(1, "running"), (3, "paused"), (5, "ended"), (99, "unknown")])
def test_state(state: int, word: str) -> None:
    assert facts.domain_facts("x", state, 0, "<domain/>").state == word


@pytest.mark.parametrize(
    "xml",
    [
        pytest.param("<domain>", id="cut off"),
        pytest.param("", id="empty"),
        pytest.param('<!DOCTYPE d [<!ENTITY a "aaaa">]><domain><name>&a;</name></domain>', id="entities"),
        pytest.param("<domain>" + " " * facts.XML_LIMIT + "</domain>", id="long"),
    ],
)
def test_a_description_that_is_none(xml: str) -> None:
    with pytest.raises(Retry, match="description"):
        facts.domain_facts("x", 1, 1, xml)


@pytest.mark.parametrize(
    "device",
    [
        '<interface><mac address="not a mac"/><target dev="tap0"/></interface>',
        "<interface><target dev='tap0'/></interface>",
        "<interface/>",
    ],
)
def test_a_card_without_an_address_is_none(device: str) -> None:
    assert facts.domain_facts("x", 1, 1, f"<domain><devices>{device}</devices></domain>").macs == {}


def test_names_that_a_tenant_invents_are_dropped() -> None:
    device = f'<disk><target dev="{"x" * 65}"/><alias name="ua-../../etc"/></disk>'
    assert facts.domain_facts("x", 1, 1, f"<domain><devices>{device}</devices></domain>").disks == {"": ""}


def test_guest() -> None:
    said = {"os.id": "debian", "os.pretty-name": "Debian\x1b[31m GNU", "os.unheard-of": "x", "hostname": "web"}
    nics: dict[str, Any] = {
        "lo": {"hwaddr": "00:00:00:00:00:00", "addrs": [{"addr": "127.0.0.1"}]},
        "eth0": {"hwaddr": "52:54:00:AA:BB:CC", "addrs": [{"addr": "fe80::1"}, {"addr": "10.0.2.2"}]},
        "tun0": {"hwaddr": None, "addrs": None},
    }
    assert facts.guest_facts(said, nics) == Guest(
        hostname="web",
        os={"id": "debian", "prettyName": "Debian[31m GNU"},
        nics=(GuestNic("eth0", "52:54:00:aa:bb:cc", ("10.0.2.2", "fe80::1")),),
    )


def test_a_guest_that_talks_too_much_is_cut_short() -> None:
    """CVE-2025-14525: thousands of interfaces made an object too large to write."""
    many = [{"addr": "1" * 10_000}] * 10_000
    nics: dict[str, Any] = {f"eth{i}": {"hwaddr": "52:54:00:00:00:01", "addrs": many} for i in range(10_000)}
    guest = facts.guest_facts({"os.name": "x" * 10**6, "hostname": "y" * 10**6}, nics)
    assert len(guest.nics) == 32
    assert {len(nic.addresses) for nic in guest.nics} == {16}
    assert len(repr(guest)) < 50_000


@pytest.mark.parametrize(("state", "reason", "starting"), [(3, 11, True), (3, 1, False), (1, 11, False)])
def test_who_is_being_started_is_no_guest_yet(state: int, reason: int, starting: bool) -> None:
    assert facts.domain_facts("default_web", state, reason, XML.format(agent="")).starting == starting
