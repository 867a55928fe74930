// How often each index was used since mongod started, with its size: rarely used ones first.
//
//     [COLLECTION=orders] [LIMIT=200] mongosh "$URI" ops/mongosh/index_use.js
//
// Each member counts for itself: one that nobody uses here may serve reads from a secondary. A unique index, and one
// that removes what is over, works without being counted.

load(`${__dirname}/shared.js`);

const limit = most(200);
const names = collectionNames();
const asked = process.env.COLLECTION;
if (asked && !names.includes(asked)) fail(`There is no collection ${asked}`);

const indexes = (asked ? [asked] : names).flatMap((name) => {
  const sizes = sizesOf(name);
  return books.getCollection(name).aggregate([{ $indexStats: {} }]).toArray().map((index) => ({
    collection: name,
    index: index.name,
    uses: Number(index.accesses.ops),
    since: index.accesses.since,
    kind: index.spec.unique ? "unique" : index.spec.expireAfterSeconds === undefined ? "" : "removes",
    mib: sizes[index.name] === undefined ? "" : (sizes[index.name] / 1_048_576).toFixed(1),
  }));
});
indexes.sort((one, other) => one.uses - other.uses || (one.collection < other.collection ? -1 : 1));
show(indexes.slice(0, limit), ["collection", "index", "uses", "kind", "mib", "since"]);

function sizesOf(name) {
  const storage = books.getCollection(name).aggregate([{ $collStats: { storageStats: {} } }]).toArray()[0];
  return storage.storageStats.indexSizes || {};
}
