"""The audit record over HTTP: what was done, by whom, and whether the record is as it was written."""

import json
from typing import Any

from marshmallow import Schema, fields, validate

from qsuite.domain.audit_proof import BY_NAME
from qsuite.domain.audit_record import AuditRecord
from qsuite.domain.roles import AUDITORS
from qsuite.domain.times import format_rfc3339
from qsuite.handlers.auth import JwkSchema
from qsuite.handlers.base import ApiHandler
from qsuite.handlers.fields import InstantField, WholeField
from qsuite.handlers.listing import COMPARISONS, EQUALITY, ListingSpec
from qsuite.handlers.operations import JSON, operation
from qsuite.handlers.row_formats import Column, Kind, RowTable
from qsuite.handlers.rows import ROW_TYPES, RowsHandler
from qsuite.services.audit_proof import Verdict

TAG = "audit"
TEXTS = ("actor", "actor_name", "subject", "account", "request_id", "address", "prev_hash", "hash")


class AuditQuerySchema(Schema):
    """Which chain: the engine's (``trading``), or everything else (``access``)."""

    chain = fields.String(load_default="access", validate=validate.OneOf(tuple(BY_NAME)))


class AuditEntrySchema(Schema):
    """One entry. ``hash`` is SHA-256 over ``prev_hash`` and everything else the entry's chain holds."""

    chain = fields.String(required=True)
    seq = fields.Integer(required=True)
    ts = InstantField(required=True)
    kind = fields.String(required=True)
    actor = fields.String(required=True)
    actor_name = fields.String(required=True)
    subject = fields.String(required=True)
    account = fields.String(required=True)
    facts = fields.Dict(required=True)
    request_id = fields.String(required=True)
    address = fields.String(required=True)
    prev_hash = fields.String(required=True)
    hash = fields.String(required=True)


class BadEntrySchema(Schema):
    """The first entry that is wrong, and why."""

    seq = fields.Integer(required=True)
    reason = fields.String(required=True)


class ChainVerdictSchema(Schema):
    """One chain: entries that are as they were written from the first on, signed heads seen, the first bad entry."""

    chain = fields.String(required=True)
    ok = fields.Boolean(required=True)
    entries = fields.Integer(required=True)
    hash = fields.String(required=True)
    signed_heads = fields.Integer(required=True)
    first_bad = fields.Nested(BadEntrySchema, required=True, allow_none=True)


class VerifySchema(Schema):
    """Both chains, and the public keys that check the signed heads."""

    ok = fields.Boolean(required=True)
    chains = fields.List(fields.Nested(ChainVerdictSchema), required=True)
    keys = fields.List(fields.Nested(JwkSchema), required=True)


class AuditHandler(RowsHandler):
    """``/api/v1/audit/``."""

    @operation(
        "List the audit record; pages of JSON, or all of a range as NDJSON, CSV or Arrow by Accept",
        roles=AUDITORS,
        query=AuditQuerySchema(),
        listing=ListingSpec(
            filters={
                "kind": (fields.String(), EQUALITY),
                "actor": (fields.String(), EQUALITY),
                "subject": (fields.String(), EQUALITY),
                "seq": (WholeField(validate=validate.Range(0, 2**53)), COMPARISONS),
                "ts": (InstantField(), COMPARISONS),
            },
            orderings=("seq",),
            default_order=("-seq",),
            cursor=True,
        ),
        returns={200: AuditEntrySchema()},
        shows=ROW_TYPES,
        tag=TAG,
    )
    async def get(self) -> None:
        """List it."""
        chain, listing = self.query["chain"], self.listing()
        if self.shown_as != JSON:
            await self.answer_rows(self.services.audit_reading.batches(chain, listing), TABLE)
            return
        page = await self.services.audit_reading.page(chain, listing)
        self.answer_page(page, [shown_record(record) for record in page.items])


class AuditVerifyHandler(ApiHandler):
    """``/api/v1/audit/verify/``."""

    @operation(
        "Recompute both chains, and hold them against the heads that were signed",
        roles=AUDITORS,
        returns={200: VerifySchema()},
        tag=TAG,
    )
    async def get(self) -> None:
        """Verify them."""
        verdicts = await self.services.audit_reading.verify()
        await self.services.audit.record(
            "audit.verified", facts={one.chain: "ok" if one.reason is None else one.reason for one in verdicts}
        )
        self.answer(
            {
                "ok": all(one.reason is None for one in verdicts),
                "chains": [_shown_verdict(one) for one in verdicts],
                "keys": self.services.audit_reading.public_keys(),
            }
        )


def shown_record(record: AuditRecord) -> dict[str, Any]:
    """Show an entry."""
    return {
        "chain": record.chain,
        "seq": record.seq,
        "ts": format_rfc3339(record.ts_ns),
        "kind": record.kind,
        **{name: getattr(record, name) for name in TEXTS[:4]},
        "facts": record.facts,
        **{name: getattr(record, name) for name in TEXTS[4:]},
    }


def _shown_verdict(one: Verdict) -> dict[str, Any]:
    bad = None if one.reason is None else {"seq": one.bad_seq, "reason": one.reason}
    return {
        "chain": one.chain,
        "ok": bad is None,
        "entries": one.entries,
        "hash": one.hash,
        "signed_heads": one.signed,
        "first_bad": bad,
    }


def _text_column(name: str) -> Column[AuditRecord]:
    return Column(name, Kind.TEXT, lambda record: getattr(record, name))


TABLE: RowTable[AuditRecord] = RowTable(
    columns=(
        Column("chain", Kind.WORD, lambda record: record.chain),
        Column("seq", Kind.WHOLE, lambda record: record.seq),
        Column("ts", Kind.INSTANT, lambda record: record.ts_ns),
        Column("kind", Kind.WORD, lambda record: record.kind),
        *map(_text_column, TEXTS[:4]),
        Column("facts", Kind.TEXT, lambda record: json.dumps(record.facts, ensure_ascii=False)),
        *map(_text_column, TEXTS[4:]),
    ),
    shown=shown_record,
)

routes = [(r"/api/v1/audit/?", AuditHandler), (r"/api/v1/audit/verify/?", AuditVerifyHandler)]
