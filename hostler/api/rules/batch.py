"""What VirtualMachineJobs and VirtualMachineCronJobs keep to: batch/v1's rules.

Those that must read a string of indexes, or compare whole templates, are in the chart (jobs-admission.yaml).
"""

from dataclasses import replace

from hostler.api.batch import LONGEST_CRON_JOB, LONGEST_JOB
from hostler.api.rules.batch_policies import POLICY_LIMITS, policy_rules
from hostler.api.rules.replicaset import TEMPLATE_LABELS
from hostler.api.rules.rule import Rule, formatted

IMMUTABLE = "field is immutable"
NEGATIVE = "must be greater than or equal to 0"
# A guest belongs to its job by owner reference; there is nothing to select by.
NEVER = {"manualSelector": "!self", "selector": "false"}
NUMBERS = (
    "activeDeadlineSeconds",
    "backoffLimit",
    "backoffLimitPerIndex",
    "completions",
    "maxFailedIndexes",
    "parallelism",
    "ttlSecondsAfterFinished",
)
UNCHANGED = "has(self.{0}) == has(oldSelf.{0}) && (!has(self.{0}) || self.{0} == oldSelf.{0})"
INDEXED = "(has(self.completionMode) && self.completionMode == 'Indexed')"
COUNT = "(has(self.spec.completions) ? self.spec.completions : 1)"  # of an indexed job
MOST_INDEXES = 100000  # at once, or failed; and from so many completions on, a tenth of it
HIGH = f"{INDEXED} && has(self.backoffLimitPerIndex) && has(self.completions) && self.completions > {MOST_INDEXES}"
LONGEST_MANAGER = 63  # characters of managedBy

# As Go reads a schedule: five fields of lists of ranges with steps, or a word.
STEP = "(/[1-9][0-9]*)?"


def cron_field(number: str) -> str:
    """A regular expression for one of the five."""
    item = rf"([*?]|{number}(-{number})?){STEP}"
    return f"{item}(,{item})*"


MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
DAYS = "sun|mon|tue|wed|thu|fri|sat"
FIELDS = (
    "[0-5]?[0-9]",
    "([01]?[0-9]|2[0-3])",
    "(0?[1-9]|[12][0-9]|3[01])",
    f"(0?[1-9]|1[0-2]|{MONTHS})",
    f"([0-6]|{DAYS})",
)
NUMBERED = "".join(
    f".replace('{word}', '{number}')"
    for names, first in ((MONTHS, 1), (DAYS, 0))
    for number, word in enumerate(names.split("|"), first)
)
FIRST, LAST = (f"int(i.split('/')[0].split('-')[{end}])" for end in (0, 1))
FORWARD = f"self.lowerAscii().replace(' ', ','){NUMBERED}.split(',').all(i, !i.contains('-') || {FIRST} <= {LAST})"
WORDS = "@(yearly|annually|monthly|weekly|daily|midnight|hourly)"
SCHEDULE = rf"^({WORDS}|{' +'.join(map(cron_field, FIELDS))})$"


def name(longest: int) -> Rule:
    return Rule(
        "", f"self.metadata.name.size() <= {longest}", f"metadata.name: must be no more than {longest} characters"
    )


def at_most(at: str, field: str, most: int, where: str, when: str) -> Rule:
    """`where` is CEL for the jobs that the limit is for, `when` says the same in words."""
    holds = f"!({where}) || !has(self.{field}) || self.{field} <= {most}"
    return Rule(at, holds, f"must be less than or equal to {most}{when}", field=f".{field}")


