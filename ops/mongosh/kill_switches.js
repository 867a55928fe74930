// Which kill switches are thrown, by whom and why, and who threw or lifted one before.
//
//     mongosh "$URI" ops/mongosh/kill_switches.js

load(`${__dirname}/shared.js`);

const names = new Map(books.users.find({}, { username: 1 }).toArray().map((user) => [text(user._id), user.username]));
const named = (id) => names.get(id) || id;

show(
  books.risk_limits.find({ state: "HALTED" }).sort({ since: 1 }).toArray().map((halt) => ({
    ...halt,
    by: named(text(halt.user)),
  })),
  ["scope", "target", "by", "since", "reason"],
);
print("\nLast twenty changes");
const changes = books.audit_log.find({ kind: { $in: ["risk.halted", "risk.resumed"] } }).sort({ _id: -1 }).limit(20);
show(
  changes.toArray().map((entry) => ({ ...entry, by: named(entry.actor) })),
  ["ts", "kind", "facts.scope", "facts.target", "by", "facts.reason"],
);
