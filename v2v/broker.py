"""Redis beside Celery: who may log in and touch which keys, and what is left of workers that are gone."""

from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import redis

from v2v import worker_pod
from v2v.settings import DiskSettings

SECONDS = 5
BATCH = 500

# A tenant can read the login of its own worker: it opens that worker's keys and nothing else.
RIGHTS = ("reset", "on", "+@all", "-@admin", "-@dangerous", "+info")


class Admin:
    """Redis, asked by its administrator."""

    def __init__(self, settings: DiskSettings) -> None:
        self._secret = settings.broker_password
        self._redis = redis.Redis.from_url(
            administrator(settings), socket_timeout=SECONDS, socket_connect_timeout=SECONDS
        )

    def admit(self, uid: str) -> None:
        """The worker of a DataVolume may log in; also after Redis has forgotten everybody."""
        keys = worker_pod.prefix(uid)
        login = f">{worker_pod.password(uid, self._secret)}"
        self._acl("SETUSER", worker_pod.user(uid), *RIGHTS, login, f"~{keys}*", f"&{keys}*")

    def sweep(self, alive: set[str]) -> int:
        """Forget the logins and keys of workers of other DataVolumes; how many there were."""
        known = {name.removeprefix("disk-") for name in self._users() if name.startswith("disk-")}
        gone = known - alive
        for uid in gone:
            keys = list(self._redis.scan_iter(f"{worker_pod.prefix(uid)}*", count=BATCH))
            if keys:
                self._redis.unlink(*keys)
            self._acl("DELUSER", worker_pod.user(uid))
        return len(gone)

    def close(self) -> None:
        self._redis.close()

    def _users(self) -> list[str]:
        return [name.decode() if isinstance(name, bytes) else str(name) for name in self._acl("USERS")]

    def _acl(self, *words: str) -> Any:
        return self._redis.execute_command("ACL", *words)  # type: ignore[no-untyped-call]


def administrator(settings: DiskSettings) -> str:
    """Redis' URL with the password of its default user."""
    parts = urlsplit(settings.broker)
    login = f":{quote(settings.broker_password, safe='')}@" if settings.broker_password else ""
    return urlunsplit(parts._replace(netloc=login + parts.netloc.rpartition("@")[2]))
