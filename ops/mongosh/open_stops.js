// Stops that wait for their price, and brackets with the legs that protect them, oldest first.
//
//     [SYMBOL=IBM] [TRADER=demo | ACCOUNT=id] mongosh "$URI" ops/mongosh/open_stops.js

load(`${__dirname}/shared.js`);

const accounts = chosenAccounts();
const open = { status: { $in: ["HELD", "PARTIAL", "PENDING"] } };
if (process.env.SYMBOL) open.symbol = process.env.SYMBOL;
if (accounts) open.account = { $in: accounts };

print("Stops");
const waiting = { ...open, order_type: /STOP/, triggered: { $ne: true } };
show(books.orders.find(waiting).sort({ _id: 1 }).toArray(), [
  "_id", "account", "symbol", "side", "order_type", "quantity", "stop_price", "price", "trail_percent", "trail_price",
  "status", "parent",
]);

// A leg may be open long after its parent was filled, and then its parent is no open order.
const legs = books.orders.find({ ...open, parent: { $exists: true } }).sort({ _id: 1 }).toArray();
const entries = { ...open, $or: [{ take_profit: { $exists: true } }, { stop_loss: { $exists: true } }] };
const parents = books.orders.find({ $or: [{ _id: { $in: legs.map((leg) => leg.parent) } }, entries] }).sort({ _id: 1 });
print("\nBrackets");
show(
  parents.toArray().map((parent) => ({
    ...parent,
    legs: legs.filter((leg) => text(leg.parent) === text(parent._id))
      .map((leg) => `${leg.order_type} ${text(leg.quantity)} at ${text(leg.stop_price || leg.price)} ${leg.status}`)
      .join(", "),
  })),
  ["_id", "account", "symbol", "side", "quantity", "filled_quantity", "status", "legs"],
);
