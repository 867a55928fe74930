// Makes the replica set, QSuite's own user and the operators' role; run by mongosh before QSuite starts, and harmless when
// repeated. MONGODB_HOSTS names the members, the one with the administrator first. Secrets come from files, whose paths are
// in MONGODB_ROOT_PASSWORD_FILE and MONGODB_PASSWORD_FILE, so that neither arguments nor the environment show them.
//
// QSuite may do with its database what it needs, but the audit log it can only read and add to: a role, not a habit,
// keeps the past as it was written. Who has the role qsuiteOps reads, but nothing that lets anybody in; with
// MONGODB_OPS_PASSWORD_FILE there is a user `ops` who has it.

const HOSTS = process.env.MONGODB_HOSTS.split(",");
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

// With fewer than three there is nobody to elect, and nothing to hurry (docs/adr/0020).
const SETTINGS = { electionTimeoutMillis: 2000, heartbeatIntervalMillis: 500, catchUpTimeoutMillis: 500 };

makeReplicaSet();
const admin = asRoot(`mongodb://${HOSTS.join(",")}/?replicaSet=${SET}`);
makeRole();
makeUser();
makeOperators();
print(`replica set ${SET} of ${HOSTS.length} is ready, and so is its user qsuite`);

function asRoot(address) {
  const database = new Mongo(address).getDB("admin");
  if (database.auth("root", secret("MONGODB_ROOT_PASSWORD_FILE")).ok !== 1) {
    throw new Error("the root password is not the one the database was made with");
  }
  return database;
}

function secret(name) {
  return require("fs").readFileSync(process.env[name], "utf8").trim();
}

function makeReplicaSet() {
  const first = asRoot(`mongodb://${HOSTS[0]}/?directConnection=true`);
  const members = HOSTS.map((host, _id) => ({ _id, host }));
  try {
    first.runCommand({ replSetInitiate: { _id: SET, members, settings: members.length < 3 ? {} : SETTINGS } });
  } catch (error) {
    if (error.codeName !== "AlreadyInitialized") throw error;
  }
  for (let waited = 0; !first.hello().primary; waited += 100) {
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
    pwd: secret("MONGODB_PASSWORD_FILE"),
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
  if (process.env.MONGODB_OPS_PASSWORD_FILE) {
    upsert("usersInfo", "users", "createUser", "updateUser", "ops", {
      pwd: secret("MONGODB_OPS_PASSWORD_FILE"),
      roles: [{ role: "qsuiteOps", db: "admin" }],
    });
  }
}

function upsert(info, found, create, update, name, definition) {
  const exists = admin.runCommand({ [info]: name })[found].length > 0;
  admin.runCommand({ [exists ? update : create]: name, ...definition });
}
