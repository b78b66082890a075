"""The picture: newest wins, the dead stay dead, ghosts go."""

from typing import Any

import pytest

from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.objects import Pod
from hostler.runtime.protocol import Raw
from hostler.runtime.store import Store
from tests.unit.make import NS


def pod(name: str = "a", version: int = 1, uid: str = "", of: str = "", **meta: Any) -> Raw:
    owner = {"apiVersion": "v1", "kind": "Parent", "name": of, "uid": f"uid-{of}", "controller": True}
    body = {"name": name, "namespace": NS, "uid": uid or f"uid-{name}", "resourceVersion": str(version)}
    return {"metadata": body | ({"ownerReferences": [owner]} if of else {}) | meta}


def version(store: Store, name: str = "a") -> str | None:
    seen = store.get(Pod, (NS, name))
    return seen.metadata.resource_version if seen else None


def store_of(*pods: Raw) -> Store:
    store = Store()
    for each in pods:
        store.observe(Pod, each)
    return store


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        pytest.param([pod(version=2), pod(version=10)], "10", id="newer replaces older"),
        pytest.param([pod(version=10), pod(version=9)], "10", id="as numbers, not as text"),
        pytest.param([pod(version=3, uid="old"), pod(version=5, uid="new")], "5", id="another of the same name"),
        pytest.param([pod(version=5, uid="new"), pod(version=3, uid="old")], "5", id="an echo of the one before"),
    ],
)
def test_newest_wins(told: list[Raw], expected: str) -> None:
    assert version(store_of(*told)) == expected


def test_the_dead_stay_dead() -> None:
    store = store_of(pod(version=1))
    store.forget(Pod, pod(version=2))
    store.observe(Pod, pod(version=3))
    assert version(store) is None
    store.observe(Pod, pod(version=4, uid="reborn"))
    assert version(store) == "4"


def test_a_late_end_of_the_one_before_does_not_touch_the_new_one() -> None:
    store = store_of(pod(version=1, uid="old"), pod(version=5, uid="new"))
    store.forget(Pod, pod(version=4, uid="old"))
    assert version(store) == "5"
    store.observe(Pod, pod(version=9, uid="old"))
    assert version(store) == "5"


def test_a_listing_prunes_what_it_does_not_have() -> None:
    store = store_of(pod("ghost", 3), pod("alive", 4), pod("younger", 12))
    store.prune(Pod, {"uid-alive"}, "10")
    assert sorted(each.metadata.name for each in store.all(Pod)) == ["alive", "younger"]


def test_tombstones_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hostler.runtime.store.TOMBSTONES", 3)
    store = Store()
    for number in range(10):
        store.remove(Pod, (NS, "a"), f"uid-{number}")
    assert list(store._dead) == ["uid-7", "uid-8", "uid-9"]


def test_found_by_owner_and_namespace() -> None:
    store = store_of(pod("a", of="x"), pod("b", of="x"), pod("c", of="y"), pod("d"), pod("e", namespace="other"))
    assert [each.metadata.name for each in store.owned(Pod, "uid-x")] == ["a", "b"]
    assert [each.metadata.name for each in store.orphans(Pod, NS)] == ["d"]
    assert set(store.names(Pod, NS)) == {"a", "b", "c", "d"}
    assert [each.metadata.name for each in store.within(Pod, "other")] == ["e"]


def test_an_object_that_changes_its_owner_is_found_where_it_is() -> None:
    store = store_of(pod("a", 1, of="x"), pod("a", 2))
    assert store.owned(Pod, "uid-x") == []
    assert len(store.orphans(Pod, NS)) == 1
    store.observe(Pod, pod("a", 3, of="y"))
    assert store.orphans(Pod, NS) == []
    assert len(store.owned(Pod, "uid-y")) == 1


def test_listeners_hear_before_and_after() -> None:
    heard: list[tuple[str | None, str | None]] = []
    store = Store()
    name = lambda obj: obj.metadata.resource_version if obj else None  # noqa: E731
    store.subscribe(lambda _kind, before, after: heard.append((name(before), name(after))))
    for each in (pod(version=1), pod(version=1), pod(version=2)):
        store.observe(Pod, each)
    store.forget(Pod, pod(version=3))
    store.forget(Pod, pod(version=3))
    assert heard == [(None, "1"), ("1", "2"), ("2", None)]


def test_an_object_that_cannot_be_read_does_no_harm(caplog: pytest.LogCaptureFixture) -> None:
    store = store_of(pod("good"), pod("bad") | {"status": {"phase": ["no", "word"]}})
    assert [each.metadata.name for each in store.all(Pod)] == ["good"]
    assert "cannot read" in caplog.text


def vmi(name: str, number: int, memory: str = "1Gi") -> Raw:
    spec = {"domain": {"devices": {}, "memory": {"guest": memory}}}
    return pod(name, number) | {"spec": spec, "status": {"phase": "Running"}}


def test_equal_specs_are_one() -> None:
    store = Store(shared=[VirtualMachineInstance])
    for each in (vmi("a", 1), vmi("b", 2), vmi("c", 3, memory="2Gi")):
        store.observe(VirtualMachineInstance, each)
    a, b, c = store.within(VirtualMachineInstance, NS)
    assert a.spec is b.spec
    assert c.spec.domain.memory.guest == "2Gi"  # type: ignore[union-attr]
    store.observe(VirtualMachineInstance, vmi("a", 9, memory="3Gi"))
    assert store.get(VirtualMachineInstance, (NS, "a")).spec.domain.memory.guest == "3Gi"  # type: ignore[union-attr]
    assert b.spec.domain.memory.guest == "1Gi"  # type: ignore[union-attr]


def nodes(pod: Pod) -> tuple[str, ...]:
    """What the index below goes by: the labels' values."""
    return tuple(pod.metadata.labels.values())


def test_found_by_what_they_use() -> None:
    store = store_of(pod("a", 1, labels={"on": "n1"}), pod("b", 2, labels={"on": "n2", "was": "n2"}))

    def users(name: str) -> list[str]:
        return [each.metadata.name for each in store.using(Pod, nodes, NS, name)]

    assert (users("n1"), users("n2"), users("n3")) == (["a"], ["b"], [])
    store.observe(Pod, pod("c", 3, labels={"on": "n1"}))
    store.observe(Pod, pod("a", 4, labels={"on": "n3"}))
    store.observe(Pod, pod("e", 5, namespace="other", labels={"on": "n1"}))
    store.forget(Pod, pod("b", 6))
    assert (users("n1"), users("n2"), users("n3")) == (["c"], [], ["a"])
