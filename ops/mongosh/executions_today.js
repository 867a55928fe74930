// What was filled since midnight UTC, newest first, and what it adds up to by symbol and side.
//
//     [SYMBOL=IBM] [TRADER=demo | ACCOUNT=id] [LIMIT=50] [READ=100000] mongosh "$URI" ops/mongosh/executions_today.js

load(`${__dirname}/shared.js`);

const midnight = now();
midnight.setUTCHours(0, 0, 0, 0);
const accounts = chosenAccounts();
const limit = most(50);
const wanted = { ...recent(books.executions, midnight, readAtMost(100_000)), execution_time: { $gte: midnight } };
if (process.env.SYMBOL) wanted.symbol = process.env.SYMBOL;
if (accounts) wanted.account = { $in: accounts };

show(books.executions.find(wanted).hint({ _id: 1 }).sort({ _id: -1 }).limit(limit).toArray(), [
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
  ], { hint: { _id: 1 } }).toArray(),
  ["symbol", "side", "fills", "quantity", "value", "commission"],
);
