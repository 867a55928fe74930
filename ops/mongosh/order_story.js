// One order from its placing to its end: what is stored of it, each fill, and each step the audit log has.
//
//     ORDER=id [LIMIT=100] mongosh "$URI" ops/mongosh/order_story.js          the id, or the client_order_id
//
// A client_order_id is one account's own: the first ten thousand accounts are asked for it.

load(`${__dirname}/shared.js`);

const given = required("ORDER", "0199d1a0-0000-7000-8000-000000000000");
const limit = most(100);
const id = idOrNull(given);
const orders = id ? books.orders.find({ _id: id }).toArray() : ofAClient(given);
if (orders.length === 0) print(`There is no order ${given}`);

for (const order of orders) {
  for (const [name, value] of Object.entries(order)) print(`${name.padEnd(16)} ${text(value)}`);
  print("\nExecutions");
  show(books.executions.find({ order: order._id }).sort({ _id: 1 }).limit(limit).toArray(), [
    "_id", "execution_time", "quantity", "price", "commission", "basis",
  ]);
  print("\nAudit log");
  show(books.audit_log.find({ subject: text(order._id) }).sort({ _id: 1 }).limit(limit).toArray(), [
    "_id", "ts", "kind", "actor", "facts.status", "facts.version", "facts",
  ]);
  print("");
}

function ofAClient(name) {
  const accounts = accountsAtMost(10_000);
  return books.orders.find({ account: { $in: accounts }, client_order_id: name }).hint("one_order_per_client_id")
    .limit(limit).toArray();
}
