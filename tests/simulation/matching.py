"""Queries and updates on one document, as MongoDB understands them; what nobody taught it raises."""

import re
from datetime import datetime, timedelta
from typing import Any

from qsuite.repos.database import Document


def matches(document: Document, query: Document, now: datetime) -> bool:
    """Say whether a document fits a query."""
    for field, wanted in query.items():
        if field == "$expr":
            if not _expression(wanted, document, now):
                return False
        elif not _fits(document, field, wanted):
            return False
    return True


def _fits(document: Document, field: str, wanted: Any) -> bool:
    present = field in document
    value = document.get(field)
    if not isinstance(wanted, dict) or not any(name.startswith("$") for name in wanted):
        return bool(value == wanted)
    for operator, operand in wanted.items():
        if operator == "$in":
            fits = value in operand
        elif operator == "$nin":
            fits = value not in operand
        elif operator == "$ne":
            fits = value != operand
        elif operator == "$exists":
            fits = present is operand
        elif operator == "$type" and operand == "string":
            fits = isinstance(value, str)
        elif operator == "$regex":
            fits = isinstance(value, str) and re.search(operand, value) is not None
        elif operator in ("$gt", "$gte", "$lt", "$lte"):
            fits = present and _compare(operator, value, operand)
        else:
            raise NotImplementedError(f"the simulated database knows no {operator}")
        if not fits:
            return False
    return True


def _compare(operator: str, left: Any, right: Any) -> bool:
    less, equal = bool(left < right), bool(left == right)
    return {"$gt": not less and not equal, "$gte": not less, "$lt": less, "$lte": less or equal}[operator]


def _expression(expression: Any, document: Document, now: datetime) -> Any:
    if isinstance(expression, str) and expression.startswith("$"):
        return now if expression == "$$NOW" else document.get(expression[1:])
    if not isinstance(expression, dict):
        return expression
    ((operator, operand),) = expression.items()
    if operator == "$literal":
        return operand
    values = [_expression(each, document, now) for each in operand]
    if operator == "$add":
        total, *others = values
        for other in others:
            total = total + (timedelta(milliseconds=other) if isinstance(total, datetime) else other)
        return total
    if operator in ("$gt", "$gte", "$lt", "$lte"):
        return _compare(operator, *values)
    raise NotImplementedError(f"the simulated database knows no {operator}")


def updated(document: Document, update: Any, now: datetime) -> Document:
    """Return the document after a ``$set``, plain or as a pipeline."""
    changed = dict(document)
    for stage in update if isinstance(update, list) else [update]:
        ((operator, fields),) = stage.items()
        if operator != "$set":
            raise NotImplementedError(f"the simulated database knows no {operator}")
        piped = isinstance(update, list)
        changed.update({name: _expression(value, changed, now) if piped else value for name, value in fields.items()})
    return changed
