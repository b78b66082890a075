"""VMI -> Pod, part by part."""

import json
from typing import Any

import pytest

from controllers import launcher_pod
from controllers.resources import guest_memory, overhead, resources, vcpus
from controllers.settings import ManagerSettings
from hostler.api import launcher
from hostler.runtime.errors import Terminal
from hostler.runtime.protocol import Raw
from tests.unit.make import claim, vmi

EMULATED = ManagerSettings(use_emulation=True)
KVM = ManagerSettings(use_emulation=False)
MIB = 2**20


def pod(spec: Raw | None = None, settings: ManagerSettings = EMULATED, claims: Any = None, **meta: Any) -> Raw:
    return launcher_pod.manifest(vmi(spec=spec or {}, **meta), claims or {}, settings)


def compute(manifest: Raw) -> Raw:
    (container,) = manifest["spec"]["containers"]
    return container  # type: ignore[no-any-return]


def request(manifest: Raw) -> Raw:
    """What PID 1 is asked for."""
    (env,) = compute(manifest)["env"]
    assert env["name"] == launcher.PREPARE_ENV
    return json.loads(env["value"])  # type: ignore[no-any-return]


def volume(**source: Any) -> Raw:
    return {"volumes": [{"name": "root", **source}]}


def domain(**more: Any) -> Raw:
    return {"domain": {"devices": {}, "memory": {"guest": "128Mi"}} | more}


