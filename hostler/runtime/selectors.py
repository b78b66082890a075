"""Label selectors: who is meant, and how it is written in one line."""

from collections.abc import Mapping

from hostler.api.meta import LabelSelector, LabelSelectorRequirement


def matches(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Whether the labels are selected; an empty selector, which would mean every object, selects none."""
    if not selector.match_labels and not selector.match_expressions:
        return False
    return all(labels.get(key) == value for key, value in selector.match_labels.items()) and all(
        _holds(each, labels) for each in selector.match_expressions
    )


def _holds(requirement: LabelSelectorRequirement, labels: Mapping[str, str]) -> bool:
    match requirement.operator:
        case "In":
            return labels.get(requirement.key) in requirement.values
        case "NotIn":
            return labels.get(requirement.key) not in requirement.values
        case "Exists":
            return requirement.key in labels
        case "DoesNotExist":
            return requirement.key not in labels
    return False


def text(selector: LabelSelector) -> str:
    """As the API server takes it in a labelSelector: a=b,c in (d,e),!f; sorted by key."""
    parts = [(key, f"{key}={value}") for key, value in selector.match_labels.items()]
    parts += [(each.key, _written(each)) for each in selector.match_expressions]
    return ",".join(part for _, part in sorted(parts))


def _written(requirement: LabelSelectorRequirement) -> str:
    key, values = requirement.key, ",".join(sorted(requirement.values))
    forms = {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "Exists": key, "DoesNotExist": f"!{key}"}
    return forms.get(requirement.operator, key)
