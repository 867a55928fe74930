// How long transactions and other operations take: since mongod started, and the slow ones it still has in its log.
//
//     [LIMIT=20] mongosh "$URI" ops/mongosh/slow_commits.js
//
// QSuite stores no durations. mongod does: of all operations for its averages, and of each that took longer than its
// threshold (100 ms unless it was changed) in the last thousand lines of its log, so a busy one does not look back far.
// It asks the member that it is connected to: the primary, unless the address says otherwise. For percentiles over time
// there is the metric qsuite_commit_seconds.

load(`${__dirname}/shared.js`);

const limit = most(20);
const admin = db.getSiblingDB("admin");
const status = admin.runCommand({ serverStatus: 1, metrics: 0, wiredTiger: 0, tcmalloc: 0 });
const { totalCommitted, totalAborted, currentOpen } = status.transactions;
print(`transactions  ${text(totalCommitted)} committed, ${text(totalAborted)} aborted, ${text(currentOpen)} open`);
print(`mongod        up ${duration(Number(status.uptime))}`);

const kinds = ["transactions", "commands", "writes", "reads"].filter((name) => status.opLatencies[name]);
show(
  kinds.map((kind) => ({ kind, ...status.opLatencies[kind] })).map((one) => ({
    kind: one.kind,
    operations: one.ops,
    mean_ms: Number(one.ops) ? (Number(one.latency) / Number(one.ops) / 1000).toFixed(2) : "",
  })),
  ["kind", "operations", "mean_ms"],
);

const lines = admin.runCommand({ getLog: "global" }).log.map((line) => {
  try {
    return JSON.parse(line);
  } catch (error) {
    if (error instanceof SyntaxError) return {}; // a line too long for the ring is cut off
    throw error;
  }
});
const slow = lines.map(told).filter((one) => one !== null && ofOurs(one)).sort((one, other) => other.ms - one.ms);
print(`\nSlow, since ${lines[0] && lines[0].t ? lines[0].t.$date : "the log's beginning"}`);
show(slow.slice(0, limit), ["ms", "ts", "what", "ns", "ended", "waited_ms", "examined", "plan", "app"]);

// A slow operation, or a transaction with all its statements; null for other lines.
function told(line) {
  const attr = line.attr || {};
  if (attr.durationMillis === undefined) return null;
  const shared = { ms: attr.durationMillis, ts: line.t.$date, examined: attr.docsExamined, plan: attr.planSummary };
  if (line.c === "TXN" && line.msg === "transaction") {
    const waited = Math.round(attr.timeInactiveMicros / 1000);
    return { ...shared, what: "transaction", ended: attr.terminationCause, waited_ms: waited };
  }
  if (line.msg !== "Slow query") return null;
  const what = Object.keys(attr.command || {})[0] || attr.type;
  const waited = attr.waitForWriteConcernDurationMillis || 0;
  return { ...shared, what, ns: attr.ns, waited_ms: waited, ended: attr.errName || "", app: attr.appName };
}

function ofOurs(one) {
  const commits = ["transaction", "commitTransaction"].includes(one.what);
  return commits || (one.ns || "").startsWith(`${books.getName()}.`);
}
