// A trial balance from the double entry in every execution: the last column, and each line's sum, must be zero.
//
//     [TRADER=demo | ACCOUNT=id] mongosh "$URI" ops/mongosh/trial_balance.js
//
// `deposited` and what was posted to cash give the account's cash; `difference` says by how much they do not. Reads
// every execution since the account was last reset: beside a busy server rather ask for one account.

load(`${__dirname}/shared.js`);

const accounts = chosenAccounts() || books.accounts.distinct("_id");
const resets = books.accounts.find({ _id: { $in: accounts }, reset_mark: { $exists: true } }).toArray();
const before = resets.map((one) => ({ account: one._id, _id: { $lt: one.reset_mark } }));
const sinceReset = before.length === 0 ? {} : { $nor: before };
const posted = ["cash", "position", "realized_pnl", "commission"];
const sums = Object.fromEntries(posted.map((name) => [name, { $sum: `$postings.${name}` }]));
const balances = books.executions.aggregate([
  { $match: { account: { $in: accounts }, postings: { $exists: true }, ...sinceReset } },
  { $group: { _id: "$account", executions: { $sum: 1 }, ...sums } },
  { $addFields: { sum: { $add: posted.map((name) => `$${name}`) } } },
  {
    $lookup: { from: "accounts", localField: "_id", foreignField: "_id", as: "account" },
  },
  { $unwind: "$account" },
  {
    $addFields: {
      deposited: "$account.deposited",
      difference: { $subtract: ["$account.cash", { $add: ["$account.deposited", "$cash"] }] },
    },
  },
  { $sort: { _id: 1 } },
]).toArray();
show(balances, ["_id", "executions", "deposited", ...posted, "sum", "difference"]);

const off = balances.filter((one) => Number(text(one.sum)) !== 0 || Number(text(one.difference)) !== 0);
print(off.length === 0 ? "\nAll of them balance" : `\n${off.length} do NOT balance: run qsuite check`);
