// What the scripts beside this one share: the database, their parameters, and rows a person can read.
//
// Parameters come from the environment, so that nothing has to be quoted twice:
//     SYMBOL=IBM mongosh "$URI" ops/mongosh/open_orders.js
// URI is what `qsuite doctor` prints for an embedded database, or your QSUITE_MONGODB_URI.
// QSUITE_DATABASE names another database than `qsuite`.

const books = db.getSiblingDB(process.env.QSUITE_DATABASE || "qsuite");

// Ask for a parameter; say how to give it where it is missing.
function required(name, example) {
  const value = process.env[name];
  if (!value) {
    print(`Give ${name}, for example:  ${name}=${example} mongosh "$URI" ${__filename}`);
    quit(1);
  }
  return value;
}

// An id as it is stored, from the text of a UUID; null when the text is something else, such as a client's own id.
function idOrNull(text) {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text) ? UUID(text) : null;
}

// The ids of the accounts that ACCOUNT (an id) or TRADER (a name) means; null when neither is given: all of them.
function chosenAccounts() {
  if (process.env.ACCOUNT) {
    return [UUID(process.env.ACCOUNT)];
  }
  if (!process.env.TRADER) {
    return null;
  }
  const user = books.users.findOne({ username_key: process.env.TRADER.toLowerCase() });
  if (user === null) {
    print(`There is no user ${process.env.TRADER}`);
    quit(1);
  }
  return books.accounts.find({ user: user._id }).toArray().map((account) => account._id);
}

// A function from a user's id, as text, to the user's name; an id nobody has stays as it is, and nobody is the engine.
function userNames() {
  const names = new Map(books.users.find({}, { username: 1 }).toArray().map((user) => [text(user._id), user.username]));
  return (id) => (id ? names.get(id) || id : "engine");
}

// A function from an account's id, as text, to its name.
function accountNames() {
  const names = new Map(books.accounts.find({}, { name: 1 }).toArray().map((one) => [text(one._id), one.name]));
  return (id) => names.get(id) || id;
}

// The instant so many minutes ago, by the clock of the database.
function minutesAgo(minutes) {
  return new Date(books.hello().localTime - minutes * 60_000);
}

// One value as text: decimals in plain digits, ids as UUIDs, times in UTC.
function text(value) {
  if (value === null || value === undefined) return "";
  if (value instanceof Date) return value.toISOString();
  if (value._bsontype === "Decimal128" || value._bsontype === "Long") return value.toString();
  if (value._bsontype === "Binary" || value._bsontype === "UUID") return value.toUUID().toString();
  return typeof value === "object" ? JSON.stringify(plain(value)) : String(value);
}

// A document with all that JSON would spell oddly or tear apart (decimals, 64-bit numbers) as text.
function plain(value) {
  if (value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Date || value._bsontype) return text(value);
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, plain(inner)]));
}

// Print rows under the named columns, a dotted name reaching into the document; then how many they were.
function show(rows, columns) {
  const reach = (row, name) => name.split(".").reduce((inner, part) => (inner ? inner[part] : undefined), row);
  const cells = rows.map((row) => columns.map((name) => text(reach(row, name))));
  const widths = columns.map((name, at) => Math.max(name.length, ...cells.map((line) => line[at].length)));
  const line = (parts) => print(parts.map((part, at) => part.padEnd(widths[at])).join("  ").trimEnd());
  line(columns);
  line(widths.map((width) => "-".repeat(width)));
  cells.forEach(line);
  print(`${rows.length} found`);
}
