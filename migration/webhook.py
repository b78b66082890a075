"""The door at which the API server asks whether a launcher pod may be evicted. HTTPS; the answers are `eviction`'s."""

import logging
from datetime import UTC, datetime
from typing import Any

import orjson
from aiohttp import web

from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.runtime import conditions
from hostler.runtime.errors import ApiError, Conflict, NotFound
from hostler.runtime.protocol import Kube, Raw
from hostler.runtime.tls import Credentials
from migration import eviction, metrics
from migration.eviction import ALLOW, Answer
from migration.kinds import LauncherPod

LARGEST = 2**20  # bytes of a review
TRIES = 5
PATH = "/pod-eviction-validate"

log = logging.getLogger(__name__)


async def serve(kube: Kube, credentials: Credentials, port: int) -> web.AppRunner:
    """Listen; the caller cleans the runner up."""

    async def review(request: web.Request) -> web.Response:
        asked = orjson.loads(await request.read())["request"]
        said = await decide(kube, asked)
        metrics.EVICTIONS.labels(said.say).inc()
        log.info("eviction", extra={"pod": f"{asked.get('namespace')}/{asked.get('name')}", "answer": said.say})
        body = orjson.dumps(reviewed(asked["uid"], said))
        return web.Response(body=body, content_type="application/json")

    app = web.Application(client_max_size=LARGEST)
    app.router.add_post(PATH, review)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, port=port, ssl_context=credentials.server).start()
    log.info("listening", extra={"port": port})
    return runner


async def decide(kube: Kube, asked: Raw) -> Answer:
    """The answer; a guest that is to move away is marked before it is given."""
    namespace, name = asked["namespace"], asked["name"]
    options = (asked.get("object") or {}).get("deleteOptions") or {}
    dry = bool(asked.get("dryRun") or options.get("dryRun"))
    for _ in range(TRIES):
        try:
            pod = LauncherPod.model_validate(await kube.get(LauncherPod, namespace, name))
        except NotFound:
            return ALLOW
        owner = pod.metadata.controller
        if not eviction.launched(pod) or owner is None or owner.kind != VirtualMachineInstance.kind():
            return ALLOW
        vmi = await find(kube, namespace, owner.name)
        said = eviction.answer(pod, pod.node, vmi)
        if said.say != "mark" or dry or vmi is None:
            return said
        try:
            await kube.patch(VirtualMachineInstance, namespace, vmi.metadata.name, mark(vmi, pod.node))
        except Conflict:
            continue  # it changed meanwhile: look again
        except ApiError as error:
            return Answer("deny", f"cannot mark the VMI for evacuation: {error}")
        return said
    return Answer("deny", "the VMI changes too fast to be marked for evacuation")


async def find(kube: Kube, namespace: str, name: str) -> VirtualMachineInstance | None:
    try:
        return VirtualMachineInstance.model_validate(await kube.get(VirtualMachineInstance, namespace, name))
    except NotFound:
        return None


def mark(vmi: VirtualMachineInstance, node: str) -> Raw:
    """KubeVirt's mark, and the condition that people see."""
    told = {"EvictionRequested": conditions.Condition(True, "VMEvictionRequested", "an eviction asked for it")}
    known = vmi.status.conditions if vmi.status else ()
    return {
        "metadata": {"resourceVersion": vmi.metadata.resource_version},
        "status": {
            "evacuationNodeName": node,
            "conditions": conditions.update(known, told, datetime.now(UTC)),
        },
    }


def reviewed(uid: str, said: Answer) -> dict[str, Any]:
    """An AdmissionReview."""
    response: dict[str, Any] = {"uid": uid, "allowed": said.say == "allow"}
    if said.say != "allow":
        response["status"] = {"status": "Failure", "code": 429, "reason": "TooManyRequests", "message": said.message}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
