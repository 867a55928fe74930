// Operations that have run for long, and transactions that stay open: who, on what, and what they wait for.
//
//     [SECONDS=1] [LIMIT=50] mongosh "$URI" ops/mongosh/long_operations.js
//
// To end one is for an administrator: db.killOp(opid). A transaction that nobody goes on with holds up whoever writes
// what it wrote; QSuite ends those of its own processes that died, the engine's when another takes over.

load(`${__dirname}/shared.js`);

const seconds = amount("SECONDS", 1, 1e6);
const limit = most(50);
const least = Long.fromNumber(seconds * 1e6);
const inProgress = db.getSiblingDB("admin").aggregate([
  { $currentOp: { allUsers: true, idleSessions: true, truncateOps: true } },
  {
    $match: {
      $or: [
        { active: true, microsecs_running: { $gte: least }, ns: new RegExp(`^${books.getName()}\\.`) },
        { "transaction.timeOpenMicros": { $gte: least } },
      ],
    },
  },
  { $limit: 1_000 },
]).toArray();

// What waits for changes waits by design.
const waiting = (one) => one.op === "getmore" && one.cursor && one.cursor.tailable;
const took = (one) => Number(one.transaction ? one.transaction.timeOpenMicros : one.microsecs_running) / 1e6;
const long = inProgress.filter((one) => !waiting(one)).sort((one, other) => took(other) - took(one));
show(
  long.slice(0, limit).map((one) => ({
    ...one,
    took: duration(took(one)),
    what: one.transaction ? `transaction ${text(one.transaction.parameters.txnNumber)}` : one.op,
    from: one.client,
    locked: one.waitingForLock ? "waits" : "",
    command: one.command ? text(one.command).slice(0, 100) : "",
  })),
  ["took", "opid", "what", "ns", "locked", "from", "appName", "planSummary", "command"],
);
