// The newest ticks of a symbol, newest first. `ts_ns` is exact; `ts` is cut to the millisecond.
//
//     SYMBOL=IBM [KIND=trade|quote] [LIMIT=20] [READ=10000] mongosh "$URI" ops/mongosh/last_ticks.js
//
// Ticks older than some minutes are in blocks, which only QSuite opens: what is known of the newest of them comes last.

load(`${__dirname}/shared.js`);

const symbol = required("SYMBOL", "IBM");
const kind = choice("KIND", ["trade", "quote"]);
const limit = most(20);

const newest = books.ticks.aggregate([
  { $match: { symbol } },
  { $sort: { ts: -1 } },
  { $limit: kind ? readAtMost(10_000) : limit },
  ...(kind ? [{ $match: { kind } }, { $limit: limit }] : []),
], { hint: "newest" });
show(newest.toArray(), ["ts", "ts_ns", "seq", "kind", "price", "size", "bid", "bid_size", "ask", "ask_size"]);

print("\nBlocks");
const blocks = books.tick_blocks.find({ symbol }, { data: 0 }).sort({ last_ns: -1 }).hint("spans");
show(blocks.limit(Math.min(limit, 20)).toArray(), ["first", "last", "count", "trades", "quotes", "in_series"]);
