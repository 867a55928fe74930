// What accounts were worth, from the samples of each minute: newest first, with the change from the sample before.
//
//     [TRADER=demo | ACCOUNT=id] [HOURS=24] [LIMIT=60] mongosh "$URI" ops/mongosh/equity_history.js
//
// LIMIT is of each account; without TRADER and ACCOUNT it shows twenty of them.

load(`${__dirname}/shared.js`);

const since = hoursAgo(hours(24));
const limit = most(60);
const accounts = accountsAtMost(20);
const owners = accountNames(accounts);

// Account by account, as the index has them.
for (const account of accounts) {
  const samples = books.account_history.aggregate([
    { $match: { account, ts: { $gte: since } } },
    { $sort: { ts: -1 } },
    { $limit: limit },
    { $setWindowFields: { sortBy: { ts: 1 }, output: { before: { $shift: { output: "$equity", by: -1 } } } } },
    { $addFields: { change: { $subtract: ["$equity", "$before"] } } },
    { $sort: { ts: -1 } },
  ]).toArray();
  if (samples.length === 0) continue;
  print(`${owners(account)}  ${text(account)}`);
  show(samples, ["ts", "equity", "change", "cash", "long_value", "short_value", "unrealized_pnl", "day_pnl"]);
  print("");
}
