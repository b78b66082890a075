"""The certificates of a cluster: an authority of its own, and one certificate for each who speaks or listens."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography.exceptions import InvalidSignature

from cluster import durable
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
    authorities = {name: _authority(cluster, name) for name in (CA, FRONT_PROXY_CA)}
    _service_accounts(cluster.pki / f"{SERVICE_ACCOUNTS}.key", cluster.pki / f"{SERVICE_ACCOUNTS}.pub")
    for identity in identities(cluster):
        if not _good(_pair(cluster, identity.file), authorities[identity.authority]):
            _certificate(cluster, identity, authorities[identity.authority])


def _authority(cluster: Cluster, name: str) -> x509.Pair:
    """The authority of that name; it is made unless there is a good one."""
    there = _pair(cluster, name)
    if there is not None and _good(there, there):
        return there
    begin, end = _life()
    made = x509.issue(x509.Wish(x509.subject(f"hostler-{cluster.name}-{name}"), begin, end, True))
    _keep(cluster, name, made)
    return made


def _service_accounts(private: Path, public: Path) -> None:
    """The key that signs the tokens of service accounts: a good one stays, since a new one ends all tokens."""
    try:
        key = x509.load_key(private.read_bytes())
    except (OSError, ValueError, TypeError):
        key = x509.new_key()
        _write(private, x509.private(key))
    if not public.exists() or public.read_bytes() != x509.public(key):
        _write(public, x509.public(key))


def _certificate(cluster: Cluster, identity: Identity, signer: x509.Pair) -> None:
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


def _pair(cluster: Cluster, file: str) -> x509.Pair | None:
    """The certificate and its key; None if one is missing or damaged."""
    try:
        return x509.Pair.load(*((cluster.pki / f"{file}.{end}").read_bytes() for end in ("crt", "key")))
    except (OSError, ValueError, TypeError):
        return None


def _good(pair: x509.Pair | None, authority: x509.Pair) -> bool:
    """It holds now and for a while, has its own key, and is signed by the authority that is there now."""
    if pair is None or pair.certificate.public_key() != pair.key.public_key():
        return False
    try:
        pair.certificate.verify_directly_issued_by(authority.certificate)
    except (ValueError, TypeError, InvalidSignature):
        return False
    now = datetime.now(UTC)
    return pair.certificate.not_valid_before_utc <= now and pair.certificate.not_valid_after_utc > now + RENEW


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all, and never readable by others."""
    fresh = path.with_name(f".{path.name}")
    fresh.touch(mode=0o600)
    fresh.write_bytes(data)
    durable.replace(fresh, path)
