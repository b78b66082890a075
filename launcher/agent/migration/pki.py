"""Certificates for one move: made by the source's agent, gone with the pods.

A tenant's QEMU holds its own key. One authority for the whole cluster would let whoever breaks into one QEMU talk to
every guest that is moving; so each move has its own authority, whose key is never written anywhere.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

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
    key, name = ec.generate_private_key(ec.SECP256R1()), subject("migration")
    usage = key_usage(key_cert_sign=True, crl_sign=True)
    authority = (
        blank(name, name, key, now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    target = leaf(TARGET, ExtendedKeyUsageOID.SERVER_AUTH, name, key, now)
    source = leaf(SOURCE, ExtendedKeyUsageOID.CLIENT_AUTH, name, key, now)
    ca = {"ca-cert.pem": pem(authority)}
    return Papers(
        ca | {"server-cert.pem": target[0], "server-key.pem": target[1]},
        ca | {"client-cert.pem": source[0], "client-key.pem": source[1]},
    )


def leaf(
    name: str, purpose: x509.ObjectIdentifier, issuer: x509.Name, authority: ec.EllipticCurvePrivateKey, now: datetime
) -> tuple[str, str]:
    """Certificate and key."""
    key = ec.generate_private_key(ec.SECP256R1())
    made = (
        blank(subject(name), issuer, key, now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(key_usage(digital_signature=True, key_encipherment=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .sign(authority, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pem(made), secret.decode()


def blank(
    name: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
    )


def subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def key_usage(**given: bool) -> x509.KeyUsage:
    every = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
             "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")  # fmt: skip
    return x509.KeyUsage(**{name: given.get(name, False) for name in every})


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
