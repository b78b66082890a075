"""Interfaces and the networks that they join (kubevirt.io/v1)."""

from pydantic import Field

from hostler.api.kubevirt.common import ClaimRequest
from hostler.api.meta import Int32, Model


class DHCPPrivateOptions(Model):
    option: Int32
    value: str


class DHCPOptions(Model):
    boot_file_name: str | None = None
    ntp_servers: tuple[str, ...] = ()
    private_options: tuple[DHCPPrivateOptions, ...] = ()
    tftp_server_name: str | None = None


class DeprecatedInterfaceMacvtap(Model):
    """Present or absent; it has no fields."""


class DeprecatedInterfacePasst(Model):
    """Present or absent; it has no fields."""


class DeprecatedInterfaceSlirp(Model):
    """Present or absent; it has no fields."""


class InterfaceBridge(Model):
    """The guest takes over the pod's own address."""


class InterfaceMasquerade(Model):
    """The guest has a private address; the pod forwards to it and hides it."""


class InterfacePasstBinding(Model):
    """Present or absent; it has no fields."""


class InterfaceSRIOV(Model):
    """Present or absent; it has no fields."""


class PluginBinding(Model):
    """A binding that somebody registered."""

    name: str


class Port(Model):
    """A port of the guest that masquerade forwards; none named means all."""

    port: Int32
    name: str | None = None
    protocol: str | None = None


class PortRange(Model):
    end: Int32
    protocol: str
    start: Int32


class Interface(Model):
    """A network card of the guest: one binding to the network of the same name."""

    name: str
    acpi_index: Int32 | None = None
    binding: PluginBinding | None = None
    boot_order: Int32 | None = None
    bridge: InterfaceBridge | None = None
    dhcp_options: DHCPOptions | None = None
    mac_address: str | None = None
    macvtap: DeprecatedInterfaceMacvtap | None = None
    masquerade: InterfaceMasquerade | None = None
    model: str | None = None
    passt: DeprecatedInterfacePasst | None = None
    passt_binding: InterfacePasstBinding | None = None
    pci_address: str | None = None
    port_ranges: tuple[PortRange, ...] = ()
    ports: tuple[Port, ...] = ()
    slirp: DeprecatedInterfaceSlirp | None = None
    sriov: InterfaceSRIOV | None = None
    state: str | None = None
    tag: str | None = None


class MultusNetwork(Model):
    network_name: str
    default: bool | None = None


class PodNetwork(Model):
    vm_i_pv6_network_cidr: str | None = Field(None, alias="vmIPv6NetworkCIDR")
    vm_network_cidr: str | None = Field(None, alias="vmNetworkCIDR")


class Network(Model):
    """What an interface joins: the pod network or one of Multus."""

    name: str
    multus: MultusNetwork | None = None
    pod: PodNetwork | None = None
    resource_claim: ClaimRequest | None = None


class VirtualMachineInstanceResourceClaim(Model):
    name: str
    resource_claim_name: str | None = None
    resource_claim_template_name: str | None = None
