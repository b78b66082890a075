"""What VirtualMachineJobs and VirtualMachineCronJobs keep to: batch/v1's rules, and what is not carried out yet."""

from dataclasses import replace

from hostler.api.batch import LONGEST_CRON_JOB, LONGEST_JOB
from hostler.api.rules.replicaset import TEMPLATE_LABELS
from hostler.api.rules.rule import Rule, formatted

IMMUTABLE = "field is immutable"
NEGATIVE = "must be greater than or equal to 0"
NOT_YET = {
    "backoffLimitPerIndex": "false",
    "completionMode": "self == 'NonIndexed'",
    "managedBy": "false",
    "manualSelector": "!self",
    "maxFailedIndexes": "false",
    "podFailurePolicy": "false",
    "podReplacementPolicy": "self == 'TerminatingOrFailed'",
    "selector": "false",
    "successPolicy": "false",
}
NUMBERS = ("activeDeadlineSeconds", "backoffLimit", "completions", "parallelism", "ttlSecondsAfterFinished")
UNCHANGED = "has(self.{0}) == has(oldSelf.{0}) && (!has(self.{0}) || self.{0} == oldSelf.{0})"

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
WORDS = "@(yearly|annually|monthly|weekly|daily|midnight|hourly)"
SCHEDULE = rf"^({WORDS}|{' +'.join(map(cron_field, FIELDS))})$"


def name(longest: int) -> Rule:
    return Rule(
        "", f"self.metadata.name.size() <= {longest}", f"metadata.name: must be no more than {longest} characters"
    )


def job_rules(at: str) -> tuple[Rule, ...]:
    """The rules of a job's spec that is at `at`."""
    template = replace(TEMPLATE_LABELS, at=f"{at}.template.metadata.labels")
    return (
        *(Rule(f"{at}.{field}", "self >= 0", NEGATIVE) for field in NUMBERS),
        *(
            Rule(f"{at}.{field}", holds, f"{at}.{field}: not supported by hostler", reason="FieldValueForbidden")
            for field, holds in NOT_YET.items()
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
    *(
        Rule("spec", UNCHANGED.format(field), IMMUTABLE, field=f".{field}")
        for field in ("completions", "script", "env")
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
    # Go's own list of time zones decides: an unknown one is an error that says so
    Rule(
        "spec.timeZone",
        "self != '' && self.lowerAscii() != 'local' && !self.matches('^[-+0-9]') "
        "&& timestamp('2000-01-01T00:00:00Z').getHours(self) >= 0",
        "unknown time zone: must be one of https://www.iana.org/time-zones, as in Europe/Berlin",
    ),
)

JOB_LIMITS = {
    "script": 65536,
    "env": 128,
    "env[].name": 256,
    "env[].value": 4096,
    "template.metadata.labels": 128,
    "template.metadata.labels{}": 253,
}
CRON_JOB_LIMITS = {"schedule": 1024, "timeZone": 64}
