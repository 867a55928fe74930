// Who has the engine, until when, how far it has come, and whether the audit log ends where it says.
//
//     mongosh "$URI" ops/mongosh/engine_state.js

load(`${__dirname}/shared.js`);

const engine = books.engine_state.findOne({ _id: "engine" });
if (engine === null) {
  print("No engine has run on this database yet");
} else {
  const left = (engine.lease_until - books.hello().localTime) / 1000;
  const last = books.audit_log.find().sort({ _id: -1 }).limit(1).toArray()[0];
  print(`owner        process ${engine.owner.pid} on ${engine.owner.host}`);
  print(`lease        ${text(engine.lease_until)} (${left > 0 ? `${left.toFixed(1)} s left` : "run out: nobody has it"})`);
  print(`epoch        ${text(engine.epoch)}`);
  print(`batch        ${text(engine.batch)}`);
  print(`audit log    ${text(engine.audit_seq)}, ${last && last.hash === engine.audit_hash ? "as written" : "DIFFERS"}`);
  print(`open orders  ${books.orders.countDocuments({ status: { $in: ["HELD", "PARTIAL", "PENDING"] } })}`);
}
