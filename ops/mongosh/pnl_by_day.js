// Profit and loss of each day, newest first: from the daily statements, and of today from the last minute's sample.
//
//     [TRADER=demo | ACCOUNT=id] [DAYS=14] mongosh "$URI" ops/mongosh/pnl_by_day.js
//
// `pnl` is the change of equity without what was paid in, paid out or reset. Without TRADER and ACCOUNT the accounts'
// figures are added up, of the first thousand. A day without a statement did not reconcile, or is not over.

load(`${__dirname}/shared.js`);

const days = count("DAYS", 14, 366);
const accounts = accountsAtMost(1_000);
const today = Math.floor(now() / 86_400_000);
const movements = { $add: ["$movements.deposit", "$movements.withdrawal", "$movements.reset"] };
const figures = ["realized_pnl", "unrealized_change", "commission"];
show(
  books.statements.aggregate([
    { $match: { account: { $in: accounts }, day: { $gte: today - days } } },
    {
      $group: {
        _id: "$date",
        accounts: { $sum: 1 },
        executions: { $sum: "$executions" },
        ...Object.fromEntries(figures.map((name) => [name, { $sum: `$${name}` }])),
        moved: { $sum: movements },
        pnl: { $sum: { $subtract: [{ $subtract: ["$closing_equity", "$opening_equity"] }, movements] } },
        equity: { $sum: "$closing_equity" },
      },
    },
    { $sort: { _id: -1 } },
    { $set: { day: "$_id" } },
  ], { hint: "of_an_account" }).toArray(),
  ["day", "accounts", "executions", "pnl", ...figures, "moved", "equity"],
);

print("\nToday, so far");
const midnight = new Date(today * 86_400_000);
const samples = accounts.flatMap((account) =>
  books.account_history.find({ account, ts: { $gte: midnight } }).sort({ ts: -1 }).limit(1).toArray(),
);
const owners = accountNames(samples.map((sample) => sample.account));
const newest = samples.map((sample) => ({ ...sample, name: owners(sample.account) }))
  .sort((one, other) => Number(text(other.day_pnl)) - Number(text(one.day_pnl)));
show(newest.slice(0, most(50)), ["name", "account", "day_pnl", "unrealized_pnl", "equity", "ts"]);
