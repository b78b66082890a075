"""The DataVolume planner: a table of (DataVolume, what is seen) -> what is done."""

from datetime import timedelta
from typing import Any

import pytest

from hostler.api.objects import PersistentVolumeClaim, Pod
from hostler.runtime import disk_report as report
from hostler.runtime.conditions import stamp
from hostler.runtime.disk_report import Report
from hostler.runtime.errors import Invalid, Terminal
from hostler.runtime.plan import Create, Failure, Plan, Send
from hostler.runtime.store import Store
from tests.unit import make
from tests.unit.make import NOON, NS, ago, data_volume, said, verbs
from v2v import datavolume, worker_pod
from v2v.datavolume import Seen, plan
from v2v.settings import DiskSettings
from v2v.turns import Turns

SETTINGS = DiskSettings(broker="redis://redis:6379/0", broker_password="secret", parallel=2)
OWNED = [{"apiVersion": "cdi.kubevirt.io/v1beta1", "kind": "DataVolume", "name": "data", "uid": "uid-data"}]
OWNER = {"ownerReferences": [OWNED[0] | {"controller": True}]}
CLONE = {"pvc": {"namespace": NS, "name": "golden"}}
GIB = 1 << 30


def claim(phase: str = "Bound", mode: str = "Filesystem", **more: Any) -> Any:
    spec = {"volumeMode": mode, "resources": {"requests": {"storage": "1143996416"}}}
    status = {"phase": phase, "capacity": {"storage": "1143996416"}}
    metadata = make.meta("data", **{**OWNER, **more})
    return PersistentVolumeClaim.read({"metadata": metadata, "spec": spec, "status": status})


def golden(maker: str | None = "uid-golden") -> Any:
    """The source of a clone, which a DataVolume makes."""
    owner = OWNED[0] | {"name": "golden", "uid": maker, "controller": True}
    metadata = make.meta("golden", ownerReferences=[owner] if maker else [])
    return PersistentVolumeClaim.read({"metadata": metadata, "spec": {}})


def pod(phase: str = "Running", restarts: int = 0, started: float = 20, **more: Any) -> Any:
    """The worker pod; `told`: restarts and age of the last message, `waiting`: why its container waits."""
    told, waiting = more.pop("told", (0, 25)), more.pop("waiting", None)
    state = {"waiting": {"reason": waiting, "message": "oh"}} if waiting else {"running": {"startedAt": ago(started)}}
    container = {"name": "worker", "restartCount": restarts, "state": state}
    status = {"phase": phase, "containerStatuses": [container] if phase != "Pending" else []}
    marks = {
        worker_pod.DISPATCHED: worker_pod.dispatched(told[0], ago(told[1])),
        worker_pod.CLAIM: more.pop("claim", "uid-data"),
    }
    metadata = make.meta("importer-data", **{**OWNER, "annotations": marks, **more})
    return Pod.read({"metadata": metadata, "spec": {}, "status": status})


def reported(age: float = 2, of: str = "uid-importer-data", **what: Any) -> dict[str, Any]:
    """The annotation that a worker left."""
    word = Report(**{"uid": "uid-data", "claim": "uid-data", "pod": of, **what}).text(NOON - timedelta(seconds=age))
    return {"annotations": {report.ANNOTATION: word}}


def did(result: Plan) -> list[str]:
    sent = ["!send"] if any(isinstance(action, Send) for action in result.actions) else []
    return sent + verbs(result)


def phase(result: Plan) -> str:
    return str((result.status or {}).get("phase", "-"))


