// Stops that wait for their price, and brackets with the legs that protect them, oldest first.
//
//     [SYMBOL=IBM] [TRADER=demo | ACCOUNT=id] [LIMIT=100] mongosh "$URI" ops/mongosh/open_stops.js

load(`${__dirname}/shared.js`);

const accounts = chosenAccounts();
const limit = most(100);
const open = { status: { $in: OPEN } };
if (process.env.SYMBOL) open.symbol = process.env.SYMBOL;
if (accounts) open.account = { $in: accounts };
const oldest = (query) => books.orders.find(query).hint("open_orders").sort({ _id: 1 }).limit(limit).toArray();

print("Stops");
show(oldest({ ...open, order_type: /STOP/, triggered: { $ne: true } }), [
  "_id", "account", "symbol", "side", "order_type", "quantity", "stop_price", "price", "trail_percent", "trail_price",
  "status", "parent",
]);

// A leg may be open long after its parent was filled, and then its parent is no open order.
const legs = oldest({ ...open, parent: { $exists: true } });
const entries = oldest({ ...open, $or: [{ take_profit: { $exists: true } }, { stop_loss: { $exists: true } }] });
const wanted = [...legs.map((leg) => leg.parent), ...entries.map((entry) => entry._id)];
const parents = books.orders.find({ _id: { $in: wanted } }).sort({ _id: 1 }).toArray();
print("\nBrackets");
show(
  parents.map((parent) => ({
    ...parent,
    legs: legs.filter((leg) => text(leg.parent) === text(parent._id))
      .map((leg) => `${leg.order_type} ${text(leg.quantity)} at ${text(leg.stop_price || leg.price)} ${leg.status}`)
      .join(", "),
  })),
  ["_id", "account", "symbol", "side", "quantity", "filled_quantity", "status", "legs"],
);
