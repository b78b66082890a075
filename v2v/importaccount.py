"""The account of a namespace's import pods: it may write what they find and how far they are, no more."""

from hostler.api.meta import Resource
from hostler.api.objects import RoleBinding, ServiceAccount
from hostler.runtime.plan import Action, Create
from hostler.runtime.protocol import Raw
from hostler.runtime.store import Store

NAME = "hostler-import-worker"  # its rights: chart, imports-rbac.yaml
KINDS: tuple[type[Resource], ...] = (ServiceAccount, RoleBinding)
LABELS = {"app.kubernetes.io/part-of": "hostler"}
GROUP = "rbac.authorization.k8s.io"


def missing(store: Store, namespace: str) -> tuple[Action, ...]:
    """What makes the account, where it is not complete."""
    return tuple(create(kind, namespace) for kind in KINDS if store.get(kind, (namespace, NAME)) is None)


def create(kind: type[Resource], namespace: str) -> Create:
    body: Raw = {"metadata": {"name": NAME, "namespace": namespace, "labels": LABELS}}
    if kind is RoleBinding:
        # a cluster role of the chart: who reads it knows what workers may do, in every namespace
        body["roleRef"] = {"apiGroup": GROUP, "kind": "ClusterRole", "name": NAME}
        body["subjects"] = [{"kind": "ServiceAccount", "name": NAME, "namespace": namespace}]
    return Create(kind, body)
