// A trial balance from the double entry in every execution: the last column, and each line's sum, must be zero.
//
//     [TRADER=demo | ACCOUNT=id] [READ=100000] mongosh "$URI" ops/mongosh/trial_balance.js
//
// `deposited` and what was posted to cash give the account's cash; `difference` says by how much they do not. Of each
// account every execution since its last reset is needed: READ is how many are read in all, and accounts that this does
// not reach are named. Who trades meanwhile may differ by a fill; `qsuite check` reads everything, from one snapshot.

load(`${__dirname}/shared.js`);

const posted = ["cash", "position", "realized_pnl", "commission"];
const sums = Object.fromEntries(posted.map((name) => [name, { $sum: `$postings.${name}` }]));
const accounts = accountsAtMost(1_000);
const balances = [];
const unread = [];
let left = readAtMost(100_000);

for (const id of accounts) {
  const before = books.accounts.findOne({ _id: id });
  // By time as well as by id: so the index leaves out what was before the reset.
  const ledger = before.reset_mark
    ? { account: id, execution_time: { $gte: new Date(before.reset_at - 60_000) }, _id: { $gt: before.reset_mark } }
    : { account: id };
  const sum = books.executions.aggregate([
    { $match: ledger },
    { $sort: { account: 1, execution_time: -1, _id: -1 } },
    { $limit: left + 1 },
    { $group: { _id: null, executions: { $sum: 1 }, ...sums } },
    { $set: { sum: { $add: posted.map((name) => `$${name}`) }, account: id } },
    { $set: { deposited: before.deposited } },
    { $set: { difference: { $subtract: [before.cash, { $add: [before.deposited, "$cash"] }] } } },
  ], { hint: "of_an_account" }).toArray()[0];
  if (sum === undefined) continue;
  if (sum.executions > left) unread.push(id);
  else balances.push(sum);
  left = Math.max(0, left - sum.executions);
}
show(balances, ["account", "executions", "deposited", ...posted, "sum", "difference"]);

const off = balances.filter((one) => Number(text(one.sum)) !== 0 || Number(text(one.difference)) !== 0);
print(off.length === 0 ? "\nAll of them balance" : `\n${off.length} do NOT balance: run qsuite check`);
if (unread.length > 0) print(`${unread.length} accounts were NOT summed, ${text(unread[0])} first: raise READ`);
