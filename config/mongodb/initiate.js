// Makes the replica set of one, QSuite's own user and the operators' role; run by mongosh before QSuite starts, and harmless when repeated.
// Secrets come from the environment, so that no argument list shows them.
//
// QSuite may do with its database what it needs, but the audit log it can only read and add to: a role, not a habit,
// keeps the past as it was written. Who has the role qsuiteOps reads, but nothing that lets anybody in; with
// MONGODB_OPS_PASSWORD there is a user `ops` who has it.

const HOST = process.env.MONGODB_HOST;
const SET = "qsuite";
const DATABASE = "qsuite";
const APPEND_ONLY = ["audit_log", "audit_access"];
const CAPPED = "tick_feed";
const COLLECTIONS = [
  "users", "api_keys", "refresh_tokens", "accounts", "data_sources", "tickers", "market_data", "ticks", "tick_blocks",
  "engine_state", "orders", "executions", "positions", "strategies", "signals", "backtests", "jobs", "news",
  "risk_limits", "risk_events", "models", "model_files", "imports", "account_history", "strategy_positions", "sweeps",
  "sweep_parts", "tick_feed", "idempotency_keys", "tick_seals", "feed_positions", "signing_keys",
  "second_factors", "statements",
];
const SECRET = ["api_keys", "idempotency_keys", "second_factors", "signing_keys"];

const mongo = new Mongo(`mongodb://${HOST}/?directConnection=true`);
const admin = mongo.getDB("admin");
if (admin.auth("root", process.env.MONGODB_ROOT_PASSWORD).ok !== 1) {
  throw new Error("MONGODB_ROOT_PASSWORD is not the one the database was made with");
}

makeReplicaSet();
makeRole();
makeUser();
makeOperators();
print(`replica set ${SET} is ready, and so is its user qsuite`);

function makeReplicaSet() {
  try {
    admin.runCommand({ replSetInitiate: { _id: SET, members: [{ _id: 0, host: HOST }] } });
  } catch (error) {
    if (error.codeName !== "AlreadyInitialized") throw error;
  }
  for (let waited = 0; !admin.hello().isWritablePrimary; waited += 100) {
    if (waited >= 60000) throw new Error("the replica set has no primary after a minute");
    sleep(100);
  }
}

function makeRole() {
  const everywhere = [
    "find", "insert", "createCollection", "createIndex", "dropIndex", "collMod", "listCollections", "listIndexes",
    "collStats", "dbStats", "changeStream", "validate",
  ];
  const privileges = [
    { resource: { db: DATABASE, collection: "" }, actions: everywhere },
    // One collection is made as a ring; of a chain that would throw the oldest entries away.
    { resource: { db: DATABASE, collection: CAPPED }, actions: ["convertToCapped"] },
    ...COLLECTIONS.map((collection) => ({ resource: { db: DATABASE, collection }, actions: ["update", "remove"] })),
  ];
  upsert("rolesInfo", "roles", "createRole", "updateRole", "qsuite", {
    privileges,
    roles: [{ role: "clusterMonitor", db: "admin" }],
  });
}

function makeUser() {
  upsert("usersInfo", "users", "createUser", "updateUser", "qsuite", {
    pwd: process.env.MONGODB_PASSWORD,
    roles: [{ role: "qsuite", db: "admin" }],
  });
}

function makeOperators() {
  const onDatabase = ["listCollections", "listIndexes", "indexStats", "collStats", "dbStats"];
  const onCluster = ["serverStatus", "replSetGetStatus", "inprog", "getLog"];
  const readable = [...COLLECTIONS, ...APPEND_ONLY].filter((collection) => !SECRET.includes(collection));
  const privileges = [
    { resource: { db: DATABASE, collection: "" }, actions: onDatabase },
    { resource: { cluster: true }, actions: onCluster },
    ...readable.map((collection) => ({ resource: { db: DATABASE, collection }, actions: ["find"] })),
  ];
  upsert("rolesInfo", "roles", "createRole", "updateRole", "qsuiteOps", { privileges, roles: [] });
  if (process.env.MONGODB_OPS_PASSWORD) {
    upsert("usersInfo", "users", "createUser", "updateUser", "ops", {
      pwd: process.env.MONGODB_OPS_PASSWORD,
      roles: [{ role: "qsuiteOps", db: "admin" }],
    });
  }
}

function upsert(info, found, create, update, name, definition) {
  const exists = admin.runCommand({ [info]: name })[found].length > 0;
  admin.runCommand({ [exists ? update : create]: name, ...definition });
}