def test_names_that_tools_look_for() -> None:
    meta = pod(labels={"app": "web", launcher.NODE_NAME: "old"}, annotations={"note": "x"})["metadata"]
    assert meta["labels"] == {
        "app": "web",
        "kubevirt.io": "virt-launcher",
        "kubevirt.io/created-by": "uid-web",
        "vm.kubevirt.io/name": "web",
    }
    assert meta["annotations"] == {
        "note": "x",
        "kubevirt.io/domain": "web",
        "kubectl.kubernetes.io/default-container": "compute",
        "hostler.io/live-migratable": "True",
    }
    (owner,) = meta["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("VirtualMachineInstance", "uid-web", True)


def test_a_vmi_cannot_pose_as_another() -> None:
    stolen = {"kubevirt.io/created-by": "uid-of-another", "kubevirt.io": "no-launcher"}
    labels = pod(labels=stolen)["metadata"]["labels"]
    assert (labels["kubevirt.io/created-by"], labels["kubevirt.io"]) == ("uid-web", "virt-launcher")
    assert pod(annotations={"kubevirt.io/domain": "b"})["metadata"]["annotations"]["kubevirt.io/domain"] == "web"


def test_what_kubectl_keeps_on_the_vmi_stays_there() -> None:
    noted = {"kubectl.kubernetes.io/last-applied-configuration": "{}"}
    assert "kubectl.kubernetes.io/last-applied-configuration" not in pod(annotations=noted)["metadata"]["annotations"]


def test_long_names_fit() -> None:
    name = "x" * 250
    meta = launcher_pod.manifest(vmi(name), {}, EMULATED)["metadata"]
    assert len(meta["name"]) == 253
    assert len(meta["labels"]["vm.kubevirt.io/name"]) == 63
    assert len(launcher_pod.manifest(vmi(name), {}, EMULATED)["spec"]["hostname"]) == 63


def test_sigterm_waits_until_pid_1_can_hear_it() -> None:
    assert compute(pod())["command"][:2] == ["env", "--block-signal=TERM"]


def test_the_pod_may_do_nothing() -> None:
    spec = pod()["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert spec["restartPolicy"] == "Never"
    assert spec["securityContext"]["runAsUser"] == 107
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert compute(pod())["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }


@pytest.mark.parametrize(
    ("spec", "grace", "guest"),
    [
        pytest.param({}, 45, 30, id="default"),
        pytest.param({"terminationGracePeriodSeconds": 120}, 135, 120, id="as asked"),
        pytest.param({"terminationGracePeriodSeconds": 0}, 15, 0, id="none"),
        pytest.param({"terminationGracePeriodSeconds": 2**63 - 1}, 9223372036, 9223372021, id="no more than 292 years"),
    ],
)
def test_the_kubelet_waits_longer_than_pid_1(spec: Raw, grace: int, guest: int) -> None:
    manifest = pod(spec)
    assert manifest["spec"]["terminationGracePeriodSeconds"] == grace
    assert request(manifest)["graceSeconds"] == guest


SCHEDULING = {
    "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "zone"}]}},
    "tolerations": [{"key": "a", "operator": "Exists"}],
    "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}],
    "schedulerName": "mine",
    "priorityClassName": "high",
    "subdomain": "vms",
    "dnsPolicy": "None",
    "dnsConfig": {"nameservers": ["10.0.0.10"]},
}


def test_where_and_how_the_pod_runs_is_the_vmis_choice() -> None:
    spec = pod(SCHEDULING | {"nodeSelector": {"disk": "fast"}, "hostname": "shop", "architecture": "amd64"})["spec"]
    assert {key: spec[key] for key in SCHEDULING} == SCHEDULING
    assert spec["hostname"] == "shop"
    assert spec["nodeSelector"] == {
        "disk": "fast",
        "kubevirt.io/schedulable": "true",
        "kubernetes.io/arch": "amd64",
    }


def test_what_is_not_asked_for_is_not_there() -> None:
    assert not set(SCHEDULING) & set(pod()["spec"])


@pytest.mark.parametrize(
    ("more", "spread"),
    [
        pytest.param({"of": None}, False, id="a VMI of its own"),
        pytest.param({"of": "web"}, True, id="a member of a set"),
        pytest.param({"of": "web", "spec": {"affinity": SCHEDULING["affinity"]}}, False, id="which has its own rules"),
    ],
)
def test_members_of_a_set_go_to_different_nodes(more: Any, spread: bool) -> None:
    manifest = launcher_pod.manifest(vmi("a", **more), {}, EMULATED)
    rules = manifest["spec"].get("topologySpreadConstraints", [])
    assert [rule["labelSelector"]["matchLabels"] for rule in rules] == ([{launcher.SET: "uid-web"}] if spread else [])
    assert manifest["metadata"]["labels"].get(launcher.SET) == ("uid-web" if more["of"] else None)


def test_container_disk_is_an_image_volume() -> None:
    source = {"image": "docker.io/x:1", "imagePullPolicy": "Always", "imagePullSecret": "login", "path": "/disk/a.img"}
    manifest = pod(volume(containerDisk=source))
    assert {"name": "root", "image": {"reference": "docker.io/x:1", "pullPolicy": "Always"}} in manifest["spec"][
        "volumes"
    ]
    mount = {"name": "root", "mountPath": "/var/run/hostler/images/root", "readOnly": True}
    assert mount in compute(manifest)["volumeMounts"]
    assert manifest["spec"]["imagePullSecrets"] == [{"name": "login"}]
    assert request(manifest)["disks"] == [{"kind": "overlay", "volume": "root", "path": "/disk/a.img"}]


def test_kernel_boot() -> None:
    box = {"image": "docker.io/k:1", "kernelPath": "/boot/vmlinuz", "initrdPath": "/boot/initrd"}
    manifest = pod(domain(firmware={"kernelBoot": {"container": box, "kernelArgs": "quiet"}}))
    assert {"name": "kernel-boot", "image": {"reference": "docker.io/k:1"}} in manifest["spec"]["volumes"]
    assert request(manifest)["boot"] == {"kernel": "/boot/vmlinuz", "initrd": "/boot/initrd"}


def test_filesystem_claim_is_a_folder() -> None:
    manifest = pod(volume(persistentVolumeClaim={"claimName": "data"}), claims={"data": claim()})
    assert {"name": "root", "persistentVolumeClaim": {"claimName": "data"}} in manifest["spec"]["volumes"]
    path = "/var/run/kubevirt-private/vmi-disks/root"
    assert {"name": "root", "mountPath": path} in compute(manifest)["volumeMounts"]
    (disk,) = request(manifest)["disks"]
    assert (disk["kind"], disk["volume"]) == ("claim", "root")
    assert disk["bytes"] == 962 * MIB  # 94 % of a gibibyte, in whole mebibytes


def test_block_claim_is_a_device() -> None:
    source = {"claimName": "data", "readOnly": True}
    manifest = pod(volume(persistentVolumeClaim=source), claims={"data": claim(mode="Block")})
    assert compute(manifest)["volumeDevices"] == [{"name": "root", "devicePath": "/dev/root"}]
    assert {"name": "root", "persistentVolumeClaim": source} in manifest["spec"]["volumes"]
    assert "disks" not in request(manifest) or request(manifest)["disks"] == []


def test_empty_disk() -> None:
    manifest = pod(volume(emptyDisk={"capacity": "1G"}))
    assert request(manifest)["disks"] == [{"kind": "empty", "volume": "root", "bytes": 10**9}]


@pytest.mark.parametrize(
    ("source", "label"),
    [
        pytest.param("cloudInitNoCloud", "cidata", id="NoCloud"),
        pytest.param("cloudInitConfigDrive", "config-2", id="config drive"),
    ],
)
def test_cloud_init_in_the_spec(source: str, label: str) -> None:
    data = {"userData": "#cloud-config", "networkDataBase64": "dmVyc2lvbjogMg=="}
    (disk,) = request(pod(volume(**{source: data})))["disks"]
    assert (disk["label"], disk["hostname"], disk["instanceId"]) == (label, "web", "web.shop")
    assert (disk["userData"], disk["networkData"]) == ("I2Nsb3VkLWNvbmZpZw==", "dmVyc2lvbjogMg==")


def test_cloud_init_in_secrets_is_mounted_and_not_copied() -> None:
    data = {"secretRef": {"name": "user"}, "networkDataSecretRef": {"name": "net"}}
    manifest = pod(volume(cloudInitNoCloud=data))
    (disk,) = request(manifest)["disks"]
    assert disk["secrets"] == ["userdata", "networkdata"]
    found = {each["name"]: each for each in manifest["spec"]["volumes"]}
    names = [part["secret"]["name"] for part in found["root"]["projected"]["sources"]]
    assert names == ["user", "net"]
    mount = {"name": "root", "mountPath": "/var/run/hostler/secrets/root", "readOnly": True}
    assert mount in compute(manifest)["volumeMounts"]


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        pytest.param(volume(cloudInitNoCloud={"userDataBase64": "%%%"}), r"userDataBase64: not valid", id="base64"),
        pytest.param(volume(cloudInitNoCloud={"userData": "x" * 200_000}), "must be in a Secret", id="too long"),
        pytest.param(volume(sysprep={}), r"spec.volumes\[root\].sysprep: not supported", id="unknown source"),
        pytest.param(volume(), r"spec.volumes\[root\].nothing: not supported", id="no source"),
        pytest.param({"domain": {"devices": {}}}, "spec.domain.memory.guest: say how much", id="no memory"),
        pytest.param(
            domain(memory={"guest": "much"}), "spec.domain.memory.guest: 'much' is not a quantity", id="memory"
        ),
        pytest.param(
            volume(emptyDisk={"capacity": "1Zi"}),
            r"spec.volumes\[root\].emptyDisk.capacity: '1Zi' is not",
            id="capacity",
        ),
        pytest.param(
            domain(resources={"requests": {"memory": "x"}}),
            "spec.domain.resources.requests.memory: 'x' is not",
            id="asked",
        ),
    ],
)
def test_what_cannot_run_names_the_field(spec: Raw, why: str) -> None:
    with pytest.raises(Terminal, match=why):
        pod(spec)


def test_a_volume_may_have_the_name_of_one_of_ours() -> None:
    volumes = [{"name": name, "containerDisk": {"image": "i"}} for name in ("private", "disks", "kernel-boot")]
    names = [each["name"] for each in pod({"volumes": volumes})["spec"]["volumes"]]
    assert len(names) == len(set(names)) == 5


@pytest.mark.parametrize(
    ("cpu", "count"),
    [
        pytest.param({}, 1, id="nothing said"),
        pytest.param({"cpu": {"cores": 2, "sockets": 2, "threads": 2}}, 8, id="topology"),
        pytest.param({"cpu": {"cores": 3}}, 3, id="cores alone"),
        pytest.param({"cpu": {"model": "host-model"}, "resources": {"requests": {"cpu": "1500m"}}}, 2, id="requests"),
        pytest.param({"resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "4"}}}, 4, id="limits first"),
    ],
)
def test_vcpus(cpu: Raw, count: int) -> None:
    assert vcpus(vmi(spec=domain(**cpu)).spec) == count


@pytest.mark.parametrize(
    ("memory", "mib"),
    [
        pytest.param({"memory": {"guest": "96Mi"}, "resources": {"requests": {"memory": "64Mi"}}}, 96, id="guest"),
        pytest.param({"memory": None, "resources": {"requests": {"memory": "64Mi"}}}, 64, id="requests"),
        pytest.param({"memory": None, "resources": {"limits": {"memory": "80Mi"}}}, 80, id="limits"),
    ],
)
def test_guest_memory(memory: Raw, mib: int) -> None:
    assert guest_memory(vmi(spec=domain(**memory)).spec) == mib * MIB


def asked(settings: ManagerSettings = EMULATED, **spec: Any) -> Raw:
    return resources(vmi(spec=domain(**spec)), settings)


def test_a_pod_asks_for_what_it_needs() -> None:
    plain = vmi(spec=domain())
    wanted = resources(plain, EMULATED)
    assert wanted["requests"] == {"memory": str(128 * MIB + overhead(plain, EMULATED)), "cpu": "100m"}
    assert wanted["limits"] == {launcher.TUN: "1"}
    assert resources(plain, KVM)["limits"] == {launcher.TUN: "1", launcher.KVM: "1"}


def test_a_guest_without_network_needs_no_tun() -> None:
    assert asked(devices={"autoattachPodInterface": False})["limits"] == {}


def test_what_the_user_asks_for_is_kept() -> None:
    spec = domain(resources={"requests": {"cpu": "2", "memory": "64Mi"}, "limits": {"memory": "256Mi"}})
    extra = overhead(vmi(spec=spec), EMULATED)
    wanted = resources(vmi(spec=spec), EMULATED)
    assert wanted["requests"] == {"cpu": "2", "memory": str(64 * MIB + extra)}
    assert wanted["limits"]["memory"] == str(256 * MIB + extra)


def test_the_launchers_image_is_pulled_as_the_installation_says() -> None:
    settings = ManagerSettings(launcher_pull_secrets=("ours", "both"))
    disk = volume(containerDisk={"image": "docker.io/x:1", "imagePullSecret": "both"})
    assert pod(disk, settings)["spec"]["imagePullSecrets"] == [{"name": "ours"}, {"name": "both"}]
    assert "imagePullSecrets" not in pod(volume(emptyDisk={"capacity": "1Gi"}))["spec"]


def test_overcommitted_overhead_is_in_the_limit_alone() -> None:
    asked = {"requests": {"memory": "128Mi"}, "limits": {"memory": "128Mi"}, "overcommitGuestOverhead": True}
    one = vmi(spec=domain(resources=asked))
    wanted = resources(one, EMULATED)
    assert wanted["requests"]["memory"] == str(128 * MIB)
    assert wanted["limits"]["memory"] == str(128 * MIB + overhead(one, EMULATED))


@pytest.mark.parametrize(("memory", "mib"), [("64Mi", 48), ("128Mi", 48), ("256Mi", 96), ("512Mi", 192), ("8Gi", 192)])
def test_an_emulated_guest_needs_room_for_its_translated_code(memory: str, mib: int) -> None:
    one = vmi(spec=domain(memory={"guest": memory}))
    assert overhead(one, EMULATED) - overhead(one, KVM) == mib * MIB


def test_what_qemu_says_cannot_fill_the_node() -> None:
    volumes = {each["name"]: each for each in pod()["spec"]["volumes"]}
    assert volumes["private"] == {"name": "private", "emptyDir": {"sizeLimit": "64Mi"}}


@pytest.mark.parametrize(
    ("capacities", "kib"),
    [
        pytest.param([], 0, id="none"),
        pytest.param(["1Gi"], 128, id="an eighth of a thousandth"),
        pytest.param(["256Gi"], 32 * 1024, id="the whole table of 256 GiB"),
        pytest.param(["4Ti", "8Gi"], 33 * 1024, id="no more of one image"),
    ],
)
def test_qemu_keeps_the_tables_of_empty_disks(capacities: list[str], kib: int) -> None:
    volumes = [{"name": f"d{i}", "emptyDisk": {"capacity": size}} for i, size in enumerate(capacities)]
    one, bare = vmi(spec=domain() | {"volumes": volumes}), vmi(spec=domain())
    assert overhead(one, KVM) - overhead(bare, KVM) == kib * 1024


def test_overhead_grows_with_what_costs() -> None:
    small = overhead(vmi(spec=domain(devices={"autoattachGraphicsDevice": False})), KVM)
    assert overhead(vmi(spec=domain()), KVM) - small == KVM.overhead_graphics * MIB
    assert (
        overhead(vmi(spec=domain(cpu={"cores": 3})), KVM) - overhead(vmi(spec=domain()), KVM)
        == 2 * KVM.overhead_vcpu * MIB
    )
    assert (
        overhead(vmi(spec=domain(memory={"guest": "4Gi"})), KVM)
        - overhead(vmi(spec=domain(memory={"guest": "3Gi"})), KVM)
        == 2 * MIB
    )
