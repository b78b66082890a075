"""VMI -> libvirt domain XML. Pure: no I/O, no clock, no randomness."""

from launcher.domain.convert import convert
from launcher.domain.host import Host
from launcher.domain.interfaces import mac_address

__all__ = ["Host", "convert", "mac_address"]
