// Every strategy, whether it runs, and what its own orders have built up, whatever else its account holds.
//
//     [TRADER=demo | ACCOUNT=id] [LIMIT=100] mongosh "$URI" ops/mongosh/strategy_positions.js

load(`${__dirname}/shared.js`);

const accounts = chosenAccounts();
const limit = most(100);
const asked = accounts ? { account: { $in: accounts } } : {};
const strategies = books.strategies.find(asked).sort({ _id: 1 }).limit(limit).toArray();
const names = new Map(strategies.map((strategy) => [text(strategy._id), strategy.name]));
const mine = { strategy: { $in: strategies.map((strategy) => strategy._id) } };
show(strategies, ["_id", "name", "account", "algorithm", "interval", "is_active", "running", "risk_limit"]);

print("\nPositions");
show(
  books.strategy_positions.find(mine).sort({ strategy: 1, symbol: 1 }).limit(limit).toArray()
    .map((one) => ({ ...one, name: names.get(text(one.strategy)) })),
  ["name", "symbol", "quantity", "cost", "realized_pnl", "commission", "updated_at"],
);

print("\nLast twenty signals");
show(
  books.signals.find(mine).hint("of_a_strategy").sort({ created_at: -1, _id: -1 }).limit(20).toArray()
    .map((one) => ({ ...one, name: names.get(text(one.strategy)) })),
  ["created_at", "name", "symbol", "bar", "signal", "confidence", "status", "reason", "order"],
);
