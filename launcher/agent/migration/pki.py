"""Certificates for one move: made by the source's agent, gone with the pods.

A tenant's QEMU holds its own key. One authority for the whole cluster would let whoever breaks into one QEMU talk to
every guest that is moving; so each move has its own authority, whose key is never written anywhere.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography.x509 import ObjectIdentifier

from hostler.runtime import x509

DAY = timedelta(days=1)  # longer than any move; also the clocks' difference that is tolerated
TARGET, SOURCE = "target", "source"  # who they say they are

Files = dict[str, str]  # name of a file in QEMU's folder for certificates -> PEM


@dataclass(frozen=True)
class Papers:
    """What each side's QEMU needs."""

    target: Files
    source: Files


def issue(now: datetime | None = None) -> Papers:
    """A new authority and one certificate for each side."""
    now = now or datetime.now(UTC)
    begin, end = now - DAY, now + DAY
    authority = x509.issue(x509.Wish(x509.subject("migration"), begin, end, authority=True))

    def leaf(name: str, purpose: ObjectIdentifier) -> x509.Pair:
        wish = x509.Wish(x509.subject(name), begin, end, purposes=(purpose,), names=(name,), enciphers=True)
        return x509.issue(wish, authority)

    return Papers(
        files(authority, "server", leaf(TARGET, x509.SERVER)), files(authority, "client", leaf(SOURCE, x509.CLIENT))
    )


def files(authority: x509.Pair, role: str, own: x509.Pair) -> Files:
    """Under the names by which QEMU looks for them."""
    found = {"ca-cert.pem": authority.pem, f"{role}-cert.pem": own.pem, f"{role}-key.pem": own.private}
    return {name: pem.decode() for name, pem in found.items()}
