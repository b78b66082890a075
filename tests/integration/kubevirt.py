"""A stand-in for an installed KubeVirt: its CRDs, its webhooks' defaults, its VMI and replica set controllers.

It does what KubeVirt 1.9 does where our controllers can see it: names by generateName, scale-in of just anybody,
adoption, paused sets left alone, status in whole-object writes, phases one after another, nulls for times not known.
"""

import http.client
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import yaml

from tests.integration.apiserver import ApiServer, Raw
from tests.integration.conftest import CHART, SETTLE_SECONDS

GROUP = "/apis/kubevirt.io/v1"
POLICIES = "/apis/admissionregistration.k8s.io/v1"
VMIS, SETS = "virtualmachineinstances", "virtualmachineinstancereplicasets"
ACCOUNT = "system:serviceaccount:kubevirt:kubevirt-controller"
FINALIZER = "kubevirt.io/foregroundDeleteVirtualMachine"
OBSERVED = "kubevirt.io/latest-observed-api-version"
NEXT = {"": "Pending", "Pending": "Scheduling", "Scheduling": "Scheduled", "Scheduled": "Running"}
FINAL = ("Succeeded", "Failed")
FULL = "test/quota"  # label: a guest that has it is refused, while there is the policy "quota"
KINDS = {VMIS: "VirtualMachineInstance", SETS: "VirtualMachineInstanceReplicaSet"}
PAUSE = 0.05  # seconds between rounds

# What the mutating webhook of VMIs does, as CEL. It appends its finalizer and phase without looking for them.
DEFAULTS = f"""
[JSONPatch{{op: "add", path: "/metadata/finalizers", value:
  (has(object.metadata.finalizers) ? object.metadata.finalizers : []) + ["{FINALIZER}"]}},
 JSONPatch{{op: "add", path: "/metadata/annotations", value: (has(object.metadata.annotations)
  ? object.metadata.annotations.transformMap(k, v, k != "kubevirt.io/pci-topology-version", v) : {{}})}},
 JSONPatch{{op: "add", path: "/metadata/annotations/" + jsonpatch.escapeKey("kubevirt.io/pci-topology-version"),
  value: "v3"}},
 JSONPatch{{op: "add", path: "/spec/architecture", value: "amd64"}},
 JSONPatch{{op: "add", path: "/spec/evictionStrategy", value: "None"}},
 JSONPatch{{op: "add", path: "/spec/domain/machine", value: {{"type": "q35"}}}},
 JSONPatch{{op: "add", path: "/spec/domain/cpu", value: {{"sockets": dyn(1), "cores": dyn(1), "threads": dyn(1),
  "maxSockets": dyn(4), "model": dyn("host-model")}}}},
 JSONPatch{{op: "add", path: "/spec/domain/resources", value: {{"requests":
  {{"memory": object.spec.domain.memory.guest}}}}}},
 JSONPatch{{op: "add", path: "/spec/domain/memory/maxGuest", value: "256Mi"}},
 JSONPatch{{op: "add", path: "/spec/networks", value: [{{"name": dyn("default"), "pod": dyn({{}})}}]}},
 JSONPatch{{op: "add", path: "/spec/domain/devices/interfaces", value: [{{"name": dyn("default"),
  "masquerade": dyn({{}})}}]}},
 JSONPatch{{op: "add", path: "/status", value: {{"phase": dyn("Pending"), "runtimeUser": dyn(107),
  "phaseTransitionTimestamps": dyn((has(object.status) && has(object.status.phaseTransitionTimestamps)
   ? object.status.phaseTransitionTimestamps.map(t, dyn(t)) : []) + [dyn({{"phase": "Pending"}})])}}}}]
+ (has(object.spec.domain.firmware) ? [] : [JSONPatch{{op: "add", path: "/spec/domain/firmware",
  value: {{"uuid": "5d307ca9-b3ef-428c-8861-06e72d69f223"}}}}])
"""


