// Who traded with whom in a book: each match with its maker, who rested, and its taker, who came; newest first.
//
//     SYMBOL=IBM [LIMIT=50] mongosh "$URI" ops/mongosh/book_trades.js

load(`${__dirname}/shared.js`);

const symbol = required("SYMBOL", "IBM");
// Named for the index, which begins with the account.
const wanted = { account: { $in: books.accounts.distinct("_id") }, symbol, "basis.rule": "book" };
const takes = books.executions.find({ ...wanted, "basis.liquidity": "taker" })
  .sort({ execution_time: -1, _id: -1 }).limit(Number(process.env.LIMIT || 50)).toArray();

const makers = new Map(
  books.orders.find({ _id: { $in: takes.map((one) => UUID(one.basis.maker)) } }).toArray()
    .map((order) => [text(order._id), order]),
);
const owners = accountNames();
show(
  takes.map((one) => ({
    ...one,
    taker: owners(text(one.account)),
    maker: owners(text((makers.get(one.basis.maker) || {}).account)),
    taker_order: one.order,
    maker_order: one.basis.maker,
  })),
  ["execution_time", "quantity", "price", "side", "taker", "maker", "taker_order", "maker_order"],
);
