// Jobs that have not ended, in the order they go, then the newest that failed and why.
//
//     [KIND=backtest] mongosh "$URI" ops/mongosh/jobs.js

load(`${__dirname}/shared.js`);

const wanted = process.env.KIND ? { kind: process.env.KIND } : {};
const names = userNames();
const read = (query, order, most) =>
  books.jobs.find({ ...wanted, ...query }, { parameters: 0, result: 0 }).sort(order).limit(most).toArray()
    .map((job) => ({ ...job, owner: names(text(job.owner)) }));

show(read({ state: { $in: ["running", "queued"] } }, { state: -1, priority: -1, _id: 1 }, 1000), [
  "_id", "kind", "owner", "state", "priority", "progress", "attempts", "cancel_asked", "worker", "renewed_at",
]);
show(read({ state: "failed" }, { created_at: -1, _id: -1 }, 20), [
  "_id", "kind", "owner", "attempts", "error.code", "error.detail", "started_at", "finished_at",
]);
