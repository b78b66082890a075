"""A login to a vCenter or ESXi host whose certificate is known. The only module that connects by pyVmomi."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from pyVmomi import SoapAdapter, vim, vmodl
from pyVmomi.VmomiSupport import versionIdMap

from hostler.runtime.errors import Retry, Terminal
from v2v.tls import ThumbprintMismatch, dialer, fingerprint

OLDEST = "vim.version.version9"  # vSphere 5.5: all that we call is in it, and every server still knows it
TIMEOUT = 60.0  # seconds without a byte that one call may take
AGAIN = 15.0


@dataclass(frozen=True)
class Login:
    """How to reach a vSphere."""

    url: str
    user: str
    password: str
    thumbprint: str = ""

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or 443


class Session:
    """A logged-in session."""

    def __init__(self, stub: Any, content: Any) -> None:
        self.stub = stub
        self.content = content

    @property
    def product(self) -> str:
        return str(self.content.about.fullName)

    @property
    def is_host(self) -> bool:
        """An ESXi host itself, no vCenter."""
        return bool(self.content.about.apiType == "HostAgent")

    def machine(self, identity: str) -> Any:
        return vim.VirtualMachine(identity, self.stub)


@contextmanager
def session(login: Login) -> Iterator[Session]:
    """Log in, and out at the end. Errors, also those of what is done with it, are Retry or Terminal."""
    with explained(login):
        host, port = login.address
        stub = SoapAdapter.SoapStubAdapter(host, port, path="/sdk", version=OLDEST)
        try:
            stub.scheme, stub.schemeArgs = dialer("https", login.thumbprint, TIMEOUT), {}
        except ValueError as error:
            raise Terminal("ThumbprintInvalid", f"thumbprint: {error}") from error
        try:
            content: Any = vim.ServiceInstance("ServiceInstance", stub).RetrieveContent()
            stub.ComputeVersionInfo(newest(content.about.apiVersion))
            content.sessionManager.Login(login.user, login.password, None)
            try:
                yield Session(stub, content)
            finally:
                # a server that is gone has forgotten us anyway
                with suppress(OSError, HTTPException, vmodl.MethodFault):
                    content.sessionManager.Logout()
        finally:
            stub.DropConnections()


def newest(api: str) -> str:
    """The newest version of the API that both sides know: a server may say more than the oldest has words for."""
    known = {
        name: number(text) for name, text in versionIdMap.items() if name.startswith("vim.version.") and number(text)
    }
    fit = {version: name for name, version in known.items() if version <= number(api)}
    return fit[max(fit)] if fit else OLDEST


def number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


@contextmanager
def explained(login: Login) -> Iterator[None]:
    """Say who must act when vSphere says no."""
    host, port = login.address
    try:
        yield
    except vim.fault.InvalidLogin as error:
        advice = "check user (with its domain, as in administrator@vsphere.local) and password in the Secret"
        raise Terminal("LoginRefused", f"{host} refuses the login: {advice}") from error
    except vim.fault.NoPermission as error:
        raise Terminal("NoPermission", f"{host}: the user lacks the privilege {error.privilegeId}") from error
    except vmodl.fault.ManagedObjectNotFound as error:
        raise Terminal("NotFound", f"{host}: {error.msg}") from error
    except vmodl.MethodFault as error:
        raise Retry(AGAIN, f"{host}: {type(error).__name__.rpartition('.')[2]}: {error.msg}") from error
    except ThumbprintMismatch as error:
        raise Terminal("ThumbprintMismatch", f"{host}: {error}, not the one that was given") from error
    except ssl.SSLCertVerificationError as error:
        advice = f"if it is yours, set the thumbprint to {fingerprint(host, port)}"
        raise Terminal("CertificateUnknown", f"{host}: {error.verify_message}; {advice}") from error
    except (OSError, HTTPException) as error:
        raise Retry(AGAIN, f"{host}:{port}: {error or type(error).__name__}") from error
    except (SyntaxError, ValueError) as error:  # what pyVmomi makes of an answer that is not vSphere's
        raise Retry(AGAIN, f"{host}:{port} does not answer as a vSphere does: {error}") from error
