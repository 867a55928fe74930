// What was filled since midnight UTC, newest first, and what it adds up to by symbol and side.
//
//     [SYMBOL=IBM] [TRADER=demo | ACCOUNT=id] [LIMIT=50] mongosh "$URI" ops/mongosh/executions_today.js

load(`${__dirname}/shared.js`);

const midnight = new Date();
midnight.setUTCHours(0, 0, 0, 0);
const accounts = chosenAccounts();
const wanted = { execution_time: { $gte: midnight } };
if (process.env.SYMBOL) wanted.symbol = process.env.SYMBOL;
// Named even when all are wanted: the index begins with the account.
wanted.account = { $in: accounts || books.accounts.distinct("_id") };

const limit = Number(process.env.LIMIT || 50);
show(books.executions.find(wanted).sort({ execution_time: -1, _id: -1 }).limit(limit).toArray(), [
  "execution_time", "account", "symbol", "side", "quantity", "price", "commission", "order",
]);

const value = { $multiply: ["$quantity", "$price"] };
print("\nIn all");
show(
  books.executions.aggregate([
    { $match: wanted },
    {
      $group: {
        _id: { symbol: "$symbol", side: "$side" },
        fills: { $sum: 1 },
        quantity: { $sum: "$quantity" },
        value: { $sum: value },
        commission: { $sum: "$commission" },
      },
    },
    { $sort: { _id: 1 } },
    { $set: { symbol: "$_id.symbol", side: "$_id.side" } },
  ]).toArray(),
  ["symbol", "side", "fills", "quantity", "value", "commission"],
);
