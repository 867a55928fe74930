// Jobs that have not ended, in the order they go; how many of each kind wait and run, and for how long; what failed.
//
//     [KIND=backtest] [HOURS=24] [LIMIT=100] [READ=10000] mongosh "$URI" ops/mongosh/jobs.js
//
// A running job that was not renewed for some seconds has lost whoever worked on it; it begins anew once, by itself.

load(`${__dirname}/shared.js`);

const at = now();
const ofKind = process.env.KIND ? { kind: process.env.KIND } : {};
const limit = most(100);
const shown = { parameters: 0, result: 0 };
const unfinished = ["running", "queued"].flatMap((state) =>
  books.jobs.find({ state, ...ofKind }, shown).hint("next").sort({ priority: -1, _id: 1 }).limit(limit).toArray(),
);
const window = recent(books.jobs, hoursAgo(hours(24)), readAtMost(10_000));
const failed = books.jobs.find({ ...window, state: "failed", ...ofKind }, shown)
  .hint({ _id: 1 }).sort({ _id: -1 }).limit(Math.min(limit, 20)).toArray();

const names = userNames([...unfinished, ...failed].map((job) => job.owner));
const told = (job) => ({
  ...job, owner: names(job.owner), waits: age(job.created_at, at), renewed: age(job.renewed_at, at),
});

show(unfinished.map(told), [
  "_id", "kind", "owner", "state", "priority", "progress", "attempts", "cancel_asked", "worker", "waits", "renewed",
]);

print("\nNot ended, by kind");
show(
  books.jobs.aggregate([
    { $match: { state: { $in: ["running", "queued"] }, ...ofKind } },
    { $group: { _id: { kind: "$kind", state: "$state" }, jobs: { $sum: 1 }, oldest: { $min: "$created_at" } } },
    { $sort: { _id: 1 } },
    { $set: { kind: "$_id.kind", state: "$_id.state" } },
  ], { hint: "next" }).toArray().map((one) => ({ ...one, waits: age(one.oldest, at) })),
  ["kind", "state", "jobs", "oldest", "waits"],
);

print("\nEnded, by kind");
show(
  books.jobs.aggregate([
    { $match: { ...window, state: { $in: ["done", "failed", "cancelled"] }, ...ofKind } },
    {
      $group: {
        _id: { kind: "$kind", state: "$state" },
        jobs: { $sum: 1 },
        longest_ms: { $max: { $subtract: ["$finished_at", "$started_at"] } },
      },
    },
    { $sort: { _id: 1 } },
    { $set: { kind: "$_id.kind", state: "$_id.state" } },
  ], { hint: { _id: 1 } }).toArray(),
  ["kind", "state", "jobs", "longest_ms"],
);

print("\nFailed");
show(failed.map(told), [
  "_id", "kind", "owner", "attempts", "error.code", "error.detail", "started_at", "finished_at",
]);
