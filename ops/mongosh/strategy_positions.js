// Every strategy, whether it runs, and what its own orders have built up, whatever else its account holds.
//
//     [TRADER=demo | ACCOUNT=id] mongosh "$URI" ops/mongosh/strategy_positions.js

load(`${__dirname}/shared.js`);

const accounts = chosenAccounts();
const strategies = books.strategies.find(accounts ? { account: { $in: accounts } } : {}).sort({ name: 1 }).toArray();
const names = new Map(strategies.map((strategy) => [text(strategy._id), strategy.name]));
show(strategies, ["_id", "name", "account", "algorithm", "interval", "is_active", "running", "risk_limit"]);

print("\nPositions");
const held = books.strategy_positions.find({ strategy: { $in: strategies.map((strategy) => strategy._id) } });
show(
  held.sort({ strategy: 1, symbol: 1 }).toArray().map((one) => ({ ...one, name: names.get(text(one.strategy)) })),
  ["name", "symbol", "quantity", "cost", "realized_pnl", "commission", "updated_at"],
);

print("\nLast twenty signals");
const signals = books.signals.find({ strategy: { $in: strategies.map((strategy) => strategy._id) } });
show(
  signals.sort({ created_at: -1, _id: -1 }).limit(20).toArray()
    .map((one) => ({ ...one, name: names.get(text(one.strategy)) })),
  ["created_at", "name", "symbol", "bar", "signal", "confidence", "status", "reason", "order"],
);
