// The newest ticks of a symbol, newest first. `ts_ns` is exact; `ts` is cut to the millisecond.
//
//     SYMBOL=IBM [KIND=trade|quote] [LIMIT=20] mongosh "$URI" ops/mongosh/last_ticks.js

load(`${__dirname}/shared.js`);

const symbol = required("SYMBOL", "IBM");
const wanted = { symbol };
if (process.env.KIND) wanted.kind = process.env.KIND;

show(books.ticks.find(wanted).sort({ ts: -1 }).limit(Number(process.env.LIMIT || 20)).toArray(), [
  "ts", "ts_ns", "seq", "kind", "price", "size", "bid", "bid_size", "ask", "ask_size",
]);
