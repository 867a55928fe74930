// Small helpers to put data on the page. Text goes in as text, never as markup.

export const find = (where, root = document) => root.querySelector(where);

export function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value);
  }
  made.append(...children.flat().map((child) => child ?? ""));
  return made;
}

/** A table of rows; a column is `{title, cell(row) -> text or element, words?}`. */
export function table(columns, rows, nothing) {
  if (!rows.length) return make("p", { class: "quiet" }, nothing);
  const side = (column) => ({ class: column.words ? "words" : null });
  return make("table", {},
    make("thead", {}, make("tr", {}, columns.map((column) => make("th", side(column), column.title)))),
    make("tbody", {}, rows.map((row) => make("tr", {}, columns.map((column) => make("td", side(column), column.cell(row)))))));
}

export const time = (text) => (text ? make("time", { datetime: text, title: text }, new Date(text).toLocaleString()) : "");
export const percent = (part) => (part === null || part === undefined ? "" : `${(100 * part).toFixed(2)} %`);

/** Money as it came, exact; only grouped and signed for the eye. */
export function money(text) {
  if (text === null || text === undefined) return "";
  const [whole, rest] = String(text).split(".");
  return whole.replace(/\B(?=(\d{3})+$)/g, " ") + (rest ? `.${rest}` : "");
}

export const signed = (text) => make("span", { class: Number(text) < 0 ? "down" : Number(text) > 0 ? "up" : null }, money(text));

export function tell(title, text) {
  const told = find("#told");
  find("h2", told).textContent = title;
  find("pre", told).textContent = text;
  told.showModal();
}

/** Say in one line what came of something; problems say which fields are wrong. */
export function say(where, text, good = true) {
  where.textContent = text;
  where.className = `said ${good ? "good" : "bad"}`;
}

export function why(error) {
  const problem = error.problem ?? {};
  const fields = Object.entries(problem.errors ?? {}).map(([name, said]) => `${name}: ${[].concat(said).join(", ")}`);
  return [problem.code, fields.length ? fields.join("; ") : error.message].filter(Boolean).join(" · ");
}