def install(server: ApiServer) -> None:
    """The CRDs, the webhooks' stand-ins and the controllers' account."""
    for plural in (VMIS, SETS, "virtualmachines"):
        crd = yaml.safe_load((CHART / "files" / "crds" / f"{plural}.kubevirt.io.yaml").read_text())
        made(server.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd))
    made(server.create("/api/v1/namespaces", {"metadata": {"name": "kubevirt"}}))
    account = {"metadata": {"name": "kubevirt-controller"}}
    made(server.create("/api/v1/namespaces/kubevirt/serviceaccounts", account))
    subject = {"kind": "ServiceAccount", "name": "kubevirt-controller", "namespace": "kubevirt"}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    binding = {"metadata": {"name": "kubevirt-controller"}, "roleRef": role, "subjects": [subject]}
    made(server.create("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding))
    patches = [{"patchType": "JSONPatch", "jsonPatch": {"expression": DEFAULTS}}]
    policy(server, "mutating", "kubevirt-defaults", "CREATE", mutations=patches, reinvocationPolicy="Never")
    theirs = {"name": "others", "expression": f"request.userInfo.username != '{ACCOUNT}'"}
    held = "has(object.{0}) == has(oldObject.{0}) && (!has(object.{0}) || object.{0} == oldObject.{0})"
    rules = [
        {"expression": held.format("spec"), "message": "update of VMI object is restricted"},
        # KubeVirt takes it back without a word; a refusal is seen
        {"expression": held.format("status"), "message": "the status is KubeVirt's"},
    ]
    policy(server, "validating", "kubevirt-updates", "UPDATE", matchConditions=[theirs], validations=rules)
    full = {"name": "full", "expression": f"'{FULL}' in object.metadata.?labels.orValue({{}})"}
    refusal = {"expression": "false", "message": "exceeded quota: guests"}
    policy(server, "validating", "quota", "CREATE", matchConditions=[full], validations=[refusal])
    wait(server)


def wait(server: ApiServer) -> None:
    """A policy works a moment after it is made."""
    probe = {
        "apiVersion": "kubevirt.io/v1",
        "kind": KINDS[VMIS],
        "metadata": {"name": "probe"},
        "spec": {"domain": {"devices": {}, "memory": {"guest": "64Mi"}}},
    }
    path, deadline = f"{GROUP}/namespaces/default/{VMIS}", time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < deadline:
        taken = server.create(path, probe, dryRun="All")
        refused = server.create(path, probe | {"metadata": {"name": "full", "labels": {FULL: ""}}}, dryRun="All")
        if "status" in taken.body and "exceeded quota" in refused.message:
            return
        time.sleep(0.1)
    raise AssertionError(f"the stand-ins for KubeVirt's webhooks never took effect: {taken.body} {refused.message}")


def policy(server: ApiServer, sort: str, name: str, operation: str, **spec: Any) -> None:
    """An admission policy for VMIs, in force."""
    rule = {"apiGroups": ["kubevirt.io"], "apiVersions": ["*"], "resources": [VMIS], "operations": [operation]}
    body = {"failurePolicy": "Fail", "matchConstraints": {"resourceRules": [rule]}} | spec
    made(server.create(f"{POLICIES}/{sort}admissionpolicies", {"metadata": {"name": name}, "spec": body}))
    bound = {"policyName": name} | ({"validationActions": ["Deny"]} if sort == "validating" else {})
    made(server.create(f"{POLICIES}/{sort}admissionpolicybindings", {"metadata": {"name": name}, "spec": bound}))


def made(answer: Any) -> None:
    assert answer.code == 201, answer.message


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class KubeVirt:
    """Its controllers and node agents, in one thread."""

    def __init__(self, server: ApiServer) -> None:
        account = server.account("kubevirt", "kubevirt-controller")
        self._headers = {"Authorization": f"Bearer {account.token}", "Content-Type": "application/json"}
        context = ssl.create_default_context(cafile=str(account.ca))
        self._connection = http.client.HTTPSConnection(account.url.removeprefix("https://"), context=context)
        self._stop = threading.Event()
        self.endings: dict[str, str] = {}  # name of a VMI -> the phase that its guest is to end in
        self.unready: set[str] = set()  # names of VMIs
        self.made: set[str] = set()  # names of the VMIs that its replica set controller made
        self.error: BaseException | None = None

    @contextmanager
    def running(self) -> Iterator["KubeVirt"]:
        thread = threading.Thread(target=self._run, name="kubevirt")
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join()
            self._connection.close()
        assert self.error is None, self.error

    def _run(self) -> None:
        try:
            while not self._stop.wait(PAUSE):
                vmis = self._list(VMIS)
                for rs in self._list(SETS):
                    self._visit_set(rs, [each for each in vmis if same_place(rs, each)])
                for vmi in vmis:
                    self._visit(vmi)
        except BaseException as error:
            self.error = error
            raise

    def _ask(self, method: str, path: str, body: Raw | None = None, *, fine: tuple[int, ...]) -> Raw:
        self._connection.request(method, f"{GROUP}/{path}", body and json.dumps(body), self._headers)
        answer = self._connection.getresponse()
        found: Raw = json.loads(answer.read())
        assert answer.status in fine, found
        return found

    def _list(self, plural: str) -> list[Raw]:
        return list(self._ask("GET", plural, fine=(200,))["items"])

    def _put(self, plural: str, obj: Raw, subresource: str = "") -> None:
        """A whole object, as Go's clients write it; refused when it has changed meanwhile."""
        meta = obj["metadata"]
        path = f"namespaces/{meta['namespace']}/{plural}/{meta['name']}{subresource}"
        self._ask("PUT", path, obj | {"apiVersion": "kubevirt.io/v1", "kind": KINDS[plural]}, fine=(200, 404, 409))

    def _delete(self, vmi: Raw) -> None:
        meta = vmi["metadata"]
        self._ask("DELETE", f"namespaces/{meta['namespace']}/{VMIS}/{meta['name']}", fine=(200, 404))

    def _visit(self, vmi: Raw) -> None:
        """One step of a guest's life."""
        meta, status = vmi["metadata"], vmi.setdefault("status", {})
        phase, name = status.get("phase", ""), meta["name"]
        if "deletionTimestamp" in meta:
            if FINALIZER not in meta.get("finalizers", ()):
                return
            if phase in FINAL:
                meta["finalizers"] = [each for each in meta["finalizers"] if each != FINALIZER]
                self._put(VMIS, vmi)
            else:
                self._turn(vmi, "Succeeded")
        elif phase in NEXT:
            self._turn(vmi, NEXT[phase])
        elif phase == "Running" and name in self.endings:
            self._turn(vmi, self.endings.pop(name))
        elif phase == "Running" and name in self.unready and is_ready(vmi):
            self._turn(vmi, "Running")

    def _turn(self, vmi: Raw, phase: str) -> None:
        status, meta = vmi["status"], vmi["metadata"]
        if status.get("phase") != phase:
            passed = {"phase": phase, "phaseTransitionTimestamp": now()}
            status["phaseTransitionTimestamps"] = [*status.get("phaseTransitionTimestamps", ()), passed]
        status["phase"] = phase
        if phase in ("Scheduled", "Running"):
            status["nodeName"] = node_of(vmi)
            meta["labels"] = meta.get("labels", {}) | {"kubevirt.io/nodeName": node_of(vmi)}
        ready = phase == "Running" and meta["name"] not in self.unready
        status["conditions"] = conditions(ready, migratable=phase == "Running")
        self._put(VMIS, vmi)

    def _visit_set(self, rs: Raw, vmis: list[Raw]) -> None:
        """One visit of the replica set controller."""
        meta, spec = rs["metadata"], rs["spec"]
        if OBSERVED not in meta.get("annotations", {}):
            meta["annotations"] = meta.get("annotations", {}) | {OBSERVED: "v1"}
            self._put(SETS, rs)
            return
        for each in vmis:
            if not controller(each) and fits(rs, each) and "deletionTimestamp" not in each["metadata"]:
                each["metadata"]["ownerReferences"] = [owner_of(rs)]
                self._put(VMIS, each)
        own = [each for each in vmis if controller(each) == meta["uid"] and "deletionTimestamp" not in each["metadata"]]
        active = [each for each in own if each.get("status", {}).get("phase") not in FINAL]
        if not spec.get("paused") and "deletionTimestamp" not in meta:
            self._scale(rs, active)
            for each in own:
                if each not in active:
                    self._delete(each)
        self._tell(rs, active)

    def _scale(self, rs: Raw, active: list[Raw]) -> None:
        wanted = rs["spec"].get("replicas", 1)
        for each in sorted(active, key=is_ready, reverse=True)[: max(len(active) - wanted, 0)]:
            self._delete(each)  # the worst choice: KubeVirt's is any
        meta, template = rs["metadata"], rs["spec"]["template"]
        base = template.get("metadata", {}).get("generateName") or meta["name"]
        for _ in range(wanted - len(active)):
            made_of = {"generateName": base, "ownerReferences": [owner_of(rs)]}
            body = {
                "apiVersion": "kubevirt.io/v1",
                "kind": KINDS[VMIS],
                "metadata": {"labels": template["metadata"]["labels"]} | made_of,
                "spec": template["spec"],
            }
            made = self._ask("POST", f"namespaces/{meta['namespace']}/{VMIS}", body, fine=(201,))
            self.made.add(made["metadata"]["name"])

    def _tell(self, rs: Raw, active: list[Raw]) -> None:
        """Counts, and the one condition that there is without trouble; others stay, ReplicaFailure goes."""
        status, paused = rs.get("status", {}), bool(rs["spec"].get("paused"))
        known = [
            each for each in status.get("conditions", ()) if each["type"] not in ("ReplicaPaused", "ReplicaFailure")
        ]
        said = {"type": "ReplicaPaused", "status": "True", "reason": "Paused", "message": "Controller got paused"}
        times = {"lastProbeTime": None, "lastTransitionTime": now()}
        was = next((each for each in status.get("conditions", ()) if each["type"] == "ReplicaPaused"), said | times)
        wanted = {
            "replicas": len(active),
            "readyReplicas": sum(map(is_ready, active)),
            "labelSelector": ",".join(f"{k}={v}" for k, v in sorted(rs["spec"]["selector"]["matchLabels"].items())),
            "conditions": known + ([was] if paused else []),
        }
        if any(status.get(key, []) != value for key, value in wanted.items()):
            self._put(SETS, rs | {"status": wanted}, "/status")


def conditions(ready: bool, *, migratable: bool) -> list[Raw]:
    """As KubeVirt writes them: without a time of the last probe, some without any."""
    words = {} if ready else {"reason": "GuestNotRunning", "message": "Guest VM is not reported as running"}
    told = [{"type": "Ready", "status": str(ready), "lastProbeTime": None, "lastTransitionTime": now()} | words]
    if migratable:
        told.append({"type": "LiveMigratable", "status": "True", "lastProbeTime": None, "lastTransitionTime": None})
    return told


def is_ready(vmi: Raw) -> bool:
    found = vmi.get("status", {}).get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in found)


def controller(vmi: Raw) -> str:
    return next((each["uid"] for each in vmi["metadata"].get("ownerReferences", ()) if each.get("controller")), "")


def owner_of(rs: Raw) -> Raw:
    meta = rs["metadata"]
    reference = {"apiVersion": "kubevirt.io/v1", "kind": KINDS[SETS], "name": meta["name"], "uid": meta["uid"]}
    return reference | {"controller": True, "blockOwnerDeletion": True}


def same_place(one: Raw, other: Raw) -> bool:
    return bool(one["metadata"]["namespace"] == other["metadata"]["namespace"])


def fits(rs: Raw, vmi: Raw) -> bool:
    return rs["spec"]["selector"]["matchLabels"].items() <= vmi["metadata"].get("labels", {}).items()


def node_of(vmi: Raw) -> str:
    """Where the scheduler would put it: what a daemon set asks for, or anywhere."""
    affinity = vmi["spec"].get("affinity", {}).get("nodeAffinity", {})
    for term in affinity.get("requiredDuringSchedulingIgnoredDuringExecution", {}).get("nodeSelectorTerms", ()):
        for each in term.get("matchFields", ()):
            return str(each["values"][0])
    return "node-1"
