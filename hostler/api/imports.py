"""hostler.io/v1alpha1: where virtual machines are imported from, and which."""

from typing import Annotated

from pydantic import Field

from hostler.api.meta import Condition, Int32, Int64, Model, Resource, Time, one_of

Firmware = Annotated[str, one_of("bios", "efi")]
Destination = Annotated[str, one_of("pod", "ignored")]
PlanPhase = Annotated[str, one_of("Pending", "Running", "Succeeded", "Failed")]


class SecretReference(Model):
    """A Secret of the same namespace with the keys `user` and `password` (or CDI's accessKeyId and secretKey)."""

    name: str


class VSphereSource(Model):
    """A vCenter or ESXi host. Without a thumbprint its certificate must be signed by an authority that we trust."""

    url: str  # https://HOST[:PORT]/sdk
    secret_ref: SecretReference
    thumbprint: str | None = None  # SHA-256 of the server's certificate, hexadecimal, colons allowed


class OVASource(Model):
    """One OVA file: one virtual machine."""

    url: str  # http:// or https://; the server must answer Range requests
    secret_ref: SecretReference | None = None
    thumbprint: str | None = None


class ImportSourceSpec(Model):
    """Exactly one source."""

    vsphere: VSphereSource | None = None
    ova: OVASource | None = None
    refresh_seconds: Int32 | None = None  # between two looks at the inventory


class SourceDisk(Model):
    """A disk as the source tells it."""

    key: str  # the source's name for it
    file: str  # "[datastore] folder/name.vmdk", or the member of an OVA
    bytes: Int64
    datastore: str = ""
    concern: str | None = None  # why it cannot be copied


class SourceNic(Model):
    mac: str = ""
    network: str = ""


class SourceMachine(Model):
    """A virtual machine as the source tells it."""

    id: str
    name: str
    uuid: str = ""  # of the machine's BIOS
    instance_uuid: str = ""  # unique within a vCenter
    cpus: Int32 = 1
    cores_per_socket: Int32 = 1
    memory_mib: Int64 = Field(512, alias="memoryMiB")
    firmware: Firmware = "bios"
    guest_id: str = ""
    hostname: str = ""
    power: str = ""
    concerns: tuple[str, ...] = ()  # why it cannot be imported
    disks: tuple[SourceDisk, ...] = ()
    nics: tuple[SourceNic, ...] = ()


class ImportSourceStatus(Model):
    observed_generation: Int64 | None = None
    seen: str | None = None  # which generation and request was last looked at
    conditions: tuple[Condition, ...] = ()
    product: str | None = None
    thumbprint: str | None = None  # of the certificate that the server showed
    looked: Time | None = None  # when the last look ended, whatever came of it
    refreshed: Time | None = None  # when the machines below were found
    machine_count: Int32 | None = None  # all of them; `machines` may have fewer
    machines: tuple[SourceMachine, ...] = ()


class ImportSource(Resource):
    """Where virtual machines come from."""

    group_version = "hostler.io/v1alpha1"
    plural = "importsources"

    spec: ImportSourceSpec
    status: ImportSourceStatus | None = None


class NetworkMap(Model):
    """Where the NICs on a network of the source go."""

    source: str
    destination: Destination


class StorageMap(Model):
    """Which storage class the disks of a datastore get; "" as source: every other datastore."""

    source: str
    storage_class: str | None = None
    access_mode: str | None = None


class PlannedMachine(Model):
    """One virtual machine to import, by name or by id."""

    name: str | None = None
    id: str | None = None
    target_name: str | None = None


class ImportMaps(Model):
    networks: tuple[NetworkMap, ...] = ()
    storage: tuple[StorageMap, ...] = ()


class LocalReference(Model):
    name: str


class ImportPlanSpec(Model):
    source: LocalReference
    vms: tuple[PlannedMachine, ...]
    map: ImportMaps = ImportMaps()
    target_namespace: str | None = None
    start: bool | None = None  # run the imported machines
    warm: bool | None = None
    shutdown_seconds: Int32 | None = None  # that a guest may take to shut down before it is switched off


class DiskImport(Model):
    """How far the copy of a disk is."""

    name: str  # of the DataVolume
    file: str
    total: Int64
    phase: str = "Pending"
    bytes: Int64 = 0
    progress: str = "N/A"


class MachineImport(Model):
    """How far the import of a machine is: Pending, PoweringOff, Copying, Converting, Creating, Succeeded, Failed."""

    name: str  # as the plan names it
    phase: str
    target_name: str | None = None
    reason: str | None = None
    message: str | None = None
    started: Time | None = None
    completed: Time | None = None
    power: str | None = None  # how the source came to be off
    conversion: str | None = None  # what virt-v2v said last
    disks: tuple[DiskImport, ...] = ()
    source: SourceMachine | None = None  # as it was when the import began


class ImportPlanStatus(Model):
    phase: PlanPhase | None = None
    observed_generation: Int64 | None = None
    conditions: tuple[Condition, ...] = ()
    succeeded: Int32 | None = None
    failed: Int32 | None = None
    vms: tuple[MachineImport, ...] = ()


class ImportPlan(Resource):
    """Virtual machines to import, once."""

    group_version = "hostler.io/v1alpha1"
    plural = "importplans"

    spec: ImportPlanSpec
    status: ImportPlanStatus | None = None
