// The end of the audit record, newest first: CHAIN=trading is the engine's, CHAIN=access everything else.
//
//     [CHAIN=trading|access] [KIND=order.rejected] [SUBJECT=id] [ACTOR=id] [HOURS=24] [LIMIT=50] [READ=10000] \
//         mongosh "$URI" ops/mongosh/audit_tail.js
//
// Whether the record is as it was written, `qsuite audit verify` says: to read it proves nothing.

load(`${__dirname}/shared.js`);

const access = (choice("CHAIN", ["trading", "access"]) || "trading") === "access";
const chain = access ? books.audit_access : books.audit_log;
const limit = most(50);
const entries = process.env.SUBJECT ? chain.find(asked({ subject: process.env.SUBJECT })).hint("of_a_subject")
  : chain.find(asked(recentEntries(chain, hoursAgo(hours(24)), readAtMost(10_000)))).hint({ _id: 1 });
const own = access ? ["actor_name", "address", "request_id"] : ["account"];
show(entries.sort({ _id: -1 }).limit(limit).toArray(), ["_id", "ts", "kind", "actor", "subject", ...own, "facts"]);

const last = newestEntry(chain);
if (last !== null) print(`\nThe last entry is ${text(last._id)}, ${last.hash}`);

function asked(where) {
  if (process.env.KIND) where.kind = process.env.KIND;
  if (process.env.ACTOR) where.actor = process.env.ACTOR;
  return where;
}
