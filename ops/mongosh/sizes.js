// How large each collection is, largest first, from what the database keeps: nothing is counted. Then the disk.
//
//     [LIMIT=50] mongosh "$URI" ops/mongosh/sizes.js

load(`${__dirname}/shared.js`);

const mebibytes = (bytes) => (Number(bytes || 0) / 1_048_576).toFixed(1);
const found = collectionNames().map((name) => {
  const stats = books.getCollection(name).aggregate([{ $collStats: { storageStats: {} } }]).toArray()[0].storageStats;
  return { collection: name, ...stats, all: Number(stats.storageSize) + Number(stats.totalIndexSize) };
});
found.sort((one, other) => other.all - one.all);
show(
  found.slice(0, most(50)).map((one) => ({
    collection: one.collection,
    documents: one.timeseries ? `${text(one.timeseries.bucketCount)} buckets` : one.count,
    bytes_each: one.avgObjSize,
    data_mib: mebibytes(one.size),
    stored_mib: mebibytes(one.storageSize),
    reusable_mib: mebibytes(one.freeStorageSize),
    indexes_mib: mebibytes(one.totalIndexSize),
  })),
  ["collection", "documents", "bytes_each", "data_mib", "stored_mib", "reusable_mib", "indexes_mib"],
);

const disk = books.runCommand({ dbStats: 1 });
print(`\ndisk  ${mebibytes(disk.fsTotalSize - disk.fsUsedSize)} MiB free of ${mebibytes(disk.fsTotalSize)}`);
