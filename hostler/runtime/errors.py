"""Errors that say who must act.

Error
+- Retry(after, why)           the world must change; try again
+- Terminal(reason, message)   the user must change something; trying again is no use
+- ApiError                    the API server said no, or nothing
   +- NotFound                 404
   +- Conflict                 409: the object changed under us, or a precondition failed
   |  +- AlreadyExists         409: the name is taken
   +- Forbidden                403: not allowed, or a quota is used up
   +- Invalid                  422, 400: the object was refused
   +- Gone                     410: the resourceVersion is too old; list again
   +- TooManyRequests          429
   +- Unavailable              5xx, or no answer at all
      +- NoAnswer(server)      nobody answers there

Anything else is a bug.
"""

from typing import Any


class Error(Exception):
    """Root of what this project raises on purpose."""


class Retry(Error):
    """The world must change first."""

    def __init__(self, after: float, why: str) -> None:
        super().__init__(why)
        self.after = after
        self.why = why


class Terminal(Error):
    """The user must act: `reason` is CamelCase for a condition, `message` names the field and the fix."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class ApiError(Error):
    """An answer of the API server other than success."""

    def __init__(self, status: int, reason: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after


class NotFound(ApiError):
    """404: there is no such object."""


class Conflict(ApiError):
    """409: the object changed under us, or a precondition failed."""


class AlreadyExists(Conflict):
    """409: the name is taken."""


class Forbidden(ApiError):
    """403: not allowed, or a quota is used up."""


class Invalid(ApiError):
    """422 or 400: the object was refused."""


class Gone(ApiError):
    """410: the resourceVersion is too old; list again."""


class TooManyRequests(ApiError):
    """429: the server is busy; `retry_after` says how long to wait."""


class Unavailable(ApiError):
    """5xx, or no answer at all."""


class NoAnswer(Unavailable):
    """Nobody answers at the URL `server`; the cause says why."""

    def __init__(self, server: str, message: str) -> None:
        super().__init__(0, "NoAnswer", message)
        self.server = server


_BY_STATUS = {
    400: Invalid,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Invalid,
    429: TooManyRequests,
}


def api_error(status: int, body: dict[str, Any], retry_after: float | None = None) -> ApiError:
    """The error for an answer of the API server, whose body is a metav1.Status when all is well."""
    reason = str(body.get("reason") or "")
    message = str(body.get("message") or f"the API server answered {status}")
    kind: type[ApiError] = _BY_STATUS.get(status, Unavailable if status >= 500 or status == 0 else ApiError)
    if kind is Conflict and reason == "AlreadyExists":
        kind = AlreadyExists
    return kind(status, reason, message, retry_after)
