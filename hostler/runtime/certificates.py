"""The certificates with which our processes know one another: one authority an installation, a leaf for each process.

Pure: PEM in, PEM out, and the time is an argument. `controllers.certificates` keeps them in Secrets; `tls` uses them.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509

from hostler.runtime.names import common_name
from hostler.runtime.x509 import CLIENT, SERVER, Pair, Wish, issue, pem, subject

AUTHORITY_LIFE = timedelta(days=3650)
AUTHORITY_RENEW = timedelta(days=730)  # left, when a new authority is made beside the old one
LEAF_LIFE = timedelta(days=90)
LEAF_RENEW = timedelta(days=30)
SPREAD = timedelta(hours=3)  # until every process has heard of a new authority; then it signs
EARLIER = timedelta(minutes=5)  # clocks differ

CERTIFICATE, KEY, AUTHORITY = "tls.crt", "tls.key", "ca.crt"


@dataclass(frozen=True)
class Holding:
    """What one Secret holds: a certificate with its key, and the authorities to trust; all PEM."""

    certificate: bytes
    key: bytes
    bundle: bytes

    @property
    def data(self) -> dict[str, str]:
        """As a Secret's data."""
        fields = {CERTIFICATE: self.certificate, KEY: self.key, AUTHORITY: self.bundle}
        return {name: b64encode(pem).decode() for name, pem in fields.items()}

    @classmethod
    def read(cls, data: Mapping[str, str]) -> "Holding | None":
        """From a Secret's data; None if it is not what we wrote."""
        try:
            pems = [b64decode(data[name], validate=True) for name in (CERTIFICATE, KEY, AUTHORITY)]
            Pair.load(pems[0], pems[1])
            x509.load_pem_x509_certificates(pems[2])
        except (KeyError, ValueError, TypeError):
            return None
        return cls(*pems)


@dataclass(frozen=True)
class Leaf:
    """One process: its name is the certificate's common name, `hosts` are the names that it serves under."""

    process: str
    hosts: tuple[str, ...] = ()


def authority(held: Holding | None, now: datetime) -> Holding:
    """The authority itself: what is held, as long as it is good; the bundle trusts an old one until it ends."""
    if held is not None and _left(held.certificate, now) > AUTHORITY_RENEW:
        bundle = _alive(held.bundle, now)
        return held if bundle == held.bundle else Holding(held.certificate, held.key, bundle)
    name = subject(common_name("authority"))
    made = issue(Wish(name, now - EARLIER, now + AUTHORITY_LIFE, authority=True))
    older = held.bundle if held is not None and _left(held.certificate, now) > timedelta() else b""
    return Holding(made.pem, made.private, made.pem + (_alive(older, now) if older else b""))


def leaf(held: Holding | None, of: Leaf, ca: Holding, now: datetime) -> Holding:
    """A process's certificate: what is held, as long as it is good, with the authorities of today."""
    if held is not None and _fits(held, of, ca, now):
        return held if held.bundle == ca.bundle else Holding(held.certificate, held.key, ca.bundle)
    name = common_name(of.process)
    wish = Wish(subject(name), now - EARLIER, now + LEAF_LIFE, purposes=(SERVER, CLIENT), names=(name, *of.hosts))
    made = issue(wish, Pair.load(ca.certificate, ca.key))
    return Holding(made.pem, made.private, ca.bundle)


def _fits(held: Holding, of: Leaf, ca: Holding, now: datetime) -> bool:
    """Whether a certificate lasts, is this process's, and is signed by an authority that may still sign."""
    certificate = x509.load_pem_x509_certificate(held.certificate)
    if _left(held.certificate, now) <= LEAF_RENEW or certificate.subject != subject(common_name(of.process)):
        return False
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    if names.get_values_for_type(x509.DNSName) != [common_name(of.process), *of.hosts]:
        return False
    if _signs(ca.certificate, certificate):
        return True
    fresh = now - x509.load_pem_x509_certificate(ca.certificate).not_valid_before_utc < SPREAD
    trusted = (pem(each) for each in x509.load_pem_x509_certificates(ca.bundle))
    return fresh and any(_signs(each, certificate) for each in trusted)


def _signs(issuer: bytes, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(issuer))
    except Exception:  # cryptography has one for each way in which it does not
        return False
    return True


def _left(certificate: bytes, now: datetime) -> timedelta:
    return x509.load_pem_x509_certificate(certificate).not_valid_after_utc - now


def _alive(bundle: bytes, now: datetime) -> bytes:
    return b"".join(pem(c) for c in x509.load_pem_x509_certificates(bundle) if c.not_valid_after_utc > now)
