"""X.509 certificates as all who make some here make them: keys of P-256, signatures with SHA-256, PEM."""

from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey  # we make the former; an authority that was given may have either


@dataclass(frozen=True)
class Wish:
    """What a certificate is to say."""

    subject: x509.Name
    begin: datetime
    end: datetime
    authority: bool = False  # it signs others, but no authority of its own
    purposes: tuple[x509.ObjectIdentifier, ...] = ()
    names: tuple[str, ...] = ()  # host names and addresses under which it serves
    enciphers: bool = False  # QEMU's check wants it of every certificate that is not an authority's


@dataclass(frozen=True)
class Pair:
    """A certificate, and the key that it is of."""

    certificate: x509.Certificate
    key: Key

    @property
    def pem(self) -> bytes:
        return pem(self.certificate)

    @property
    def private(self) -> bytes:
        return private(self.key)

    @classmethod
    def load(cls, certificate: bytes, key: bytes) -> "Pair":
        """From PEM; ValueError or TypeError if it is none, or the key is of a kind that we cannot sign with."""
        return cls(x509.load_pem_x509_certificate(certificate), load_key(key))


def issue(wish: Wish, signer: Pair | None = None) -> Pair:
    """A certificate of a new key, signed by another or by itself."""
    key = new_key()
    issuer, signing = (signer.certificate.subject, signer.key) if signer else (wish.subject, key)
    builder = (
        x509.CertificateBuilder()
        .subject_name(wish.subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(wish.begin)
        .not_valid_after(wish.end)
    )
    for extension, critical in extensions(wish, key, signing):
        builder = builder.add_extension(extension, critical)
    return Pair(builder.sign(signing, hashes.SHA256()), key)


def extensions(wish: Wish, key: Key, signing: Key) -> list[tuple[x509.ExtensionType, bool]]:
    """Each with whether who does not know it must refuse the certificate."""
    constraints = x509.BasicConstraints(ca=wish.authority, path_length=0 if wish.authority else None)
    found: list[tuple[x509.ExtensionType, bool]] = [
        (constraints, True),
        (usage(signs=wish.authority, enciphers=wish.enciphers), True),
        # Python 3.13 and other strict clients refuse a chain without the two
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), False),
    ]
    if wish.purposes:
        found.append((x509.ExtendedKeyUsage(wish.purposes), False))
    if wish.names:
        found.append((x509.SubjectAlternativeName(map(general, wish.names)), False))
    return found


def usage(*, signs: bool, enciphers: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs,
        crl_sign=signs,
        key_encipherment=enciphers,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def subject(name: str, groups: tuple[str, ...] = ()) -> x509.Name:
    """A common name; Kubernetes reads a client's groups from its organizations."""
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, name)])


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def load_key(data: bytes) -> Key:
    """From PEM; ValueError or TypeError if it is none, or of a kind that we cannot sign with."""
    loaded = serialization.load_pem_private_key(data, None)
    if not isinstance(loaded, Key):
        raise ValueError(f"a key of P-256 or RSA is needed, not {type(loaded).__name__}")
    return loaded


def private(key: Key) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def public(key: Key) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form)
