"""The guest's clock and its timers."""

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from hostler.api.kubevirt.domain import Clock, Timer
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.runtime.errors import Terminal
from launcher.domain.host import Host
from launcher.domain.xml import tag, yes


def clock(vmi: VirtualMachineInstance, host: Host) -> list[Element]:
    given = vmi.spec.domain.clock or Clock()
    return [tag("clock", *timers(given.timer or Timer(), host), **offset(given))]


def offset(given: Clock) -> dict[str, str | int | None]:
    """UTC unless a timezone is named; a UTC clock forgets the guest's adjustments unless it has an offset."""
    if given.timezone:
        return {"offset": "timezone", "timezone": given.timezone}
    if given.utc is None:
        return {"offset": "utc"}
    seconds = given.utc.offset_seconds
    return {"offset": "utc", "adjustment": "reset" if seconds is None else seconds}


def timers(given: Timer, host: Host) -> Iterator[Element]:
    if rtc := given.rtc:
        yield timer("rtc", rtc.present, tickpolicy=rtc.tick_policy, track=rtc.track)
    if pit := given.pit:
        yield timer("pit", pit.present, tickpolicy=pit.tick_policy)
    if given.kvm and host.kvm:  # an emulated guest has no such clock, and does well without
        yield timer("kvmclock", given.kvm.present)
    # Off unless asked for: Linux would prefer it to better clocks, and its emulation wakes the host up all the time.
    hpet = given.hpet
    yield timer("hpet", hpet.present if hpet else False, tickpolicy=hpet.tick_policy if hpet else None)
    if given.hyperv:
        if not host.kvm and given.hyperv.present is not False:
            raise Terminal("NeedsKVM", "spec.domain.clock.timer.hyperv: needs KVM, and this guest is emulated")
        yield timer("hypervclock", given.hyperv.present)


def timer(name: str, present: bool | None, **policy: str | None) -> Element:
    return tag("timer", name=name, present=yes(present is not False), **policy)
