"""The certificates with which our processes know one another: one authority an installation, a leaf for each process.

Pure: PEM in, PEM out, and the time is an argument. `controllers.certificates` keeps them in Secrets; `tls` uses them.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hostler.runtime.names import common_name

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
            x509.load_pem_x509_certificate(pems[0])
            x509.load_pem_x509_certificates(pems[2])
            serialization.load_pem_private_key(pems[1], None)
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
    key = ec.generate_private_key(ec.SECP256R1())
    name = _subject(common_name("authority"))
    builder = _builder(name, name, key.public_key(), now, AUTHORITY_LIFE)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    certificate = _pem(_signed(builder, key, key))
    older = held.bundle if held is not None and _left(held.certificate, now) > timedelta() else b""
    return Holding(certificate, _private(key), certificate + (_alive(older, now) if older else b""))


def leaf(held: Holding | None, of: Leaf, ca: Holding, now: datetime) -> Holding:
    """A process's certificate: what is held, as long as it is good, with the authorities of today."""
    if held is not None and _fits(held, of, ca, now):
        return held if held.bundle == ca.bundle else Holding(held.certificate, held.key, ca.bundle)
    signer = serialization.load_pem_private_key(ca.key, None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    issuer = x509.load_pem_x509_certificate(ca.certificate)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(_subject(common_name(of.process)), issuer.subject, key.public_key(), now, LEAF_LIFE)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
    both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    builder = builder.add_extension(x509.ExtendedKeyUsage(both), critical=False)
    names = x509.SubjectAlternativeName([x509.DNSName(host) for host in (common_name(of.process), *of.hosts)])
    builder = builder.add_extension(names, critical=False)
    return Holding(_pem(_signed(builder, key, signer)), _private(key), ca.bundle)


def _fits(held: Holding, of: Leaf, ca: Holding, now: datetime) -> bool:
    """Whether a certificate lasts, is this process's, and is signed by an authority that may still sign."""
    certificate = x509.load_pem_x509_certificate(held.certificate)
    if _left(held.certificate, now) <= LEAF_RENEW or certificate.subject != _subject(common_name(of.process)):
        return False
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    if names.get_values_for_type(x509.DNSName) != [common_name(of.process), *of.hosts]:
        return False
    if _signs(ca.certificate, certificate):
        return True
    fresh = now - x509.load_pem_x509_certificate(ca.certificate).not_valid_before_utc < SPREAD
    trusted = (_pem(each) for each in x509.load_pem_x509_certificates(ca.bundle))
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
    return b"".join(_pem(c) for c in x509.load_pem_x509_certificates(bundle) if c.not_valid_after_utc > now)


def _signed(
    builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    # Python 3.13 and other strict clients refuse a chain without the two
    own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    return (
        builder.add_extension(own, critical=False).add_extension(issuer, critical=False).sign(signer, hashes.SHA256())
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - EARLIER)
        .not_valid_after(now + life)
    )


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
