// Orders that were refused, by reason: how many, of how many accounts, and the last of each; then the newest of them.
//
//     [HOURS=24] [CODE=risk.max_value] [SYMBOL=IBM] [TRADER=demo | ACCOUNT=id] [LIMIT=50] [READ=100000] \
//         mongosh "$URI" ops/mongosh/rejected_orders.js
//
// A stop that was refused when its price was reached is here too. What never became an order is not: a body that could
// not be read, or a login without the right to trade, is in logins.js.

load(`${__dirname}/shared.js`);

const accounts = chosenAccounts();
const limit = most(50);
const wanted = { ...recent(books.orders, hoursAgo(hours(24)), readAtMost(100_000)), status: "REJECTED" };
if (process.env.CODE) wanted["reject.code"] = process.env.CODE;
if (process.env.SYMBOL) wanted.symbol = process.env.SYMBOL;
if (accounts) wanted.account = { $in: accounts };

show(
  books.orders.aggregate([
    { $match: wanted },
    { $sort: { _id: -1 } },
    {
      $group: {
        _id: "$reject.code",
        orders: { $sum: 1 },
        accounts: { $addToSet: "$account" },
        last: { $first: "$created_at" },
        detail: { $first: "$reject.detail" },
      },
    },
    { $set: { code: "$_id", accounts: { $size: "$accounts" } } },
    { $sort: { orders: -1, _id: 1 } },
  ], { hint: { _id: 1 } }).toArray(),
  ["code", "orders", "accounts", "last", "detail"],
);

print("\nNewest");
show(books.orders.find(wanted).hint({ _id: 1 }).sort({ _id: -1 }).limit(limit).toArray(), [
  "created_at", "_id", "account", "symbol", "side", "order_type", "quantity", "price", "reject.code", "reject.limit",
  "reject.value",
]);
