// Every order that can still trade or be released, oldest first.
//
//     [SYMBOL=IBM] [TRADER=demo | ACCOUNT=id] mongosh "$URI" ops/mongosh/open_orders.js

load(`${__dirname}/shared.js`);

const accounts = chosenAccounts();
const wanted = { status: { $in: ["HELD", "PARTIAL", "PENDING"] } };
if (process.env.SYMBOL) wanted.symbol = process.env.SYMBOL;
if (accounts) wanted.account = { $in: accounts };

show(books.orders.find(wanted).sort({ _id: 1 }).toArray(), [
  "_id", "account", "symbol", "side", "order_type", "quantity", "price", "stop_price", "time_in_force",
  "status", "filled_quantity", "reserved", "created_at",
]);