@pytest.mark.parametrize(
    ("volume", "seen", "actions", "expected"),
    [
        pytest.param(data_volume(), Seen(), ["+data"], "Pending", id="first the claim"),
        pytest.param(
            data_volume(phase="Pending"),
            Seen(claim("Pending"), missing=("account", "rights")),
            ["!send", "+hostler-disk-worker", "+hostler-disk-worker", "+importer-data-9kzg8"],
            "ImportScheduled",
            id="then the worker, its account, and its task before it",
        ),
        pytest.param(
            data_volume(phase="Pending"), Seen(claim(), turns=Turns(1, (ago(5),))), [], "ImportScheduled",
            id="others go first",
        ),
        pytest.param(
            data_volume(phase="Pending"), Seen(claim(), turns=Turns(1, (ago(61), ago(3600)))),
            ["!send", "+importer-data-9kzg8"], "ImportScheduled", id="but not those that cannot start",
        ),
        pytest.param(
            data_volume(phase="ImportScheduled"), Seen(claim(), pod("Pending")), ["~data mark"],
            "ImportScheduled", id="wait",
        ),
        pytest.param(
            data_volume(phase="ImportScheduled"), Seen(claim(), pod(started=5, told=(0, 6))), ["~data mark"],
            "ImportScheduled", id="it starts, and has its task",
        ),
        pytest.param(
            data_volume(phase="ImportScheduled"), Seen(claim(), pod(started=20, told=(0, 25))),
            ["!send", "~importer-data dispatched", "~data mark"], "ImportScheduled", id="it has not taken it: again",
        ),
        pytest.param(
            data_volume(phase="ImportScheduled", **reported()), Seen(claim(), pod()), ["~data mark"],
            "ImportInProgress", id="it works",
        ),
        pytest.param(
            data_volume(phase="ImportInProgress", **reported(age=6)), Seen(claim(), pod(restarts=1, started=3)),
            ["!send", "~importer-data dispatched", "~data mark"], "ImportInProgress", id="killed: at once",
        ),
        pytest.param(
            data_volume(phase="ImportInProgress", **reported(age=6)),
            Seen(claim(), pod(restarts=1, started=3, told=(1, 2))), ["~data mark"], "ImportInProgress", id="but once",
        ),
        pytest.param(
            data_volume(phase="ImportInProgress", **reported(age=100)), Seen(claim(), pod(started=200)),
            ["-importer-data"], "-", id="it hangs: another pod",
        ),
        pytest.param(
            data_volume(phase="ImportInProgress"), Seen(claim(), pod("Failed")), ["-importer-data"], "-", id="evicted",
        ),
        pytest.param(
            data_volume(phase="ImportInProgress"), Seen(claim(), pod(dying=True)), [], "-", id="wait for its end"
        ),
        pytest.param(
            data_volume(phase="ImportInProgress", **reported(state="done")), Seen(claim(), pod()),
            ["~data mark", "-importer-data"], "Succeeded", id="done",
        ),
        pytest.param(
            data_volume(phase="ImportInProgress", **reported(state="failed", reason="ChecksumMismatch", message="no")),
            Seen(claim(), pod()), ["~data mark", "-importer-data"], "Failed", id="failed",
        ),
        pytest.param(
            data_volume(phase="ImportInProgress", **reported(state="done")), Seen(), ["+data"], "Pending",
            id="the claim is gone: another one",
        ),
        pytest.param(
            data_volume(phase="Pending", **reported(state="done", claim="uid-old")), Seen(claim()),
            ["!send", "+importer-data-9kzg8"], "ImportScheduled", id="on which nothing is done yet",
        ),
        pytest.param(
            data_volume(phase="Pending"), Seen(claim(), pod("Pending", claim="uid-old")), ["-importer-data"], "-",
            id="not by the pod that was made for the old one",
        ),
        pytest.param(
            data_volume(phase="Pending"), Seen(claim(), pod("Pending", claim="uid-data")), ["~data mark"],
            "ImportScheduled", id="but by one of its own",
        ),
        pytest.param(data_volume(phase="Succeeded"), Seen(claim(), pod()), ["-importer-data"], "-", id="the pod goes"),
        pytest.param(data_volume(phase="Succeeded"), Seen(), [], "-", id="what is done stays done"),
        pytest.param(data_volume(dying=True), Seen(claim(), pod()), [], "-", id="deleted: the collector's"),
        pytest.param(data_volume(source=CLONE), Seen(), [], "Pending", id="a clone waits for its source"),
        pytest.param(
            data_volume(source=CLONE, phase="Pending"), Seen(claim(), source=make.claim("golden"), users=("vm",)), [],
            "CloneScheduled", id="and while it is in use",
        ),
        pytest.param(
            data_volume(source=CLONE, phase="Pending"), Seen(claim(), source=make.claim("golden")),
            ["!send", "+cloner-data-9kzg8"], "CloneScheduled", id="then it is made",
        ),
        pytest.param(
            data_volume(source={"upload": {}}, phase="UploadScheduled", **reported(state="ready")),
            Seen(claim(), pod()), ["~data mark"], "UploadReady", id="an upload may come",
        ),
    ],
)  # fmt: skip
def test_plan(volume: Any, seen: Seen, actions: list[str], expected: str) -> None:
    result = plan(volume, seen, NOON, SETTINGS)
    assert did(result) == actions
    assert phase(result) == expected


