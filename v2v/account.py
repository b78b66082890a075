"""The account of a namespace's workers: it may read and annotate the DataVolumes of that namespace, no more."""

from hostler.api.meta import Resource
from hostler.api.objects import RoleBinding, ServiceAccount
from hostler.runtime.plan import Create
from hostler.runtime.protocol import Raw
from hostler.runtime.store import Store
from v2v.worker_pod import ACCOUNT

KINDS: dict[str, type[Resource]] = {"account": ServiceAccount, "rights": RoleBinding}
LABELS = {"app.kubernetes.io/part-of": "hostler"}
GROUP = "rbac.authorization.k8s.io"


def missing(store: Store, namespace: str) -> tuple[str, ...]:
    return tuple(what for what, kind in KINDS.items() if store.get(kind, (namespace, ACCOUNT)) is None)


def create(what: str, namespace: str) -> Create:
    metadata = {"name": ACCOUNT, "namespace": namespace, "labels": LABELS}
    body: Raw = {"metadata": metadata}
    if what == "rights":
        # a cluster role of the chart: who reads it knows what workers may do, in every namespace
        body["roleRef"] = {"apiGroup": GROUP, "kind": "ClusterRole", "name": ACCOUNT}
        body["subjects"] = [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace}]
    return Create(KINDS[what], body)
