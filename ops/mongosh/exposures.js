// The largest exposures: accounts by what they hold, long and short together; their positions; and these by symbol.
//
//     [TRADER=demo | ACCOUNT=id] [LIMIT=20] mongosh "$URI" ops/mongosh/exposures.js
//
// Accounts are ranked by their sample of the last minute, which is QSuite's own valuation. Positions are valued here,
// at the newest trade, the middle of the newest quote, or the last bar's close; where there is none, at cost.

load(`${__dirname}/shared.js`);

const limit = most(20);
const chosen = chosenAccounts();
const ranked = books.accounts.aggregate([
  ...(chosen ? [{ $match: { _id: { $in: chosen } } }] : []),
  {
    $lookup: {
      from: "account_history", localField: "_id", foreignField: "account", as: "sample",
      pipeline: [{ $sort: { ts: -1 } }, { $limit: 1 }],
    },
  },
  { $unwind: "$sample" },
  {
    $set: {
      gross: { $add: ["$sample.long_value", "$sample.short_value"] },
      net: { $subtract: ["$sample.long_value", "$sample.short_value"] },
    },
  },
  { $sort: { gross: -1, _id: 1 } },
  { $limit: limit },
]).toArray();
show(
  ranked.map((one) => ({
    ...one,
    account: one._id,
    leverage: (Number(text(one.gross)) / Number(text(one.sample.equity))).toFixed(2),
  })),
  ["account", "name", "gross", "net", "sample.equity", "leverage", "sample.ts"],
);

const held = books.positions.find({ account: { $in: ranked.map((one) => one._id) } }).hint("one_per_symbol").toArray()
  .filter((one) => Number(text(one.quantity)) !== 0);
const prices = new Map();
for (const symbol of new Set(held.map((one) => one.symbol))) prices.set(symbol, priceOf(symbol));
const owners = accountNames(held.map((one) => one.account));
const valued = held.map((one) => {
  const [price, source] = prices.get(one.symbol);
  const value = price === null ? Number(text(one.cost)) : Number(text(one.quantity)) * price;
  return { ...one, owner: owners(one.account), price, source, value };
}).sort((one, other) => Math.abs(other.value) - Math.abs(one.value));

print("\nPositions");
show(
  valued.slice(0, limit).map((one) => ({ ...one, value: one.value.toFixed(2) })),
  ["owner", "symbol", "quantity", "price", "source", "value", "account"],
);

print("\nBy symbol, of these accounts");
const symbols = new Map();
for (const one of valued) {
  const sum = symbols.get(one.symbol) || { symbol: one.symbol, accounts: 0, net: 0, gross: 0 };
  sum.accounts += 1;
  sum.net += one.value;
  sum.gross += Math.abs(one.value);
  symbols.set(one.symbol, sum);
}
const largest = [...symbols.values()].sort((one, other) => other.gross - one.gross).slice(0, limit);
show(
  largest.map((one) => ({ ...one, net: one.net.toFixed(2), gross: one.gross.toFixed(2) })),
  ["symbol", "accounts", "net", "gross"],
);

// A price for a person to look at, in binary floating point, and where it is from.
function priceOf(symbol) {
  // The newest may be a quote with one side only.
  for (const tick of books.ticks.find({ symbol }).hint("newest").sort({ ts: -1 }).limit(20).toArray()) {
    if (tick.kind === "trade") return [Number(text(tick.price)), "trade"];
    if (tick.bid && tick.ask) return [(Number(text(tick.bid)) + Number(text(tick.ask))) / 2, "quote"];
  }
  const bar = books.market_data.find({ symbol }).hint("newest_of_symbol").sort({ timestamp: -1 }).limit(1).toArray()[0];
  return bar ? [Number(text(bar.close)), `bar ${bar.interval}`] : [null, "cost"];
}
