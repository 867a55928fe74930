// What the controls refused and who was halted in the last hour, newest first; then how often, by code.
//
//     [MINUTES=60] [SEVERITY=critical] [TRADER=demo | ACCOUNT=id] mongosh "$URI" ops/mongosh/risk_events.js

load(`${__dirname}/shared.js`);

const accounts = chosenAccounts();
const wanted = { ts: { $gte: minutesAgo(Number(process.env.MINUTES || 60)) } };
if (process.env.SEVERITY) wanted.severity = process.env.SEVERITY;
if (accounts) wanted.account = { $in: accounts };

const events = books.risk_events.find(wanted).sort({ ts: -1, _id: -1 }).toArray();
show(events, ["ts", "severity", "code", "scope", "target", "symbol", "order", "limit", "value", "detail"]);

const counts = new Map();
for (const event of events) counts.set(event.code, (counts.get(event.code) || 0) + 1);
print("\nBy code");
show([...counts].sort((one, other) => other[1] - one[1]).map(([code, times]) => ({ code, times })), ["code", "times"]);
