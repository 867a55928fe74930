// Who traded with whom in a book: each match with its maker, who rested, and its taker, who came; newest first.
//
//     SYMBOL=IBM [HOURS=24] [LIMIT=50] [READ=100000] mongosh "$URI" ops/mongosh/book_trades.js

load(`${__dirname}/shared.js`);

const wanted = { symbol: required("SYMBOL", "IBM"), "basis.rule": "book", "basis.liquidity": "taker" };
const window = recent(books.executions, hoursAgo(hours(24)), readAtMost(100_000));
const found = books.executions.find({ ...window, ...wanted }).hint({ _id: 1 }).sort({ _id: -1 });
const takes = found.limit(most(50)).toArray();

const makers = new Map(
  books.orders.find({ _id: { $in: takes.map((one) => UUID(one.basis.maker)) } }).toArray()
    .map((order) => [text(order._id), order]),
);
const makerOf = (one) => (makers.get(one.basis.maker) || {}).account;
const owners = accountNames([...takes.map((one) => one.account), ...takes.map(makerOf)]);
show(
  takes.map((one) => ({
    ...one,
    taker: owners(one.account),
    maker: owners(makerOf(one)),
    taker_order: one.order,
    maker_order: one.basis.maker,
  })),
  ["execution_time", "quantity", "price", "side", "taker", "maker", "taker_order", "maker_order"],
);
