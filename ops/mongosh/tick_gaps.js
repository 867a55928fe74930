// Where a symbol's ticks pause, longest first, and how long ago each symbol's last tick was.
//
//     SYMBOL=IBM [HOURS=1] [SECONDS=60] [LIMIT=20] [READ=50000] mongosh "$URI" ops/mongosh/tick_gaps.js
//     [LIMIT=50] mongosh "$URI" ops/mongosh/tick_gaps.js
//
// A pause is at least SECONDS long. It tells of silence, not of loss: a market that is closed pauses too, and what a
// source numbered and lost is in the metric qsuite_feed_lost. Ticks of the past are in blocks, of which only the ends
// are known here: a pause within a block is not seen.

load(`${__dirname}/shared.js`);

const at = now();
if (process.env.SYMBOL) pausesOf(process.env.SYMBOL);
else silences();

function pausesOf(symbol) {
  const since = hoursAgo(hours(1));
  const [seconds, limit, read] = [amount("SECONDS", 60, 1e7), most(20), readAtMost(50_000)];
  const stored = books.ticks.aggregate([
    { $match: { symbol, ts: { $gte: since } } },
    { $sort: { ts: -1 } },
    { $limit: read },
    { $setWindowFields: { sortBy: { ts: 1 }, output: { before: { $shift: { output: "$ts", by: -1 } } } } },
    { $match: { $expr: { $gte: [{ $subtract: ["$ts", "$before"] }, seconds * 1000] }, before: { $ne: null } } },
    { $project: { _id: 0, from: "$before", to: "$ts" } },
    { $limit: 1_000 },
  ], { hint: "newest" }).toArray();
  const newest = books.ticks.find({ symbol }, { ts: 1 }).hint("newest").sort({ ts: -1 }).limit(1).toArray()[0];
  // Blocks may overlap, and what is in the series may lie between two: only what neither covers is a pause.
  const spans = books.tick_blocks.find({ symbol, last_ns: { $gte: nanoseconds(since) } }, { data: 0 })
    .hint("spans").sort({ last_ns: -1 }).limit(Math.min(read, 1_000)).toArray();
  const uncovered = stored.filter((gap) => !spans.some((span) => span.first < gap.to && span.last > gap.from));
  if (newest) uncovered.push({ from: newest.ts, to: at, now: true });
  const pauses = uncovered.filter((gap) => gap.to - gap.from >= seconds * 1000);
  const longest = pauses.map((gap) => ({ ...gap, pause: duration((gap.to - gap.from) / 1000) }))
    .sort((one, other) => (other.to - other.from) - (one.to - one.from));
  print(`${symbol} since ${text(since)}, the newest ${read} ticks at most`);
  show(longest.slice(0, limit).map((gap) => ({ ...gap, to: gap.now ? "now" : gap.to })), ["pause", "from", "to"]);
}

function silences() {
  const active = books.tickers.find({ is_active: true }, { symbol: 1 }).hint("unique_symbol").sort({ symbol: 1 });
  const last = active.limit(10_000).toArray().map(({ symbol }) => {
    const ticks = books.ticks.find({ symbol }).hint("newest").sort({ ts: -1 }).limit(1).toArray();
    const spans = books.tick_blocks.find({ symbol }, { last: 1 }).hint("spans").sort({ last_ns: -1 });
    const blocks = spans.limit(1).toArray();
    const times = [...ticks.map((tick) => tick.ts), ...blocks.map((block) => block.last)];
    return { symbol, last: times.length ? new Date(Math.max(...times)) : null };
  });
  const silent = last.sort((one, other) => (one.last || 0) - (other.last || 0)).slice(0, most(50));
  show(
    silent.map((one) => ({ ...one, silent: one.last ? age(one.last, at) : "never had one" })),
    ["symbol", "last", "silent"],
  );
}

function nanoseconds(instant) {
  return Long.fromString(`${instant.getTime()}000000`);
}
