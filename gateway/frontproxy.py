"""Who asks: the API server says so in headers, and proves by its certificate that it is the API server.

Which authority signs that certificate, which names it may have and which headers are meant is in the ConfigMap
kube-system/extension-apiserver-authentication.
"""

import asyncio
import json
import logging
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from hostler.api.objects import ConfigMap
from hostler.runtime.errors import ApiError
from hostler.runtime.protocol import Kube, Raw
from hostler.runtime.tls import trust

NAMESPACE, NAME = "kube-system", "extension-apiserver-authentication"
LOOK = 60.0  # seconds between looks at the ConfigMap
AGAIN = 2.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class User:
    """Whom the API server has authenticated."""

    name: str
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    uid: str = ""


@dataclass(frozen=True)
class Proxy:
    """How the API server tells who asks."""

    authority: str = ""  # PEM
    names: tuple[str, ...] = ()  # common names that its certificate may have; none: any
    users: tuple[str, ...] = ("X-Remote-User",)
    groups: tuple[str, ...] = ("X-Remote-Group",)
    extras: tuple[str, ...] = ("X-Remote-Extra-",)

    @classmethod
    def read(cls, data: Mapping[str, str]) -> "Proxy":
        """From the ConfigMap's data, whose lists are JSON."""

        def listed(key: str, default: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(json.loads(data[key])) if data.get(key) else default

        return cls(
            authority=data.get("requestheader-client-ca-file", ""),
            names=listed("requestheader-allowed-names", ()),
            users=listed("requestheader-username-headers", cls.users),
            groups=listed("requestheader-group-headers", cls.groups),
            extras=listed("requestheader-extra-headers-prefix", cls.extras),
        )

    def user(self, caller: str, headers: Iterable[tuple[str, str]]) -> User | None:
        """Who asks, if the caller, who has shown a certificate with this name, is the API server."""
        if not caller or not self.authority or (self.names and caller not in self.names):
            return None
        found = [(name.lower(), value) for name, value in headers]
        name = next((value for key in self.users for header, value in found if header == key.lower()), "")
        if not name:
            return None
        groups = tuple(value for key in self.groups for header, value in found if header == key.lower())
        extra: dict[str, tuple[str, ...]] = {}
        for prefix in self.extras:
            for header, value in found:
                if header.startswith(prefix.lower()):
                    key = unquote(header[len(prefix) :])
                    extra[key] = (*extra.get(key, ()), value)
        return User(name, groups, extra)


class FrontProxy:
    """Knows the API server of this cluster; `context` trusts its certificate as a client's."""

    def __init__(self, kube: Kube, context: ssl.SSLContext) -> None:
        self.proxy = Proxy()
        self._kube = kube
        self._context = context
        # the kubelet's probes, and people's browsers, have no certificate
        context.verify_mode = ssl.CERT_OPTIONAL

    async def load(self) -> None:
        """Return once it is known."""
        while True:
            try:
                await self._look()
            except ApiError as error:
                log.warning("cannot read how the API server tells who asks", extra={"error": str(error)})
                await asyncio.sleep(AGAIN)
            else:
                return

    async def keep(self) -> None:
        """Follow changes until cancelled."""
        while True:
            await asyncio.sleep(LOOK)
            try:
                await self._look()
            except (ApiError, ssl.SSLError, ValueError) as error:
                log.warning("front proxy", extra={"error": str(error)})

    async def _look(self) -> None:
        found: Raw = await self._kube.get(ConfigMap, NAMESPACE, NAME)
        proxy = Proxy.read(found.get("data") or {})
        if proxy == self.proxy:
            return
        if proxy.authority:
            trust(self._context, proxy.authority.encode())
        else:
            log.warning("this API server has no front proxy certificate: nobody can be authenticated")
        self.proxy = proxy
