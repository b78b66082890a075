"""What fencing may be told, and the promise that the API server itself holds: nothing is fenced without a proof."""

from hostler.api.fencing import PROVEN
from hostler.api.limits import ITEMS, NAME, TEXT, WORD
from hostler.api.rules.rule import Check, Rule, each

# What an agent is told by us, or what would let a parameter run a program, read a file or write one.
OURS = ("action", "agent", "verbose", "verbose_level", "debug", "debug_file", "delay", "use_sudo", "quiet", "version")
CREDENTIALS = "^(passwd|password|snmp_priv_passwd|hexadecimal_kg|community|api_key|token|secret)$"
PLACES = "(_path|_script|_file|^identity_file)$"
PRINTABLE = "^[ -~]*$"  # one parameter is one line of the agent's input

DEVICES = "spec.levels[].devices"

NODE_FENCING_RULES = (
    Rule("spec.levels", "size(self) > 0", "at least one level is needed"),
    Rule(DEVICES, "size(self) > 0", "at least one device is needed: an empty level would prove nothing"),
    each(
        DEVICES,
        "d",
        Check("d.agent.matches('^fence_[a-z0-9_]+$')", "devices[%d].agent: the name of a fence agent, fence_..."),
        Check(
            f"!has(d.parameters) || d.parameters.all(p, !p.matches('{CREDENTIALS}'))",
            "devices[%d].parameters: credentials belong in a Secret of the installation's namespace: secretRef",
        ),
        Check(
            f"!has(d.parameters) || d.parameters.all(p, !(p in {list(OURS)}) && !p.matches('{PLACES}'))",
            "devices[%d].parameters: actions, debugging, and paths of programs and files are not for a parameter",
        ),
        Check(
            "!has(d.parameters) || d.parameters.all(p, p.matches('^[a-z0-9_-]+$') "
            f"&& d.parameters[p].matches('{PRINTABLE}'))",
            "devices[%d].parameters: names of a-z, 0-9, _ and -, values of one line",
        ),
        Check(
            "(!has(d.timeoutSeconds) || (d.timeoutSeconds >= 1 && d.timeoutSeconds <= 600)) "
            "&& (!has(d.retries) || (d.retries >= 0 && d.retries <= 10))",
            "devices[%d]: timeoutSeconds is from 1 to 600, retries from 0 to 10",
        ),
    ),
)
NODE_FENCING_LIMITS = {
    "spec.levels": 9,  # as many as Pacemaker has
    "spec.levels[].devices": 8,
    "spec.levels[].devices[].agent": WORD,
    "spec.levels[].devices[].name": WORD,
    "spec.levels[].devices[].parameters": 32,
    "spec.levels[].devices[].parameters{}": TEXT,
    "spec.levels[].devices[].secretRef.name": NAME,
    "spec.levels[].devices[].secretRef.prefix": NAME,
}

FENCE_OPERATION_RULES = (
    Rule(
        "spec",
        "self.nodeName == oldSelf.nodeName && self.bootID == oldSelf.bootID && self.mode == oldSelf.mode "
        "&& self.reason == oldSelf.reason && self.requestedBy == oldSelf.requestedBy",
        "a FenceOperation is one incident and does not change: make another one",
    ),
    Rule(
        "spec",
        "!has(oldSelf.acknowledgement) || (has(self.acknowledgement) "
        "&& self.acknowledgement == oldSelf.acknowledgement)",
        "an acknowledgement cannot be taken back",
        field=".acknowledgement",
    ),
    Rule("spec.acknowledgement", "size(self.by) > 0", "who says that the node is off?", field=".by"),
    Rule(
        "status",
        f"!has(self.phase) || !(self.phase in {list(PROVEN)}) || has(self.proof)",
        "no phase beyond Verifying without a proof",
        field=".proof",
        reason="FieldValueForbidden",
    ),
    Rule(
        "status",
        "!has(oldSelf.proof) || (has(self.proof) && self.proof == oldSelf.proof)",
        "a proof is never changed",
        field=".proof",
        reason="FieldValueForbidden",
    ),
)
FENCE_OPERATION_LIMITS = {
    "spec.nodeName": NAME,
    "spec.bootID": WORD,
    "spec.reason": TEXT,
    "spec.requestedBy": NAME,
    "spec.acknowledgement.by": NAME,
    "spec.acknowledgement.message": TEXT,
    "status.attempts": 32,
    "status.transitions": 64,
    "status.instances": 1024,
    "status.proof.readings": ITEMS,
    "status.proof.by": NAME,
    "status.proof.message": TEXT,
    "status.proof.bootID": WORD,
    "status.proof.readings[].device": WORD,
    "status.proof.readings[].power": WORD,
}
