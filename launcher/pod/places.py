"""Where things are in the launcher pod; the same places as in hostler.api.launcher, which the pod does not have."""


class Places:
    """Paths below `root`, which is "" in a pod and a scratch folder in unit tests."""

    def __init__(self, root: str = "") -> None:
        self.private = f"{root}/var/run/kubevirt-private"
        self.disks = f"{root}/var/run/hostler/disks"
        self.images = f"{root}/var/run/hostler/images"
        self.claims = f"{root}/var/run/kubevirt-private/vmi-disks"
        self.secrets = f"{root}/var/run/hostler/secrets"
        self.termination_log = f"{root}/dev/termination-log"
        self.pki = f"{self.private}/pki"  # certificates of a live migration
        self.serial_log = f"{self.private}/serial.fifo"
        self.exit_fifo = f"{self.private}/exit.fifo"
        self.result_fifo = f"{self.private}/result.fifo"
        self.socket = f"{self.private}/libvirt/libvirt-sock"
        self.runtime = self.private  # XDG_RUNTIME_DIR: libvirt makes libvirt/ in it
        self.config = f"{self.private}/config"
        self.cache = f"{self.private}/cache"
        self.known = f"{root}/usr/lib/hostler/capabilities"  # what libvirtd would find out of this image's QEMU

    def domain_log(self, domain: str) -> str:
        """Where libvirt in session mode says how a domain started and ended."""
        return f"{self.cache}/libvirt/qemu/log/{domain}.log"

    def domain_pid(self, domain: str) -> str:
        """Where libvirt in session mode keeps the process id of a running domain's QEMU."""
        return f"{self.runtime}/libvirt/qemu/run/{domain}.pid"


def environment(places: Places) -> dict[str, str]:
    """What libvirtd and virsh need to run as a session of their own below the private folder."""
    return {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "HOME": places.private,
        "XDG_RUNTIME_DIR": places.runtime,
        "XDG_CONFIG_HOME": places.config,
        "XDG_CACHE_HOME": places.cache,
        "XDG_DATA_HOME": f"{places.private}/data",
    }
