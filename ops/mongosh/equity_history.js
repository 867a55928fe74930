// What accounts were worth, from the samples of each minute: newest first, with the change from the sample before.
//
//     [TRADER=demo | ACCOUNT=id] [HOURS=24] [LIMIT=60] mongosh "$URI" ops/mongosh/equity_history.js

load(`${__dirname}/shared.js`);

const owners = accountNames();
const since = minutesAgo(Number(process.env.HOURS || 24) * 60);
const limit = Number(process.env.LIMIT || 60);

// Account by account, as the index has them.
for (const account of chosenAccounts() || books.accounts.distinct("_id")) {
  const samples = books.account_history.aggregate([
    { $match: { account, ts: { $gte: since } } },
    { $sort: { ts: -1 } },
    { $limit: limit },
    { $setWindowFields: { sortBy: { ts: 1 }, output: { before: { $shift: { output: "$equity", by: -1 } } } } },
    { $addFields: { change: { $subtract: ["$equity", "$before"] } } },
    { $sort: { ts: -1 } },
  ]).toArray();
  if (samples.length === 0) continue;
  print(`${owners(text(account))}  ${text(account)}`);
  show(samples, ["ts", "equity", "change", "cash", "long_value", "short_value", "unrealized_pnl", "day_pnl"]);
  print("");
}