@pytest.mark.parametrize(
    ("volume", "seen", "expected"),
    [
        pytest.param(data_volume(), Seen(claim("Pending"), pod("Pending")), ("False", "PodPending"), id="pod pending"),
        pytest.param(data_volume(), Seen(claim(), pod(waiting="ErrImagePull")), ("False", "ErrImagePull"), id="image"),
        pytest.param(
            data_volume(**reported(reason="TransferInterrupted", message="refused")),
            Seen(claim(), pod(waiting="CrashLoopBackOff")), ("False", "TransferInterrupted"), id="why it starts again",
        ),
        pytest.param(
            data_volume(**reported(reason="a\nb", message="")), Seen(claim(), pod()), ("False", "Error"), id="lie",
        ),
        pytest.param(data_volume(**reported(doing="copying")), Seen(claim(), pod()), ("True", "PodRunning"), id="work"),
        pytest.param(
            data_volume(**reported(of="uid-another", reason="Old")), Seen(claim(), pod()), ("True", "PodRunning"),
            id="another pod's word",
        ),
    ],
)  # fmt: skip
def test_running(volume: Any, seen: Seen, expected: tuple[str, str]) -> None:
    assert said(plan(volume, seen, NOON, SETTINGS), "Running") == expected


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "[]", "{}", '{"uid": "uid-data", "at": "yesterday"}', "x" * 10_000,
     '{"uid": "uid-data", "at": "2026-06-01T12:00:00Z", "offset": -5}',
     '{"uid": "another", "at": "2026-06-01T12:00:00Z", "state": "done"}'],
)  # fmt: skip
def test_a_report_is_not_trusted(text: str) -> None:
    assert report.read({report.ANNOTATION: text}, "uid-data") is None


@pytest.mark.parametrize(
    ("source", "maker", "expected"),
    [
        pytest.param(None, None, ("False", "CloneSourceNotFound"), id="not there"),
        pytest.param(golden(), data_volume("golden"), ("False", "CloneSourceNotReady"), id="just made"),
        pytest.param(golden(), data_volume("golden", "Pending"), ("False", "CloneSourceNotReady"), id="queued"),
        pytest.param(
            golden(), data_volume("golden", "ImportInProgress"), ("False", "CloneSourceNotReady"), id="half of it",
        ),
        pytest.param(golden(), data_volume("golden", "Failed"), ("False", "CloneSourceNotReady"), id="a wrong disk"),
        pytest.param(golden(), None, ("False", "CloneSourceNotReady"), id="nobody makes it any more"),
        pytest.param(
            golden("uid-old"), data_volume("golden", "Succeeded"), ("False", "CloneSourceNotReady"), id="the old one's",
        ),
        pytest.param(golden(), data_volume("golden", "Succeeded"), None, id="whole"),
        pytest.param(golden(None), None, None, id="a claim of its own"),
        pytest.param(golden(None), data_volume("golden", "Failed"), None, id="a claim that was there before"),
    ],
)  # fmt: skip
def test_a_clone_waits_until_its_source_is_whole(source: Any, maker: Any, expected: Any) -> None:
    store = Store()
    for obj in (source, maker):
        if obj is not None:
            store.observe(*observed(obj))
    volume = data_volume(source=CLONE, phase="Pending")
    first = plan(volume, datavolume.look(store, volume), NOON, SETTINGS)
    assert did(first) == ([] if expected else ["+data"])
    store.observe(*observed(claim()))
    then = plan(volume, datavolume.look(store, volume), NOON, SETTINGS)
    assert [each for each in did(then) if each.startswith("+cloner")] == ([] if expected else ["+cloner-data-9kzg8"])
    assert said(then, "Running") == said(first, "Running") if expected else phase(then) == "CloneScheduled"
    assert not expected or said(then, "Running") == expected


def test_the_claim() -> None:
    (create,) = plan(
        data_volume(storage={"resources": {"requests": {"storage": "1Gi"}}}), Seen(), NOON, SETTINGS
    ).actions
    assert isinstance(create, Create)
    spec = create.body["spec"]
    assert spec["accessModes"] == ["ReadWriteOnce"]
    assert int(spec["resources"]["requests"]["storage"]) == 1142947840  # 1 GiB / 0.94, in whole MiB
    block = {"volumeMode": "Block", "resources": {"requests": {"storage": "1Gi"}}}
    for form in ({"storage": block}, {"pvc": block}):
        (create,) = plan(data_volume(**form), Seen(), NOON, SETTINGS).actions
        assert isinstance(create, Create)
        assert create.body["spec"]["resources"]["requests"]["storage"] == str(GIB)
        assert create.body["spec"]["volumeMode"] == "Block"


