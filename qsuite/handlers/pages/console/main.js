// The console: log in, then one desk that follows the stream.
//
//     api     asks and renews the login        stream  the one socket, with resumption
//     chart   draws bars                       books   orders, fills, positions, signals, jobs
//     ticket  makes orders                     show    puts data on the page, always as text

import * as api from "./api.js";
import { Books } from "./books.js";
import { Chart } from "./chart.js";
import { find, make, money, say, signed, tell, why } from "./show.js";
import { Stream } from "./stream.js";
import { Ticket } from "./ticket.js";

const PAST_S = { "1m": 86_400, "5m": 5 * 86_400, "1h": 60 * 86_400, "1d": null };
const KINDS = { order: "orders", execution: "executions", position: "positions", signal: "signals", job: "jobs" };

class Desk {
  #prices = new Map();
  #symbol = null;
  #loading = 0;

  async open() {
    const me = await (await fetch("/api/auth/me/", { headers: { Authorization: `Bearer ${await api.token()}` } })).json();
    const trades = me.role === "trader";
    find("#who").textContent = `${me.username} (${me.role})`;
    find("#ticket").hidden = !trades;
    this.chart = new Chart(find("#chart"), (bar) => showBar(bar));
    this.books = new Books(find("#books"), trades);
    this.ticket = new Ticket(find("#ticket"), () => this.#symbol);
    this.stream = new Stream((message) => this.#hear(message), (state) => {
      find("#link").textContent = state;
      find("#link").classList.toggle("good", state === "live");
    });
    find("#interval").addEventListener("change", () => this.#chart());
    const { results } = await api.get("tickers/?page_size=200&is_active=true&ordering=symbol");
    this.#watch(results.map((ticker) => ticker.symbol));
    if (results.length) this.#choose(results[0].symbol);
    const own = trades ? ["orders", "executions", "positions", "account"] : [];
    this.stream.subscribe("trades:*", "quotes:*", "signals:*", "jobs", ...own);
    await this.stream.open();
    await this.books.load();
  }

  #watch(symbols) {
    const cells = () => ["last", "bid", "ask"].map((name) => [name, make("td")]);
    for (const symbol of symbols) this.#prices.set(symbol, Object.fromEntries(cells()));
    find("#watch tbody").replaceChildren(...symbols.map((symbol) => {
      const choose = () => this.#choose(symbol);
      const onkeydown = (event) => { if (event.key === "Enter") choose(); };
      const cells = Object.values(this.#prices.get(symbol));
      return make("tr", { tabindex: 0, "data-symbol": symbol, onclick: choose, onkeydown }, make("td", {}, symbol), cells);
    }));
  }

  #choose(symbol) {
    if (this.#symbol) this.stream.unsubscribe(`bars:1m:${this.#symbol}`);
    this.#symbol = symbol;
    find("#symbol").textContent = symbol;
    for (const row of document.querySelectorAll("#watch tbody tr"))
      row.setAttribute("aria-selected", row.dataset.symbol === symbol);
    this.stream.subscribe(`bars:1m:${symbol}`);
    this.#chart();
  }

  async #chart() {
    const turn = ++this.#loading, interval = find("#interval").value, past_s = PAST_S[interval];
    const start = past_s ? `&start=${new Date(Date.now() - 1000 * past_s).toISOString()}` : "";
    const rows = await api.rows(`bars/?symbol=${encodeURIComponent(this.#symbol)}&interval=${interval}${start}`)
      .catch((error) => { say(find("#bar"), why(error), false); return []; });
    if (turn === this.#loading) this.chart.show(rows.map(asBar));
  }

  #hear(message) {
    const prices = this.#prices.get(message.symbol);
    if (message.type === "trade" && prices) change(prices.last, message.price);
    else if (message.type === "quote" && prices) {
      prices.bid.textContent = money(message.bid);
      prices.ask.textContent = money(message.ask);
    } else if (message.type === "bar" && message.symbol === this.#symbol && find("#interval").value === "1m")
      this.chart.update(asBar({ timestamp: message.ts, ...message }));
    else if (message.type === "account") showAccount(message);
    else if (message.type === "gap") this.books.load().catch((error) => tell("Orders could not be read", why(error)));
    else if (KINDS[message.type]) this.books.take(KINDS[message.type], message);
  }
}

function change(cell, price) {
  const before = Number(cell.textContent.replaceAll(" ", ""));
  cell.textContent = money(price);
  cell.className = !before || before === Number(price) ? "" : Number(price) > before ? "up" : "down";
}

function asBar(row) {
  const [open, high, low, close, volume] = ["open", "high", "low", "close", "volume"].map((name) => Number(row[name]));
  return { ts: row.timestamp, open, high, low, close, volume };
}

function showBar(bar) {
  find("#bar").textContent = bar ? `${bar.ts.slice(0, 16).replace("T", " ")}  O ${bar.open}  H ${bar.high}  L ${bar.low}  C ${bar.close}` : "";
}

function showAccount(account) {
  const figures = [["Equity", money(account.equity)], ["Cash", money(account.cash)],
    ["Buying power", money(account.buying_power)], ["Today", signed(account.day_pnl)]];
  find("#account").replaceChildren(...figures.map(([title, figure]) =>
    make("div", {}, make("dt", {}, title), make("dd", {}, figure))));
}

async function enter() {
  find("#login").hidden = true;
  find("#desk").hidden = false;
  try {
    await new Desk().open();
  } catch (error) {
    if (error.status !== 401) throw error;
    location.reload(); // the login ended: the next page asks for a new one
  }
}

find("#login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const { username, password, code } = event.target.elements;
  try {
    await api.logIn(username.value, password.value, code.value.trim());
    await enter();
  } catch (error) {
    if (error.problem?.code?.startsWith("totp_")) {
      find("#login .code").hidden = false;
      code.value = ""; // a code is good once
      code.focus();
    }
    say(find("#login .said"), why(error), false);
  }
});
find("#logout").addEventListener("click", async () => { await api.logOut(); location.reload(); });

if (api.loggedIn()) enter();
else find("#login").hidden = false;
