"""Whether the caller may: one SubjectAccessReview a request, as KubeVirt's gate asks it."""

from dataclasses import dataclass

from gateway.frontproxy import User
from gateway.refusals import Refusal
from hostler.api.objects import SubjectAccessReview
from hostler.runtime.protocol import Kube, Raw

VERBS = {"GET": "get", "PUT": "update", "POST": "create", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True)
class Ask:
    """A verb on a subresource: `virtualmachineinstances/console` of one object."""

    group: str
    version: str
    namespace: str
    resource: str
    name: str
    subresource: str
    verb: str

    @property
    def review(self) -> Raw:
        return {
            "namespace": self.namespace,
            "verb": self.verb,
            "group": self.group,
            "version": self.version,
            "resource": self.resource,
            "subresource": self.subresource,
            "name": self.name,
        }


def review(user: User, ask: Ask) -> Raw:
    """The SubjectAccessReview's spec."""
    spec: Raw = {"user": user.name, "groups": list(user.groups), "resourceAttributes": ask.review}
    if user.extra:
        spec["extra"] = {key: list(values) for key, values in user.extra.items()}
    return spec


async def check(kube: Kube, user: User | None, ask: Ask) -> None:
    """Return if the user may; a Refusal if not."""
    if user is None:
        raise Refusal(401, "Unauthorized", "Unauthorized: this is served to the API server only")
    body = {"metadata": {}, "spec": review(user, ask)}
    answer = await kube.create(SubjectAccessReview, None, body)
    status = answer.get("status") or {}
    if not status.get("allowed"):
        raise refused(user, ask, str(status.get("reason") or ""))


def refused(user: User, ask: Ask, why: str) -> Refusal:
    what = f"{ask.resource}/{ask.subresource}"
    message = (
        f'{ask.resource}.{ask.group} "{ask.name}" is forbidden: User "{user.name}" cannot {ask.verb} resource "{what}"'
        f' in API group "{ask.group}" in the namespace "{ask.namespace}"' + (f": {why}" if why else "")
    )
    return Refusal(403, "Forbidden", message, {"name": ask.name, "group": ask.group, "kind": ask.resource})
