// What the scripts beside this one share: the database, their parameters, and rows a person can read.
//
// Parameters come from the environment, so that nothing has to be quoted twice:
//     SYMBOL=IBM mongosh "$URI" ops/mongosh/open_orders.js
// URI is what `qsuite doctor` prints for an embedded database, or your QSUITE_MONGODB_URI; a user with the role
// qsuiteOps, which reads and does nothing else, is enough for every script. QSUITE_DATABASE names a database that is
// not called `qsuite`.
//
// What grows without end is never read whole: LIMIT says how many rows are shown, HOURS how far back is looked, and
// READ at how many documents at most; a script that met that bound says so.

const books = db.getSiblingDB(process.env.QSUITE_DATABASE || "qsuite");
// As an order's `status` says that it can still trade or be released.
const OPEN = ["HELD", "PARTIAL", "PENDING"];

// Stop, with one line that says what is wrong.
function fail(sentence) {
  print(sentence);
  quit(1);
}

// A whole number from the environment, at most `most`.
function count(name, fallback, most = 10_000) {
  const given = process.env[name];
  if (given === undefined || given === "") return fallback;
  if (!/^[0-9]{1,15}$/.test(given) || Number(given) < 1 || Number(given) > most) {
    fail(`${name} is a whole number from 1 to ${most}, not ${given}`);
  }
  return Number(given);
}

// A positive number from the environment, with or without a fraction.
function amount(name, fallback, most) {
  const given = process.env[name];
  if (given === undefined || given === "") return fallback;
  if (!/^[0-9]{1,15}(\.[0-9]{1,9})?$/.test(given) || Number(given) <= 0 || Number(given) > most) {
    fail(`${name} is a number above 0, at most ${most}, not ${given}`);
  }
  return Number(given);
}

// One of the words that are allowed; undefined when none was given.
function choice(name, words) {
  const given = process.env[name];
  if (given === undefined || given === "") return undefined;
  if (!words.includes(given)) fail(`${name} is one of ${words.join(", ")}, not ${given}`);
  return given;
}

const most = (fallback) => count("LIMIT", fallback);
const hours = (fallback) => amount("HOURS", fallback, 24 * 3_660);
const readAtMost = (fallback) => count("READ", fallback, 10_000_000);

// Ask for a parameter; say how to give it where it is missing.
function required(name, example) {
  const value = process.env[name];
  if (!value) {
    fail(`Give ${name}, for example:  ${name}=${example} mongosh "$URI" ...`);
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
    const id = idOrNull(process.env.ACCOUNT);
    if (id === null) fail(`ACCOUNT is an account's id, not ${process.env.ACCOUNT}: TRADER takes a name`);
    if (books.accounts.findOne({ _id: id }, { _id: 1 }) === null) fail(`There is no account ${process.env.ACCOUNT}`);
    return [id];
  }
  if (!process.env.TRADER) return null;
  const user = books.users.findOne({ username_key: process.env.TRADER.toLowerCase() }, { _id: 1 });
  if (user === null) fail(`There is no user ${process.env.TRADER}`);
  return books.accounts.find({ user: user._id }, { _id: 1 }).sort({ _id: 1 }).toArray().map((account) => account._id);
}

// The chosen accounts, or the first of all of them, and a line that says so where there are more.
function accountsAtMost(limit) {
  const chosen = chosenAccounts();
  if (chosen !== null) return chosen;
  const found = books.accounts.find({}, { _id: 1 }).sort({ _id: 1 }).limit(limit + 1).toArray();
  if (found.length > limit) print(`Of the first ${limit} accounts only: ACCOUNT or TRADER names others\n`);
  return found.slice(0, limit).map((account) => account._id);
}

// A function from a user's id to the user's name, for the ids that are asked about; nobody is the engine.
function userNames(ids) {
  const names = namesIn(books.users, "username", ids);
  return (id) => (id ? names.get(text(id)) || text(id) : "engine");
}

// A function from an account's id to its name.
function accountNames(ids) {
  const names = namesIn(books.accounts, "name", ids);
  return (id) => names.get(text(id)) || text(id);
}

function namesIn(collection, field, ids) {
  const known = [...new Set(ids.map(text))].map(idOrNull).filter((id) => id !== null);
  return new Map(
    collection.find({ _id: { $in: known } }, { [field]: 1 }).toArray().map((one) => [text(one._id), one[field]]),
  );
}

// Now, by the clock of the database.
function now() {
  return books.hello().localTime;
}

