"""`spec.script` and `spec.env` of a job as cloud-init user data: a program that any guest with a POSIX shell can run.

It travels in a Secret of the job's, since user data inside a VMI may have 2048 bytes only, and the environment may hold
what not everybody is to read. docs/jobs.md tells what the guest needs.
"""

from collections.abc import Iterable
from shlex import quote

from hostler.api import launcher
from hostler.api.batch import EnvVar, VirtualMachineJob
from hostler.api.objects import Secret
from hostler.runtime import names
from hostler.runtime.plan import Create, owner_reference
from hostler.runtime.protocol import Raw

VOLUME = "hostler-script"

PROGRAM = """\
#!/bin/sh
# Made by Hostler of a job's script: runs it, its output on the serial console; tells its exit code; powers off.
port() {{
    for port in /sys/class/virtio-ports/*; do
        if [ "$(cat "$port/name" 2>/dev/null)" = "$1" ]; then echo "/dev/${{port##*/}}"; return; fi
    done
    echo /dev/null
}}
umask 077
folder=$(mktemp -d)
cat >"$folder/script" <<'{end}'
{script}
{end}
chmod 700 "$folder/script"
modprobe virtio_console 2>/dev/null
HOSTLER_RESULT=$(port {result})
export HOSTLER_RESULT
console=/dev/ttyS0  # a getty that comes hangs it up for all that have it open, but not for who has it as /dev/console
case $(cat /sys/class/tty/console/active 2>/dev/null) in *ttyS0) console=/dev/console ;; esac
[ -c $console ] && [ -w $console ] || console=/dev/console
cd /
set -- "$folder/script"
(  # where the job's variables may have any name, PATH too
{index}{env}
exec "$1"
) </dev/null >$console 2>&1
code=$?
sync
echo $code >"$(port {exit})"
if [ -d /run/systemd/system ]; then systemctl poweroff; else poweroff; fi
"""


# One program serves all indexes: which one a guest is, its machine's serial number says, else its host name.
INDEX = """\
dmi=/sys/class/dmi/id
for name in "$(cat $dmi/product_serial 2>/dev/null)" "$(hostname)"; do
    JOB_COMPLETION_INDEX=${{name#{job}-}}
    case $JOB_COMPLETION_INDEX in '' | *[!0-9]*) JOB_COMPLETION_INDEX= ;; *) break ;; esac
done
JOB_INDEX_FAILURE_COUNT=$(cat $dmi/chassis_asset_tag 2>/dev/null)
case $JOB_INDEX_FAILURE_COUNT in '' | *[!0-9]*) JOB_INDEX_FAILURE_COUNT=0 ;; esac
export JOB_COMPLETION_INDEX JOB_INDEX_FAILURE_COUNT
"""


def user_data(script: str, env: Iterable[EnvVar], job: str = "") -> str:
    """The program; a script that names no interpreter is one of /bin/sh. `job` is the name of an indexed one."""
    whole = script if script.startswith("#!") else f"#!/bin/sh\n{script}"
    return PROGRAM.format(
        script=whole.removesuffix("\n"),
        end=f"END_{names.suffix(script, 12)}",  # no line of the script
        index=INDEX.format(job=job) if job else "",
        env="\n".join(f"export {each.name}={quote(each.value)}" for each in env),
        exit=launcher.EXIT_PORT,
        result=launcher.RESULT_PORT,
    )


def secret_name(job: VirtualMachineJob) -> str:
    return f"{job.metadata.name}-script-{names.suffix(job.metadata.uid)}"


def secret(job: VirtualMachineJob) -> Create:
    """Its name follows from the job's UID; the manager may create Secrets, but read none."""
    metadata = {
        "name": secret_name(job),
        "namespace": job.metadata.namespace,
        "ownerReferences": [owner_reference(job)],
    }
    indexed = job.metadata.name if job.spec.completion_mode == "Indexed" else ""
    data = {"userdata": user_data(job.spec.script or "", job.spec.env, indexed)}
    return Create(Secret, {"metadata": metadata, "immutable": True, "stringData": data}, blind=True)


def with_script(job: VirtualMachineJob, spec: Raw) -> Raw:
    """The VMI's spec with the disk that cloud-init looks for."""
    domain = spec.get("domain") or {}
    devices = domain.get("devices") or {}
    volume = {"name": VOLUME, "cloudInitNoCloud": {"secretRef": {"name": secret_name(job)}}}
    disks = [*(devices.get("disks") or ()), {"name": VOLUME, "disk": {"bus": "virtio"}}]
    return spec | {
        "domain": domain | {"devices": devices | {"disks": disks}},
        "volumes": [*(spec.get("volumes") or ()), volume],
    }


def with_index(job: VirtualMachineJob, index: int, failures: int, spec: Raw) -> Raw:
    """The VMI's spec that tells the guest who it is: by host name, and by SMBIOS where the template leaves room."""
    domain = spec.get("domain") or {}
    firmware, chassis = domain.get("firmware") or {}, domain.get("chassis") or {}
    name = f"{job.metadata.name}-{index}"
    told = {
        "firmware": {"serial": name} | firmware,
        "chassis": {"asset": str(failures)} | chassis,
    }
    return spec | {"hostname": name, "domain": domain | told}
