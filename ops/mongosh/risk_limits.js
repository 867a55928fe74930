// The limits each scope sets, by whom, when and why, with the versions before. What no scope sets is the profile's.
//
//     [SCOPE=account] [TARGET=id] mongosh "$URI" ops/mongosh/risk_limits.js

load(`${__dirname}/shared.js`);

const named = userNames();
const wanted = { _id: /^limit:/ };
if (process.env.SCOPE) wanted.scope = process.env.SCOPE;
if (process.env.TARGET) wanted.target = process.env.TARGET;

const versions = books.risk_limits.find(wanted).sort({ _id: 1 }).toArray().flatMap((scope) =>
  [scope, ...(scope.history || [])].map((version) => ({
    ...version,
    scope: scope.scope,
    target: scope.target,
    by: named(text(version.set_by)),
    figures: Object.entries(version.limits || {}).map(([name, figure]) => `${name} ${text(figure)}`).join(", "),
  })),
);
show(versions, ["scope", "target", "version", "set_at", "by", "reason", "figures"]);
