"""The certificates of a cluster: an authority of its own, and one certificate for each who speaks or listens."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography.x509 import load_pem_x509_certificate

from cluster.layout import DOMAIN, Cluster
from hostler.runtime import x509

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
        key = x509.new_key()
        _write(cluster.pki / f"{SERVICE_ACCOUNTS}.pub", x509.public(key))
        _write(cluster.pki / f"{SERVICE_ACCOUNTS}.key", x509.private(key))
    for identity in identities(cluster):
        if fresh[identity.authority] or not _good(cluster.pki / f"{identity.file}.crt"):
            _certificate(cluster, identity)


def _authority(cluster: Cluster, name: str) -> bool:
    """Make an authority unless there is a good one; whether it was made."""
    if _good(cluster.pki / f"{name}.crt") and (cluster.pki / f"{name}.key").exists():
        return False
    begin, end = _life()
    _keep(cluster, name, x509.issue(x509.Wish(x509.subject(f"hostler-{cluster.name}-{name}"), begin, end, True)))
    return True


def _certificate(cluster: Cluster, identity: Identity) -> None:
    signer = x509.Pair.load(*((cluster.pki / f"{identity.authority}.{end}").read_bytes() for end in ("crt", "key")))
    begin, end = _life()
    wish = x509.Wish(
        x509.subject(identity.name, identity.groups),
        begin,
        end,
        purposes=(x509.SERVER if identity.serves else x509.CLIENT,),
        names=(*identity.names, *map(str, identity.addresses)),
    )
    _keep(cluster, identity.file, x509.issue(wish, signer))


def _life() -> tuple[datetime, datetime]:
    now = datetime.now(UTC)
    return now - EARLIER, now + LIFE


def _keep(cluster: Cluster, file: str, made: x509.Pair) -> None:
    _write(cluster.pki / f"{file}.key", made.private)
    _write(cluster.pki / f"{file}.crt", made.pem)


def _good(path: Path) -> bool:
    """There is a certificate, and it holds for a while."""
    try:
        certificate = load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        return False
    return path.with_suffix(".key").exists() and certificate.not_valid_after_utc > datetime.now(UTC) + RENEW


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all, and never readable by others."""
    fresh = path.with_name(f".{path.name}")
    fresh.touch(mode=0o600)
    fresh.write_bytes(data)
    fresh.replace(path)
