// Who has the engine, until when, how far it has come, and whether the audit log ends where it says.
//
//     mongosh "$URI" ops/mongosh/engine_state.js

load(`${__dirname}/shared.js`);

const engine = books.engine_state.findOne({ _id: "engine" });
if (engine === null) {
  print("No engine has run on this database yet");
} else {
  const at = now();
  const left = (engine.lease_until - at) / 1000;
  const last = newestEntry(books.audit_log);
  print(`owner        process ${engine.owner.pid} on ${engine.owner.host}`);
  const lease = left > 0 ? `${left.toFixed(1)} s left` : "run out: nobody has it";
  print(`lease        ${text(engine.lease_until)} (${lease})`);
  print(`last sign    ${text(engine.signed)}, ${((at - engine.signed) / 1000).toFixed(1)} s ago`);
  print(`epoch        ${text(engine.epoch)}`);
  print(`batch        ${text(engine.batch)}`);
  // A batch may have been committed between the two reads.
  const ends = last !== null && (last.hash === engine.audit_hash || Number(last._id) > Number(engine.audit_seq));
  print(`audit log    ${text(engine.audit_seq)}, ${ends || Number(engine.audit_seq) === 0 ? "as written" : "DIFFERS"}`);
  print(`open orders  ${books.orders.countDocuments({ status: { $in: OPEN } }, { hint: "open_orders" })}`);
}
