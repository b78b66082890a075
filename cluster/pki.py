"""The certificates of a cluster: an authority of its own, and one certificate for each who speaks or listens."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cluster.layout import DOMAIN, Cluster

LIFE = timedelta(days=3650)
RENEW = timedelta(days=30)  # `up` issues anew what ends within this time
EARLIER = timedelta(minutes=5)  # clocks differ

ADMIN = "admin"
CA, FRONT_PROXY_CA, SERVICE_ACCOUNTS = "ca", "front-proxy-ca", "service-accounts"


@dataclass(frozen=True)
class Identity:
    """What a certificate says: who (common name), of which groups, and for a server under which names."""

    file: str
    name: str
    groups: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    addresses: tuple[IPv4Address, ...] = ()
    authority: str = CA

    @property
    def serves(self) -> bool:
        return bool(self.names or self.addresses)


def identities(cluster: Cluster) -> list[Identity]:
    """All who have a certificate."""
    service = "kubernetes.default.svc"
    apiserver = Identity(
        "apiserver",
        "kube-apiserver",
        names=("kubernetes", "kubernetes.default", service, f"{service}.{DOMAIN}", "localhost"),
        addresses=(cluster.api, cluster.control, IPv4Address("127.0.0.1")),
    )
    clients = [
        Identity(ADMIN, "hostler-admin", ("system:masters",)),
        Identity("apiserver-kubelet-client", "kube-apiserver-kubelet-client", ("system:masters",)),
        Identity("controller-manager", "system:kube-controller-manager"),
        Identity("scheduler", "system:kube-scheduler"),
        Identity("kube-proxy", "system:kube-proxy"),
        Identity("provisioner", "hostler:provisioner"),
        Identity("front-proxy-client", "front-proxy-client", authority=FRONT_PROXY_CA),
    ]
    kubelets = [Identity(f"kubelet-{n.name}", f"system:node:{n.name}", ("system:nodes",)) for n in cluster.nodes]
    servers = [
        Identity(f"kubelet-{n.name}-server", n.name, names=(n.name,), addresses=(n.address,)) for n in cluster.nodes
    ]
    return [apiserver, *clients, *kubelets, *servers]


def issue(cluster: Cluster) -> None:
    """Write what is missing or ends soon; what is good stays, so that a running cluster is not disturbed."""
    cluster.pki.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = {name: _authority(cluster, name) for name in (CA, FRONT_PROXY_CA)}
    if not (cluster.pki / f"{SERVICE_ACCOUNTS}.key").exists():
        key = ec.generate_private_key(ec.SECP256R1())
        _write(cluster.pki / f"{SERVICE_ACCOUNTS}.pub", _public(key))
        _write(cluster.pki / f"{SERVICE_ACCOUNTS}.key", _private(key))
    for identity in identities(cluster):
        if fresh[identity.authority] or not _good(cluster.pki / f"{identity.file}.crt"):
            _certificate(cluster, identity)


def _authority(cluster: Cluster, name: str) -> bool:
    """Make an authority unless there is a good one; whether it was made."""
    if _good(cluster.pki / f"{name}.crt") and (cluster.pki / f"{name}.key").exists():
        return False
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(f"hostler-{cluster.name}-{name}")
    builder = _builder(subject, subject, key.public_key(), key.public_key())
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    _write(cluster.pki / f"{name}.key", _private(key))
    _write(cluster.pki / f"{name}.crt", _pem(builder.sign(key, hashes.SHA256())))
    return True


def _certificate(cluster: Cluster, identity: Identity) -> None:
    authority = x509.load_pem_x509_certificate((cluster.pki / f"{identity.authority}.crt").read_bytes())
    signer = serialization.load_pem_private_key((cluster.pki / f"{identity.authority}.key").read_bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(
        _subject(identity.name, identity.groups), authority.subject, key.public_key(), signer.public_key()
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
    purpose = ExtendedKeyUsageOID.SERVER_AUTH if identity.serves else ExtendedKeyUsageOID.CLIENT_AUTH
    builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    if identity.serves:
        names = [*map(x509.DNSName, identity.names), *map(x509.IPAddress, identity.addresses)]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    _write(cluster.pki / f"{identity.file}.key", _private(key))
    _write(cluster.pki / f"{identity.file}.crt", _pem(builder.sign(signer, hashes.SHA256())))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, signer: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - EARLIER)
        .not_valid_after(now + LIFE)
        # Python 3.13 and other strict clients refuse a chain without the two
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer), critical=False)
    )


def _subject(name: str, groups: tuple[str, ...] = ()) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, name)])


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


def _good(path: Path) -> bool:
    """There is a certificate, and it holds for a while."""
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        return False
    return path.with_suffix(".key").exists() and certificate.not_valid_after_utc > datetime.now(UTC) + RENEW


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _public(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all, and never readable by others."""
    fresh = path.with_name(f".{path.name}")
    fresh.touch(mode=0o600)
    fresh.write_bytes(data)
    fresh.replace(path)
