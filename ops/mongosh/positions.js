// What an account holds, and its money. Market values are the API's: they change with every tick and are not stored.
//
//     [TRADER=demo | ACCOUNT=id] mongosh "$URI" ops/mongosh/positions.js

load(`${__dirname}/shared.js`);

const accounts = chosenAccounts();
show(books.accounts.find(accounts ? { _id: { $in: accounts } } : {}).sort({ _id: 1 }).toArray(), [
  "_id", "name", "currency", "cash", "reserved", "realized_pnl", "commission", "is_active", "updated_at",
]);
print("");
show(books.positions.find(accounts ? { account: { $in: accounts } } : {}).sort({ account: 1, symbol: 1 }).toArray(), [
  "account", "symbol", "quantity", "avg_cost", "cost", "realized_pnl", "updated_at",
]);
