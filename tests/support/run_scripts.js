// Runs scripts of ops/mongosh one after the other in one shell, which takes a second to start, each with parameters of
// its own. What each prints comes after a line that names it. Between two of them the database is asked for a name that
// nobody has, so that its profiler's record can be told apart. What they share is loaded once: the shell takes half a
// second to make it its own. A script that ends with an error ends alone, with a line that says how.

const { folder, runs } = JSON.parse(process.env.RUNS);
const fixed = Object.keys(process.env);
const loadAnew = load;
let shared = false;

globalThis.load = (path) => {
  if (!shared || !path.endsWith("/shared.js")) loadAnew(path);
  if (path.endsWith("/shared.js")) shared = true;
};

globalThis.quit = (code) => {
  throw new Error(`ended with ${code}`);
};

for (const { name, script, environment } of runs) {
  for (const left of Object.keys(process.env)) if (!fixed.includes(left)) delete process.env[left];
  Object.assign(process.env, environment);
  const database = db.getSiblingDB(environment.QSUITE_DATABASE || "qsuite");
  if (shared) books = database;
  database.accounts.findOne({ name: `marker:${name}` });
  print(`#### ${name}`);
  try {
    loadAnew(`${folder}/${script}.js`);
  } catch (error) {
    if (!/^ended with \d+$/.test(error.message)) throw error;
    print(error.message);
  }
}
