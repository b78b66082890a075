"""The programs that a cluster is made of: their versions, and where each comes from."""

from dataclasses import dataclass

MACHINE = "x86_64"  # what the releases below are for, as uname says it
KUBERNETES = "v1.37.2"
ETCD = "v3.7.3"
CONTAINERD = "2.4.2"
RUNC = "v1.5.2"
HELM = "v3.22.0"
COREDNS = "1.15.0"
KWOK = "v0.8.0"


@dataclass(frozen=True)
class Release:
    """An official download: a program or an archive that has it, and the file with its checksum."""

    url: str
    checksums: str  # one hash, or lines of "hash  name"
    member: str = ""  # the program's path inside the archive

    @property
    def file(self) -> str:
        return self.url.rpartition("/")[2]


@dataclass(frozen=True)
class Program:
    """One program: its pinned version, its Go package, its release, and how an installed one tells its version."""

    name: str
    version: str
    module: str  # folder in cluster/go with the go.mod and go.sum that pin everything it is built from
    package: str
    release: Release | None = None
    tags: str = ""
    link: tuple[str, ...] = ()  # variables set by the linker
    cgo: bool = False
    ask: tuple[str, ...] = ("--version",)

    @property
    def number(self) -> str:
        """The version as programs print it, without the v."""
        return self.version.removeprefix("v")


def _kubernetes(name: str) -> Program:
    url = f"https://dl.k8s.io/release/{KUBERNETES}/bin/linux/amd64/{name}"
    # without its version in it a server says v0.0.0, and clients refuse to talk to it
    link = (
        f"k8s.io/component-base/version.gitVersion={KUBERNETES}",
        f"k8s.io/client-go/pkg/version.gitVersion={KUBERNETES}",
    )
    ask = ("version", "--client") if name == "kubectl" else ("--version",)
    release = Release(url, f"{url}.sha256")
    return Program(name, KUBERNETES, "kubernetes", f"k8s.io/kubernetes/cmd/{name}", release, link=link, ask=ask)


def _containerd(name: str) -> Program:
    url = f"https://github.com/containerd/containerd/releases/download/v{CONTAINERD}/containerd-static-{CONTAINERD}-linux-amd64.tar.gz"
    release = Release(url, f"{url}.sha256sum", f"bin/{name}")
    package = f"github.com/containerd/containerd/v2/cmd/{name}"
    ask = ("-v",) if name.startswith("containerd-shim") else ("--version",)
    return Program(name, f"v{CONTAINERD}", "containerd", package, release, tags="no_btrfs no_devmapper no_zfs", ask=ask)


def _etcd() -> Program:
    base = f"https://github.com/etcd-io/etcd/releases/download/{ETCD}"
    folder = f"etcd-{ETCD}-linux-amd64"
    release = Release(f"{base}/{folder}.tar.gz", f"{base}/SHA256SUMS", f"{folder}/etcd")
    return Program("etcd", ETCD, "etcd", "go.etcd.io/etcd/server/v3", release)


def _runc() -> Program:
    base = f"https://github.com/opencontainers/runc/releases/download/{RUNC}"
    release = Release(f"{base}/runc.amd64", f"{base}/runc.sha256sum")
    # without seccomp every pod fails: "seccomp not supported"
    return Program("runc", RUNC, "runc", "github.com/opencontainers/runc", release, tags="seccomp", cgo=True)


def _helm() -> Program:
    url = f"https://get.helm.sh/helm-{HELM}-linux-amd64.tar.gz"
    link = (f"helm.sh/helm/v3/internal/version.version={HELM}",)
    release = Release(url, f"{url}.sha256sum", "linux-amd64/helm")
    return Program("helm", HELM, "helm", "helm.sh/helm/v3/cmd/helm", release, link=link, ask=("version", "--short"))


def _coredns() -> Program:
    url = f"https://github.com/coredns/coredns/releases/download/v{COREDNS}/coredns_{COREDNS}_linux_amd64.tgz"
    release = Release(url, f"{url}.sha256", "coredns")
    return Program("coredns", f"v{COREDNS}", "coredns", ".", release)


def _kwok() -> Program:
    return Program("kwok", KWOK, "kwok", "sigs.k8s.io/kwok/cmd/kwok")


_KUBERNETES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl")
_CONTAINERD = ("containerd", "containerd-shim-runc-v2", "ctr")

PROGRAMS = {
    program.name: program
    for program in (
        _etcd(),
        *map(_containerd, _CONTAINERD),
        _runc(),
        *map(_kubernetes, _KUBERNETES),
        _coredns(),
        _helm(),
        _kwok(),
    )
}

NODE = ("kubelet", "kube-proxy", *_CONTAINERD, "runc", "coredns")
CONTROL = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
EXTRA = ("helm",)  # what installing Hostler needs
