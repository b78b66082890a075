"""Answers that are no success, in Kubernetes' words: HTTP code and metav1.Status. Pure."""

from hostler.runtime.errors import ApiError, Error, Retry, Terminal
from hostler.runtime.protocol import Raw

VM, VMI = "virtualmachine", "virtualmachineinstance"
GROUP = "kubevirt.io"


class Refusal(Exception):
    """Says no to the caller."""

    def __init__(self, code: int, reason: str, message: str, details: Raw | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.status: Raw = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            "code": code,
        } | ({"details": details} if details else {})


def conflict(kind: str, name: str, why: str) -> Refusal:
    message = f'Operation cannot be fulfilled on {kind}.{GROUP} "{name}": {why}'
    return Refusal(409, "Conflict", message, named(kind, name))


def forbidden(kind: str, name: str, why: str) -> Refusal:
    return Refusal(403, "Forbidden", f'{kind}.{GROUP} "{name}" is forbidden: {why}', named(kind, name))


def not_found(kind: str, name: str) -> Refusal:
    return Refusal(404, "NotFound", f'{kind}.{GROUP} "{name}" not found', named(kind, name))


def bad_request(why: str) -> Refusal:
    return Refusal(400, "BadRequest", why)


def unavailable(why: str) -> Refusal:
    return Refusal(503, "ServiceUnavailable", why)


def named(kind: str, name: str) -> Raw:
    return {"name": name, "group": GROUP, "kind": kind}


def refusal(error: Error) -> Refusal:
    """An error of ours, as the caller sees it."""
    match error:
        case ApiError():
            code = error.status or 503
            return Refusal(code, error.reason or "InternalError", error.message)
        case Retry():
            return unavailable(error.why)
        case Terminal():
            return Refusal(409, "Conflict", error.message)
    return Refusal(500, "InternalError", str(error))
