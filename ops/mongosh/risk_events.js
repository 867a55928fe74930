// What the controls refused and who was halted lately, newest first; then how often, by code.
//
//     [HOURS=1] [SEVERITY=critical] [TRADER=demo | ACCOUNT=id] [LIMIT=100] [READ=10000] \
//         mongosh "$URI" ops/mongosh/risk_events.js

load(`${__dirname}/shared.js`);

const accounts = chosenAccounts();
const severity = choice("SEVERITY", ["info", "warning", "critical"]);
const limit = most(100);
const wanted = recent(books.risk_events, hoursAgo(hours(1)), readAtMost(10_000));
if (severity) wanted.severity = severity;
if (accounts) wanted.account = { $in: accounts };

show(books.risk_events.find(wanted).hint({ _id: 1 }).sort({ _id: -1 }).limit(limit).toArray(), [
  "ts", "severity", "code", "scope", "target", "symbol", "order", "limit", "value", "detail",
]);
print("\nBy code");
show(
  books.risk_events.aggregate([
    { $match: wanted },
    { $group: { _id: "$code", times: { $sum: 1 }, last: { $max: "$ts" } } },
    { $sort: { times: -1, _id: 1 } },
    { $set: { code: "$_id" } },
  ], { hint: { _id: 1 } }).toArray(),
  ["code", "times", "last"],
);
