// Which kill switches are thrown, by whom and why, and who threw or lifted one before.
//
//     mongosh "$URI" ops/mongosh/kill_switches.js

load(`${__dirname}/shared.js`);

const named = userNames();

// REDUCING lets pass what makes positions smaller, HALTED nothing; some are thrown by the engine itself.
show(
  books.risk_limits.find({ _id: /^halt:/ }).sort({ since: 1 }).toArray().map((halt) => ({
    ...halt,
    by: named(text(halt.user)),
  })),
  ["scope", "target", "state", "by", "since", "reason"],
);
print("\nLast twenty changes");
const changes = books.audit_log.find({ kind: { $in: ["risk.halted", "risk.resumed"] } }).sort({ _id: -1 }).limit(20);
show(
  changes.toArray().map((entry) => ({ ...entry, by: named(entry.actor) })),
  ["ts", "kind", "facts.state", "facts.scope", "facts.target", "by", "facts.reason"],
);