def test_the_disk_on_it() -> None:
    def size(volume: Any, found: Any) -> int:
        from v2v.claim import disk_size

        return disk_size(volume, found, SETTINGS.filesystem_overhead)

    assert size(data_volume(), claim()) == GIB
    assert size(data_volume(pvc={"resources": {"requests": {"storage": "1143996416"}}}), claim()) == 1025 << 20


@pytest.mark.parametrize(
    ("volume", "seen", "reason"),
    [
        pytest.param(data_volume(storage={}), Seen(), "ErrClaimNotValid", id="no size"),
        pytest.param(
            data_volume(storage={"resources": {"requests": {"storage": "much"}}}),
            Seen(),
            "ErrClaimNotValid",
            id="no number",
        ),
        pytest.param(data_volume(), Seen(claim(ownerReferences=[])), "ErrClaimExists", id="somebody else's claim"),
        pytest.param(
            data_volume(source={"pvc": {"namespace": "other", "name": "x"}}), Seen(), "CloneNotSupported", id="far away"
        ),
        pytest.param(data_volume(source={"s3": {"url": "s3://x"}}), Seen(), "SourceNotSupported", id="s3"),
    ],
)
def test_what_cannot_be(volume: Any, seen: Seen, reason: str) -> None:
    with pytest.raises(Terminal) as error:
        plan(volume, seen, NOON, SETTINGS)
    assert error.value.reason == reason
    result = datavolume.failed(volume, Plan(), Failure(None, error.value), NOON)
    assert said(result, "Ready") == ("False", reason)
    assert [event.reason for event in result.events] == [reason]


def test_a_refusal_is_told_once() -> None:
    failure = Failure(None, Invalid(422, "Invalid", "exceeded quota"))
    first = datavolume.failed(data_volume(), Plan(), failure, NOON)
    assert [event.reason for event in first.events] == ["FailedCreate"]
    again = datavolume.failed(data_volume(status=first.status), Plan(), failure, NOON)
    assert again.events == ()


def test_the_worker_knows_no_secret() -> None:
    task = worker_pod.job(data_volume(), GIB, claim(), None)
    body = worker_pod.manifest(data_volume(), task, SETTINGS, stamp(NOON))
    assert "secret" not in str(body["spec"]["containers"][0]["env"])
    assert (task.claim, body["metadata"]["annotations"][worker_pod.CLAIM]) == ("uid-data", "uid-data")
    login = worker_pod.broker("uid-data", SETTINGS)
    assert login.startswith("redis://disk-uid-data:")
    assert login.endswith("@redis:6379/0")
    assert login != worker_pod.broker("uid-other", SETTINGS)


def test_who_uses_a_source() -> None:
    store = Store()

    def put(name: str, label: str, phase: str = "Running", **more: str) -> None:
        labels = {"kubevirt.io": label} | more
        volumes = [{"name": "d", "persistentVolumeClaim": {"claimName": "golden"}}, {"name": "e", "emptyDir": {}}]
        body = {"metadata": make.meta(name, labels=labels), "spec": {"volumes": volumes}, "status": {"phase": phase}}
        store.observe(Pod, body)

    put("vm", "virt-launcher")
    put("ended", "virt-launcher", "Succeeded")
    put("other-clone", worker_pod.VALUE, **{"cdi.kubevirt.io": "cloner"})
    put("importer", worker_pod.VALUE, **{"cdi.kubevirt.io": "importer"})
    seen = datavolume.look(store, data_volume(source=CLONE))
    assert seen.users == ("vm", "importer")
    store.observe(*observed(data_volume("copy", source=CLONE)))
    store.observe(*observed(data_volume("done", source=CLONE, phase="Succeeded")))
    for changed in (make.claim("golden"), data_volume("golden", "Succeeded")):
        assert list(datavolume.waiting_for_source(changed, store)) == [(NS, "copy")]
    assert list(datavolume.waiting_for_source(data_volume("golden", "ImportInProgress"), store)) == []


def observed(obj: Any) -> tuple[Any, dict[str, Any]]:
    return type(obj), obj.model_dump(mode="json", by_alias=True, exclude_unset=True)
