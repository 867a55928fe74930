// Who was refused lately, by reason and address; the newest refusals; and how many sessions are open, by user.
//
//     [HOURS=24] [ADDRESS=192.0.2.7] [LIMIT=50] [READ=10000] mongosh "$URI" ops/mongosh/logins.js
//
// A refusal that repeats within ten seconds is one entry that says how many `times`.

load(`${__dirname}/shared.js`);

const limit = most(50);
const read = readAtMost(10_000);
const at = now();
const refusals = [
  "login.failed", "login.code_failed", "login.delayed", "refresh.refused", "request.refused", "stream.refused",
];
const wanted = { ...recentEntries(books.audit_access, hoursAgo(hours(24)), read), kind: { $in: refusals } };
if (process.env.ADDRESS) wanted.address = process.env.ADDRESS;

show(
  books.audit_access.aggregate([
    { $match: wanted },
    { $sort: { _id: -1 } },
    {
      $group: {
        _id: { kind: "$kind", address: "$address" },
        times: { $sum: { $ifNull: ["$facts.times", 1] } },
        entries: { $sum: 1 },
        last: { $first: "$ts" },
        code: { $first: "$facts.code" },
      },
    },
    { $sort: { times: -1, _id: 1 } },
    { $limit: limit },
    { $set: { kind: "$_id.kind", address: "$_id.address" } },
  ], { hint: { _id: 1 } }).toArray(),
  ["kind", "address", "times", "entries", "last", "code"],
);

print("\nNewest");
const newest = books.audit_access.find(wanted).hint({ _id: 1 }).sort({ _id: -1 }).limit(limit).toArray();
show(newest, ["ts", "kind", "address", "actor_name", "subject", "facts.times", "facts.code", "request_id"]);

print("\nOpen sessions");
const sessions = books.refresh_tokens.aggregate([
  { $match: { ended_at: null } },
  { $sort: { ended_at: 1 } },
  { $limit: read },
  { $match: { kept_until: { $gt: at }, expires_at: { $gt: at } } },
  {
    $group: {
      _id: "$username",
      sessions: { $sum: 1 },
      last: { $max: "$refreshed_at" },
      addresses: { $addToSet: "$address" },
    },
  },
  { $sort: { sessions: -1, _id: 1 } },
  { $limit: limit },
], { hint: "ended_at" }).toArray();
show(
  sessions.map((one) => ({ ...one, user: one._id, addresses: one.addresses.slice(0, 5).join(", ") })),
  ["user", "sessions", "last", "addresses"],
);
