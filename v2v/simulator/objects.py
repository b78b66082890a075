"""Managed objects as the property collector tells them: type -> property -> value."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from pyVmomi import VmomiSupport, vim

from v2v.simulator.machines import Disk, Machine, Nic
from v2v.simulator.world import Task, World

ROOT, DATACENTER, VM_FOLDER, HOST = "group-d1", "datacenter-2", "group-v3", "host-4"
CONTROLLER, FIRST_DISK, FIRST_NIC = 1000, 2000, 4000
ABOUT = vim.AboutInfo(
    name="VMware vCenter Server",
    fullName="VMware vCenter Server 8.0.3 (simulated)",
    vendor="Hostler",
    version="8.0.3",
    build="1",
    osType="linux-x64",
    productLineId="vpx",
    apiType="VirtualCenter",
    apiVersion="8.0.3.0",
    instanceUuid="6d7f0c1e-5b0e-4d7d-9d0a-2f4f7b1c0000",
)


def array(kind: str, items: list[Any]) -> Any:
    return VmomiSupport.GetVmodlType(f"{kind}[]")(items)


def content() -> Any:
    """What RetrieveServiceContent answers."""
    return vim.ServiceInstanceContent(
        rootFolder=vim.Folder(ROOT),
        propertyCollector=VmomiSupport.GetVmodlType("vmodl.query.PropertyCollector")("propertyCollector"),
        viewManager=vim.view.ViewManager("ViewManager"),
        sessionManager=vim.SessionManager("SessionManager"),
        about=ABOUT,
    )


def disk_device(world: World, disk: Disk, number: int) -> Any:
    path = f"[{disk.datastore}] {disk.descriptor}"
    backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo
    if disk.rdm:
        backing = vim.vm.device.VirtualDisk.RawDiskMappingVer1BackingInfo
    store = vim.Datastore(f"datastore-{disk.datastore}")
    size = world.size(disk)
    return vim.vm.device.VirtualDisk(
        key=FIRST_DISK + number,
        controllerKey=CONTROLLER,
        unitNumber=number,
        deviceInfo=vim.Description(label=f"Hard disk {number + 1}", summary=f"{size // 1024} KB"),
        capacityInKB=size // 1024,
        capacityInBytes=size,
        backing=backing(fileName=path, diskMode=disk.mode, datastore=store),
    )


def nic_device(nic: Nic, number: int) -> Any:
    kind = {"VirtualVmxnet3": vim.vm.device.VirtualVmxnet3, "VirtualE1000": vim.vm.device.VirtualE1000}[nic.model]
    return kind(
        key=FIRST_NIC + number,
        macAddress=nic.mac,
        addressType="assigned",
        deviceInfo=vim.Description(label=f"Network adapter {number + 1}", summary=nic.network),
        backing=vim.vm.device.VirtualEthernetCard.NetworkBackingInfo(
            deviceName=nic.network, network=vim.Network(f"network-{nic.network}")
        ),
    )


def devices(world: World, machine: Machine) -> Any:
    controller = vim.vm.device.ParaVirtualSCSIController(
        key=CONTROLLER, busNumber=0, sharedBus="noSharing", deviceInfo=vim.Description(label="SCSI controller 0")
    )
    disks = [disk_device(world, disk, number) for number, disk in enumerate(machine.disks)]
    return array(
        "vim.vm.device.VirtualDevice", [controller, *disks, *(nic_device(n, i) for i, n in enumerate(machine.nics))]
    )


def machine_properties(world: World, machine: Machine) -> dict[str, Callable[[], Any]]:
    """Made when asked for: a listing of a thousand machines names few of them."""
    running = machine.tools and world.power_state(machine.id) == "poweredOn"
    hardware = {
        "numCPU": machine.cpus,
        "numCoresPerSocket": machine.cores_per_socket,
        "memoryMB": machine.memory_mib,
    }
    return {
        "name": lambda: machine.name,
        "parent": lambda: vim.Folder(VM_FOLDER),
        "config.uuid": lambda: machine.uuid,
        "config.instanceUuid": lambda: machine.uuid,
        "config.firmware": lambda: machine.firmware,
        "config.guestId": lambda: machine.guest_id,
        "config.guestFullName": lambda: machine.guest_name,
        "config.template": lambda: machine.template,
        "config.hardware.numCPU": lambda: machine.cpus,
        "config.hardware.numCoresPerSocket": lambda: machine.cores_per_socket,
        "config.hardware.memoryMB": lambda: machine.memory_mib,
        "config.hardware.device": lambda: devices(world, machine),
        "config.hardware": lambda: vim.vm.VirtualHardware(device=devices(world, machine), **hardware),
        "runtime": lambda: vim.vm.RuntimeInfo(
            powerState=world.power_state(machine.id),
            connectionState="connected",
            host=vim.HostSystem(HOST),
            toolsInstallerMounted=False,
            consolidationNeeded=False,
            faultToleranceState="notConfigured",
            numMksConnections=0,
            recordReplayState="inactive",
        ),
        "runtime.powerState": lambda: world.power_state(machine.id),
        "runtime.host": lambda: vim.HostSystem(HOST),
        "runtime.connectionState": lambda: "connected",
        "guest.hostName": lambda: machine.hostname,
        "guest.toolsRunningStatus": lambda: "guestToolsRunning" if running else "guestToolsNotRunning",
        "snapshot": lambda: snapshots(machine),
    }


def snapshots(machine: Machine) -> Any:
    if not machine.snapshot:
        return None
    snapshot = vim.vm.Snapshot(f"snapshot-{machine.id}")
    tree = vim.vm.SnapshotTree(
        snapshot=snapshot,
        vm=vim.VirtualMachine(machine.id),
        name="before",
        description="",
        id=1,
        createTime=datetime(2020, 1, 1, tzinfo=UTC),
        state="poweredOff",
        quiesced=False,
    )
    return vim.vm.SnapshotInfo(currentSnapshot=snapshot, rootSnapshotList=[tree])


def task_properties(world: World, task: Task) -> dict[str, Callable[[], Any]]:
    def info() -> Any:
        return vim.TaskInfo(
            key=task.id,
            task=vim.Task(task.id),
            descriptionId=task.name,
            entityName=task.entity,
            state="error" if task.error else "success",
            error=task.error,
            result=task.result,
            cancelled=False,
            cancelable=False,
            reason=vim.TaskReasonUser(userName=world.user),
            queueTime=datetime.now(UTC),
            eventChainId=1,
        )

    return {
        "info": info,
        "info.state": lambda: "error" if task.error else "success",
        "info.error": lambda: task.error,
    }


def properties(world: World, kind: str, identity: str) -> dict[str, Callable[[], Any]] | None:
    """The properties of one object; None if there is no such object."""
    if kind == "VirtualMachine" and (machine := world.machine(identity)):
        return machine_properties(world, machine)
    if kind == "Task" and (task := world.tasks.get(identity)):
        return task_properties(world, task)
    if kind == "Datastore" and identity in {reference._GetMoId() for reference in members(world, "Datastore")}:
        return {"name": lambda: identity.removeprefix("datastore-"), "summary.accessible": lambda: True}
    if kind == "Network":
        return {"name": lambda: identity.removeprefix("network-")}
    names = {
        ("Folder", ROOT): "Datacenters",
        ("Folder", VM_FOLDER): "vm",
        ("Datacenter", DATACENTER): world.inventory.datacenter,
        ("HostSystem", HOST): world.inventory.host,
    }
    if (name := names.get((kind, identity))) is None:
        return None
    parents = {DATACENTER: vim.Folder(ROOT), VM_FOLDER: vim.Datacenter(DATACENTER)}
    return {"name": lambda: name, "parent": lambda: parents.get(identity)}


def members(world: World, kind: str) -> list[Any]:
    """References to all objects of a type."""
    machines = world.inventory.machines
    stores = dict.fromkeys(disk.datastore for machine in machines for disk in machine.disks)
    networks = dict.fromkeys(nic.network for machine in machines for nic in machine.nics)
    return {
        "VirtualMachine": [vim.VirtualMachine(machine.id) for machine in machines],
        "Datastore": [vim.Datastore(f"datastore-{name}") for name in stores],
        "Network": [vim.Network(f"network-{name}") for name in networks],
        "Datacenter": [vim.Datacenter(DATACENTER)],
        "HostSystem": [vim.HostSystem(HOST)],
    }.get(kind, [])
