// The limits each scope sets, by whom, when and why, with the versions before. What no scope sets is the profile's.
//
//     [SCOPE=account] [TARGET=id] [LIMIT=100] mongosh "$URI" ops/mongosh/risk_limits.js

load(`${__dirname}/shared.js`);

const wanted = { _id: /^limit:/ };
const scope = choice("SCOPE", ["global", "account", "strategy", "ticker"]);
if (scope) wanted.scope = scope;
if (process.env.TARGET) wanted.target = process.env.TARGET;

const scopes = books.risk_limits.find(wanted).sort({ _id: 1 }).limit(most(100)).toArray();
const versions = scopes.flatMap((one) =>
  [one, ...(one.history || [])].map((version) => ({ ...version, scope: one.scope, target: one.target })),
);
const named = userNames(versions.map((version) => version.set_by));
show(
  versions.map((version) => ({
    ...version,
    by: named(version.set_by),
    figures: Object.entries(version.limits || {}).map(([name, figure]) => `${name} ${text(figure)}`).join(", "),
  })),
  ["scope", "target", "version", "set_at", "by", "reason", "figures"],
);