// The instant so many hours ago, by the clock of the database.
function hoursAgo(some) {
  return new Date(now() - some * 3_600_000);
}

// The least id that can have been given at an instant or later: ids (UUIDs of version 7) begin with the time.
function idFrom(instant) {
  const milliseconds = Math.max(0, instant.getTime()).toString(16).padStart(12, "0");
  return UUID(`${milliseconds.slice(0, 8)}-${milliseconds.slice(8)}-7000-8000-000000000000`);
}

// When an id was given.
function timeOf(id) {
  return new Date(parseInt(text(id).replaceAll("-", "").slice(0, 12), 16));
}

// A condition on `_id` for what came since an instant, at most the newest `read` of it; says how far back that goes.
//
// Only keys of the index on `_id` are read for it. Use it with `.hint({ _id: 1 })`, so that nothing else decides how
// much is read.
function recent(collection, since, read) {
  const from = { _id: { $gte: idFrom(since) } };
  const beyond = collection.find(from, { _id: 1 }).sort({ _id: -1 }).skip(read).limit(1).toArray();
  if (beyond.length === 0) {
    print(`Since ${text(since)}`);
    return from;
  }
  partly(read, timeOf(beyond[0]._id));
  return { _id: { $gt: beyond[0]._id } };
}

// The same for a chain of the audit record, whose ids are numbers without a gap: the time is found by halving.
function recentEntries(chain, since, read) {
  const last = newestEntry(chain);
  if (last === null) return { _id: { $gt: 0 } };
  let [before, end] = [0, Number(last._id) + 1];
  while (end - before > 1) {
    const middle = Math.floor((before + end) / 2);
    if (entryFrom(chain, middle).ts < since) before = middle;
    else end = middle;
  }
  const bound = Number(last._id) - read;
  if (bound <= before) print(`Since ${text(since)}`);
  else partly(read, entryFrom(chain, bound + 1).ts);
  return { _id: { $gt: Math.max(before, bound) } };
}

// The entry of a number, or the next one: of a record that was tampered with some may be gone.
function entryFrom(chain, number) {
  return chain.find({ _id: { $gte: number } }, { ts: 1 }).sort({ _id: 1 }).limit(1).toArray()[0];
}

function partly(read, back) {
  print(`Of the newest ${read} only, back to ${text(back)}; READ=${read * 10} looks further`);
}

function newestEntry(chain) {
  return chain.find().sort({ _id: -1 }).limit(1).toArray()[0] || null;
}

// The collections a person can read; MongoDB's own, behind its time series, are left out.
function collectionNames() {
  return books.getCollectionNames().filter((name) => !name.startsWith("system.")).sort();
}

// Seconds as a person says them: 3 s, 4 m 10 s, 2 h 5 m, 3 d 4 h.
function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  for (const [unit, size, smaller, part] of [["d", 86_400, "h", 3_600], ["h", 3_600, "m", 60], ["m", 60, "s", 1]]) {
    if (whole >= size) return `${Math.floor(whole / size)} ${unit} ${Math.floor((whole % size) / part)} ${smaller}`;
  }
  return `${whole} s`;
}

// How long ago an instant was, by a clock that was read before.
function age(instant, at) {
  return instant ? duration((at - instant) / 1000) : "";
}

// One value as text: decimals in plain digits, ids as UUIDs, times in UTC.
function text(value) {
  if (value === null || value === undefined) return "";
  if (value instanceof Date) return value.toISOString();
  if (value._bsontype === "Decimal128") return digits(value.toString());
  if (value._bsontype === "Long") return value.toString();
  if (value._bsontype === "Binary" || value._bsontype === "UUID") return value.toUUID().toString();
  return typeof value === "object" ? JSON.stringify(plain(value)) : String(value);
}

// A decimal's text without an exponent: 1E+2 is 100.
function digits(given) {
  const [, sign, whole, , fraction = "", exponent = "0"] = given.match(/^(-?)(\d+)(\.(\d+))?(?:E([+-]\d+))?$/) || [];
  if (whole === undefined) return given;
  const all = whole + fraction;
  const point = whole.length + Number(exponent);
  if (point >= all.length) return sign + all.padEnd(point, "0").replace(/^0+(?=\d)/, "");
  const padded = all.padStart(all.length + Math.max(0, 1 - point), "0");
  const at = Math.max(1, point);
  return `${sign}${padded.slice(0, at)}.${padded.slice(at)}`;
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
