// Which kill switches are thrown, by whom and why, and who threw or lifted one before.
//
//     [LIMIT=20] [READ=10000] mongosh "$URI" ops/mongosh/kill_switches.js

load(`${__dirname}/shared.js`);

const limit = most(20);
// REDUCING lets pass what makes positions smaller, HALTED nothing; some are thrown by the engine itself.
const thrown = books.risk_limits.find({ _id: /^halt:/ }).sort({ _id: 1 }).limit(1_000).toArray();
const threw = userNames(thrown.map((halt) => halt.user));
show(
  thrown.map((halt) => ({ ...halt, by: threw(halt.user) })),
  ["scope", "target", "state", "by", "since", "reason"],
);

// Orders that a halt refused have its code too.
const changes = books.risk_events.aggregate([
  { $match: { code: { $in: ["risk.halted", "risk.reducing", "risk.resumed"] } } },
  { $sort: { ts: -1, _id: -1 } },
  { $limit: readAtMost(10_000) },
  { $match: { order: null, severity: { $ne: "warning" } } },
  { $limit: limit },
], { hint: "of_a_code" }).toArray();
const changed = userNames(changes.map((event) => event.actor));
print("\nLast changes");
show(
  changes.map((event) => ({ ...event, by: changed(event.actor) })),
  ["ts", "code", "scope", "target", "by", "detail"],
);
