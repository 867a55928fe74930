// The API as the console uses it: a login that renews itself, and answers as objects.

const KEPT = "qsuite.session";
const EARLY_MS = 60_000; // an access token is renewed this long before it ends

let session = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
let renewing = null;

export class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail ?? problem.title ?? `status ${status}`);
    this.status = status;
    this.problem = problem;
  }
}

export const loggedIn = () => session !== null;

export async function logIn(username, password, code) {
  keep(await ask("POST", "/api/auth/login/", code ? { username, password, code } : { username, password }, null));
}

export async function logOut() {
  const token = session?.access;
  keep(null);
  if (token) await ask("POST", "/api/auth/logout/", undefined, token).catch(() => undefined);
}

export async function token() {
  if (session === null) throw new Refused(401, { detail: "not logged in" });
  if (endsAt(session.access) - Date.now() < EARLY_MS) {
    renewing ??= ask("POST", "/api/auth/refresh/", { refresh: session.refresh }, null)
      .then(keep, (error) => { if (error.status === 401) keep(null); throw error; })
      .finally(() => { renewing = null; });
    await renewing;
  }
  return session.access;
}

export const get = async (path) => ask("GET", `/api/v1/${path}`, undefined, await token());
export const post = async (path, body) => ask("POST", `/api/v1/${path}`, body, await token());
export const remove = async (path) => ask("DELETE", `/api/v1/${path}`, undefined, await token());

/** Read a table as rows of text by column: a whole range in one answer. */
export async function rows(path) {
  const text = await (await send("GET", `/api/v1/${path}`, undefined, await token(), "text/csv")).text();
  const [head, ...lines] = text.trim().split("\n").map((line) => line.replace("\r", "").split(","));
  return lines.map((line) => Object.fromEntries(line.map((cell, place) => [head[place], cell])));
}

/** Fetch a page that needs the login, as an address the browser can open. */
export async function pageAddress(path) {
  const answer = await send("GET", `/api/v1/${path}`, undefined, await token(), "text/html");
  return URL.createObjectURL(new Blob([await answer.text()], { type: "text/html" }));
}

async function ask(method, path, body, access) {
  const answer = await send(method, path, body, access, "application/json");
  return answer.status === 204 ? null : answer.json();
}

async function send(method, path, body, access, type) {
  const headers = { Accept: `${type}, application/problem+json` };
  if (access) headers.Authorization = `Bearer ${access}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  if (!answer.ok) throw new Refused(answer.status, await answer.json().catch(() => ({})));
  return answer;
}

function keep(made) {
  session = made;
  if (made === null) sessionStorage.removeItem(KEPT);
  else sessionStorage.setItem(KEPT, JSON.stringify(made));
}

const endsAt = (access) => JSON.parse(atob(access.split(".")[1].replaceAll("-", "+").replaceAll("_", "/"))).exp * 1000;
