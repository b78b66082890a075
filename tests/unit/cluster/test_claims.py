"""What the provisioner does for which claim and volume."""

from pathlib import Path
from uuid import UUID

import pytest

from cluster import claims
from cluster.addons import PROVISIONER
from cluster.claims import Make, PersistentVolume, PersistentVolumeClaim, Refuse, Remove

UID = str(UUID(int=7))
NAME = f"pvc-{UID}"


def claim(asked: str = PROVISIONER, deleted: bool = False, **spec: object) -> PersistentVolumeClaim:
    metadata = {"name": "data", "namespace": "ns", "uid": UID, "annotations": {claims.ASKED: asked} if asked else {}}
    if deleted:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    whole = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": "c"}
    return PersistentVolumeClaim.model_validate({"metadata": metadata, "spec": whole | spec})


def volume(phase: str = "Bound", name: str = NAME, by: str = PROVISIONER, reclaim: str = "Delete") -> PersistentVolume:
    metadata = {"name": name, "uid": "v", "annotations": {claims.MADE: by}}
    spec = {"persistentVolumeReclaimPolicy": reclaim}
    return PersistentVolume.model_validate({"metadata": metadata, "spec": spec, "status": {"phase": phase}})


def verbs(actions: tuple[object, ...]) -> list[str]:
    signs = {Make: "+", Remove: "-", Refuse: "!"}
    about = [action.volume if isinstance(action, Remove) else action.claim for action in actions]
    return [signs[type(action)] + thing.metadata.name for action, thing in zip(actions, about, strict=True)]


@pytest.mark.parametrize(
    ("wanted", "there", "expected"),
    [
        pytest.param([claim()], [], ["+data"], id="a claim for us"),
        pytest.param([claim()], [volume()], [], id="its volume is there already"),
        pytest.param([claim(asked="other.io/x")], [], [], id="another's"),
        pytest.param([claim(asked="")], [], [], id="nobody is asked yet: it waits for its first pod"),
        pytest.param([claim(volumeName="chosen")], [], [], id="it names a volume itself"),
        pytest.param([claim(deleted=True)], [], [], id="on its way out"),
        pytest.param([claim(dataSource={"name": "x"})], [], ["!data"], id="a copy"),
        pytest.param([claim(selector={"matchLabels": {}})], [], ["!data"], id="a selector"),
        pytest.param([], [volume("Released")], [f"-{NAME}"], id="a volume whose claim is gone"),
        pytest.param([], [volume("Released", reclaim="Retain")], [], id="to be kept"),
        pytest.param([], [volume("Released", by="other.io/x")], [], id="another's volume"),
        pytest.param([], [volume("Released", name="../../etc")], [], id="a name that leads elsewhere"),
        pytest.param([], [volume("Bound")], [], id="in use"),
    ],
)
def test_plan(wanted, there, expected):
    assert verbs(claims.plan(wanted, there)) == expected


def test_a_folder_for_a_claim():
    body = claims.volume_body(claim(), Path("/volumes/it"), "Retain", "a")
    assert body["metadata"] == {"name": NAME, "annotations": {claims.MADE: PROVISIONER}}
    reference = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": "ns", "name": "data", "uid": UID}
    assert body["spec"] == {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteMany"],
        "volumeMode": "Filesystem",
        "storageClassName": "c",
        "persistentVolumeReclaimPolicy": "Retain",
        "claimRef": reference,
        "hostPath": {"path": "/volumes/it", "type": "Directory"},
    }  # fmt: skip


def test_a_device_for_a_claim_is_on_every_node_of_its_cluster():
    spec = claims.volume_body(claim(volumeMode="Block"), Path("/volumes/it"), "Delete", "a")["spec"]
    assert spec["local"] == {"path": "/volumes/it"}
    (term,) = spec["nodeAffinity"]["required"]["nodeSelectorTerms"]
    assert term["matchExpressions"] == [{"key": "hostler.io/cluster", "operator": "In", "values": ["a"]}]


def test_sizes_are_bytes():
    assert claim().size == 1 << 30


def test_a_volume_says_how_large_it_is():
    assert volume().size == 0
    spec = {"capacity": {"storage": "2Mi"}}
    assert PersistentVolume.model_validate({"metadata": {"name": NAME}, "spec": spec}).size == 2 << 20
