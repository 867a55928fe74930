// What accounts hold, and their money. Market values are the API's: they change with every tick and are not stored.
//
//     [TRADER=demo | ACCOUNT=id] [LIMIT=200] mongosh "$URI" ops/mongosh/positions.js

load(`${__dirname}/shared.js`);

const limit = most(200);
const accounts = accountsAtMost(limit);
show(books.accounts.find({ _id: { $in: accounts } }).sort({ _id: 1 }).limit(limit).toArray(), [
  "_id", "name", "currency", "cash", "reserved", "realized_pnl", "commission", "is_active", "updated_at",
]);
print("");
const held = books.positions.find({ account: { $in: accounts } }).sort({ account: 1, symbol: 1 });
show(held.limit(limit).toArray(), ["account", "symbol", "quantity", "avg_cost", "cost", "realized_pnl", "updated_at"]);