def index_rules(at: str) -> tuple[Rule, ...]:
    """What batch/v1 asks of a job with indexes, and of one without."""
    high = f" when completions are above {MOST_INDEXES} and used with backoff limit per index"
    return (
        Rule(
            at,
            "!has(self.maxFailedIndexes) || has(self.backoffLimitPerIndex)",
            "when maxFailedIndexes is specified",
            field=".backoffLimitPerIndex",
            reason="FieldValueRequired",
        ),
        Rule(
            at,
            f"!{INDEXED} || has(self.completions) || !has(self.parallelism)",  # without both, both are 1
            "when completion mode is Indexed",
            field=".completions",
            reason="FieldValueRequired",
        ),
        at_most(at, "parallelism", MOST_INDEXES, INDEXED, " when completion mode is Indexed"),
        at_most(at, "maxFailedIndexes", MOST_INDEXES, INDEXED, ""),
        Rule(
            at,
            f"!{INDEXED} || !has(self.maxFailedIndexes) || !has(self.completions) "
            "|| self.maxFailedIndexes <= self.completions",
            "must be less than or equal to completions",
            field=".maxFailedIndexes",
        ),
        Rule(
            at,
            f"!({HIGH}) || has(self.maxFailedIndexes)",
            f"must be specified when completions is above {MOST_INDEXES}",
            field=".maxFailedIndexes",
            reason="FieldValueRequired",
        ),
        at_most(at, "parallelism", MOST_INDEXES // 10, HIGH, high),
        at_most(at, "maxFailedIndexes", MOST_INDEXES // 10, HIGH, high),
        *(
            Rule(at, f"{INDEXED} || !has(self.{field})", "requires indexed completion mode", field=f".{field}")
            for field in ("backoffLimitPerIndex", "maxFailedIndexes", "successPolicy")
        ),
    )


def job_rules(at: str) -> tuple[Rule, ...]:
    """The rules of a job's spec that is at `at`."""
    template = replace(TEMPLATE_LABELS, at=f"{at}.template.metadata.labels")
    return (
        *(Rule(f"{at}.{field}", "self >= 0", NEGATIVE) for field in NUMBERS),
        *(
            Rule(f"{at}.{field}", holds, f"{at}.{field}: not supported by hostler", reason="FieldValueForbidden")
            for field, holds in NEVER.items()
        ),
        *index_rules(at),
        *policy_rules(at),
        Rule(
            f"{at}.managedBy",
            "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/[A-Za-z0-9/_.~%!$&()*+,;=:@-]+$')",
            'must be a domain-prefixed path (such as "acme.io/foo")',
        ),
        Rule(f"{at}.template", "has(self.spec)", "missing virtual machine template.", field=".spec"),
        Rule(
            f"{at}.env[].name",
            "self.matches('^[A-Za-z_][A-Za-z0-9_]*$')",
            "must be the name of a shell variable",
            formatted("must be the name of a shell variable: %s", "self"),
        ),
        Rule(
            at,
            "!has(self.env) || size(self.env) == 0 || has(self.script)",
            "env is for script: set it too",
            field=".env",
        ),
        Rule(
            at,
            "!has(self.script) || !has(self.template.spec) || !has(self.template.spec.volumes) "
            "|| !self.template.spec.volumes.exists(v, has(v.cloudInitNoCloud) || has(v.cloudInitConfigDrive))",
            "script needs cloud-init for itself: remove the template's cloud-init volume, or put the script into that",
            field=".script",
        ),
        template,
    )


JOB_RULES = (
    name(LONGEST_JOB),
    *job_rules("spec"),
    # a guest's host name is <job>-<index>
    Rule(
        "",
        f"!has(self.spec.completionMode) || self.spec.completionMode != 'Indexed' || {COUNT} < 1 "
        "|| (!self.metadata.name.contains('.') "
        f"&& self.metadata.name.size() + string({COUNT} - 1).size() < 63)",
        "metadata.name: will not able to create pod with invalid DNS label",
        formatted(
            "metadata.name: will not able to create pod with invalid DNS label: %s-%d",
            "self.metadata.name",
            f"{COUNT} - 1",
        ),
    ),
    *(
        Rule("spec", UNCHANGED.format(field), IMMUTABLE, field=f".{field}")
        for field in ("backoffLimitPerIndex", "completionMode", "managedBy", "script", "env")
    ),
    Rule("spec", f"{INDEXED} || ({UNCHANGED.format('completions')})", IMMUTABLE, field=".completions"),
    Rule(
        "spec",
        f"!{INDEXED} || ({UNCHANGED.format('completions')}) || !has(self.completions) "
        "|| self.completions == (has(self.parallelism) ? self.parallelism : 1)",
        "can only be modified in tandem with spec.parallelism",
        field=".completions",
    ),
)

CRON_JOB_RULES = (
    name(LONGEST_CRON_JOB),
    *job_rules("spec.jobTemplate.spec"),
    *(
        Rule(f"spec.{field}", "self >= 0", NEGATIVE)
        for field in ("failedJobsHistoryLimit", "startingDeadlineSeconds", "successfulJobsHistoryLimit")
    ),
    Rule(
        "spec.schedule",
        "!self.contains('TZ=')",
        "cannot use TZ or CRON_TZ in schedule, use timeZone field instead",
    ),
    Rule(
        "spec.schedule",
        f"self.contains('TZ=') || self.lowerAscii().matches('{SCHEDULE}')",
        "must be five fields as in `*/5 8-17 * * mon-fri`, or one of @hourly, @daily, @weekly, @monthly, @yearly",
    ),
    Rule(
        "spec.schedule",
        f"!self.lowerAscii().matches('{SCHEDULE}') || {FORWARD}",
        "beginning of range beyond end of range",
    ),
    Rule("spec.timeZone", "self != ''", "timeZone must be nil or non-empty string"),
    Rule(
        "spec.timeZone",
        "self.lowerAscii() != 'local'",
        "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones",
    ),
    # Go's own list of time zones decides: an unknown one is an error that says so
    Rule(
        "spec.timeZone",
        "self == '' || self.lowerAscii() == 'local' || (!self.matches('^[-+0-9]') "
        "&& timestamp('2000-01-01T00:00:00Z').getHours(self) >= 0)",
        "unknown time zone: must be one of https://www.iana.org/time-zones, as in Europe/Berlin",
    ),
)

JOB_LIMITS = POLICY_LIMITS | {
    "script": 65536,
    "env": 128,
    "env[].name": 256,
    "env[].value": 4096,
    "managedBy": LONGEST_MANAGER,
    "template.metadata.labels": 128,
    "template.metadata.labels{}": 253,
}
JOB_DEFAULTS = {"podFailurePolicy.rules[].onPodConditions[].status": "True"}
CRON_JOB_LIMITS = {"schedule": 512, "timeZone": 64}
