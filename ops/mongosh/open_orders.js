// Every order that can still trade or be released, oldest first with its age; then how many there are of each age.
//
//     [SYMBOL=IBM] [TRADER=demo | ACCOUNT=id] [LIMIT=100] mongosh "$URI" ops/mongosh/open_orders.js

load(`${__dirname}/shared.js`);

const accounts = chosenAccounts();
const wanted = { status: { $in: OPEN } };
if (process.env.SYMBOL) wanted.symbol = process.env.SYMBOL;
if (accounts) wanted.account = { $in: accounts };

const at = now();
const orders = books.orders.find(wanted).hint("open_orders").sort({ _id: 1 }).limit(most(100)).toArray();
show(orders.map((order) => ({ ...order, age: age(order.created_at, at) })), [
  "age", "_id", "account", "symbol", "side", "order_type", "quantity", "price", "stop_price", "time_in_force",
  "status", "filled_quantity", "reserved", "created_at",
]);

print("\nBy age");
const minutes = (some) => new Date(at - some * 60_000);
const bands = [["under a minute", 1], ["under an hour", 60], ["under a day", 1_440], ["under a week", 10_080]];
const branches = bands.map(([name, some]) => ({ case: { $gt: ["$created_at", minutes(some)] }, then: name }));
show(
  books.orders.aggregate([
    { $match: wanted },
    {
      $group: {
        _id: { age: { $switch: { branches, default: "a week and more" } }, status: "$status" },
        orders: { $sum: 1 },
        reserved: { $sum: "$reserved" },
        oldest: { $min: "$created_at" },
      },
    },
    { $sort: { oldest: 1 } },
    { $set: { age: "$_id.age", status: "$_id.status" } },
  ], { hint: "open_orders" }).toArray(),
  ["age", "status", "orders", "reserved", "oldest"],
);
