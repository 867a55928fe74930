"""What an expression of PromQL asks for: the names of metrics and labels, for a test to look for them.

    sum by (le, stage) (rate(qsuite_engine_stage_seconds_bucket{stage!="queue"}[5m])) > 1

is one metric with one condition on ``stage``, and is grouped by ``le`` and ``stage``. A tokenizer and four rules, no
parser: what is no PromQL at all is promtool's to find.
"""

import re
from dataclasses import dataclass, field

TOKEN = re.compile(
    r"""(?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
    |(?P<name>[A-Za-z_:][\w:]*)
    |(?P<variable>\$\w+|\$\{\w+\})
    |(?P<number>[0-9][0-9.a-z]*(?:[eE][+-]?[0-9]+)?)
    |(?P<sign>=~|!~|!=|==|>=|<=|[-+*/%^<>=(){}\[\],:@])
    |(?P<space>\s+)""",
    re.VERBOSE,
)
GROUPING = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
WORDS = frozenset({"and", "or", "unless", "offset", "bool", "inf", "nan"})
FUNCTIONS = frozenset(
    {
        *("abs", "absent", "avg", "changes", "clamp_min", "count", "delta", "deriv", "histogram_quantile", "increase"),
        *("irate", "max", "max_over_time", "min", "rate", "sum", "time", "topk"),
    }
)


class NotPromql(Exception):
    """A character that no expression has, or a function nobody knows."""


@dataclass(frozen=True)
class Condition:
    """``label`` ``sign`` ``value``, as ``state="active"``."""

    label: str
    sign: str
    value: str


@dataclass
class Asked:
    """What one expression asks for."""

    metrics: dict[str, list[Condition]] = field(default_factory=dict)
    grouped_by: set[str] = field(default_factory=set)


def asked(expression: str) -> Asked:
    """Return the metrics of an expression, with the conditions on each, and the labels it groups by."""
    tokens, found, at = tokenized(expression), Asked(), 0
    while at < len(tokens):
        kind, text = tokens[at]
        following = tokens[at + 1][1] if at + 1 < len(tokens) else ""
        if kind == "sign" and text == "[":
            at = tokens.index(("sign", "]"), at)
        elif kind == "name" and text in GROUPING:
            end = tokens.index(("sign", ")"), at)
            found.grouped_by |= {word for sort, word in tokens[at + 1 : end] if sort == "name"}
            at = end
        elif kind == "name" and (following == "(" or text in FUNCTIONS):
            if text not in FUNCTIONS and text not in WORDS:
                raise NotPromql(f"no function {text}")
        elif kind == "name" and text not in WORDS:
            conditions = found.metrics.setdefault(text, [])
            if following == "{":
                end = tokens.index(("sign", "}"), at)
                conditions += _conditions(tokens[at + 2 : end])
                at = end
        at += 1
    return found


def tokenized(expression: str) -> list[tuple[str, str]]:
    """Return (kind, text) of everything but space."""
    tokens, at = [], 0
    while at < len(expression):
        match = TOKEN.match(expression, at)
        if match is None:
            raise NotPromql(f"{expression[at:][:20]!r} at {at}")
        at = match.end()
        if match.lastgroup != "space":
            tokens.append((str(match.lastgroup), match[0]))
    return tokens


def _conditions(tokens: list[tuple[str, str]]) -> list[Condition]:
    words = [text for _, text in tokens if text != ","]
    return [Condition(label, sign, value.strip("\"'")) for label, sign, value in zip(*[iter(words)] * 3, strict=True)]
