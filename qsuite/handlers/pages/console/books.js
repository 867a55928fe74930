// The sheets under the chart: orders, fills, positions, signals, jobs. Each keeps what it was told by id, newest first.

import * as api from "./api.js";
import { find, make, money, percent, signed, table, tell, time, why } from "./show.js";

const MOST = 200;
const OPEN = ["HELD", "PENDING", "PARTIAL"];

export class Books {
  #rows = { orders: new Map(), executions: new Map(), positions: new Map(), signals: new Map(), jobs: new Map() };
  #shown = "orders";
  #planned = false;

  constructor(section, trades) {
    this.section = section;
    this.trades = trades;
    this.sheets = {
      orders: { title: "Orders", draw: () => this.#orders() },
      executions: { title: "Fills", draw: () => this.#executions() },
      positions: { title: "Positions", draw: () => this.#positions() },
      signals: { title: "Signals", draw: () => this.#signals() },
      jobs: { title: "Jobs", draw: () => this.#jobs() },
    };
    find("nav", section).replaceChildren(...Object.entries(this.sheets).map(([name, sheet]) =>
      make("button", { type: "button", role: "tab", "data-sheet": name, onclick: () => this.open(name) }, sheet.title)));
    this.open("orders");
  }

  open(name) {
    this.#shown = name;
    for (const tab of this.section.querySelectorAll("[role=tab]"))
      tab.setAttribute("aria-selected", tab.dataset.sheet === name);
    this.#draw();
  }

  /** Take one row; the newest known of an id counts. */
  take(kind, row) {
    const key = kind === "positions" ? `${row.account}/${row.symbol}` : row.id, known = this.#rows[kind];
    const before = known.get(key);
    if (before?.version > row.version) return;
    if (!before) known.set(key, row);
    else Object.assign(before, row);
    if (known.size > 2 * MOST) [...known.keys()].slice(0, known.size - MOST).forEach((old) => known.delete(old));
    if (kind === this.#shown) this.#plan();
  }

  /** Load what the stream does not begin with. */
  async load() {
    if (this.trades) for (const each of (await api.get("orders/?page_size=50")).results.reverse()) this.take("orders", each);
  }

  #newest(kind, moment) {
    return [...this.#rows[kind].values()].sort((one, other) => (one[moment] < other[moment] ? 1 : -1)).slice(0, MOST);
  }

  #plan() {
    if (this.#planned) return;
    this.#planned = true;
    requestAnimationFrame(() => { this.#planned = false; this.#draw(); });
  }

  #draw() {
    find(".sheet", this.section).replaceChildren(...[].concat(this.sheets[this.#shown].draw()));
  }

  #orders() {
    const cancel = (order) => (this.trades && OPEN.includes(order.status)
      ? act("Cancel", () => api.remove(`orders/${order.id}/`)) : "");
    return table([
      { title: "Time", words: true, cell: (order) => time(order.created_at) },
      { title: "Symbol", words: true, cell: (order) => order.symbol },
      { title: "Side", words: true, cell: (order) => make("span", { class: order.side === "BUY" ? "up" : "down" }, order.side) },
      { title: "Type", words: true, cell: (order) => order.order_type },
      { title: "Quantity", cell: (order) => money(order.quantity) },
      { title: "Limit", cell: (order) => money(order.price) },
      { title: "Stop", cell: (order) => money(order.stop_price) },
      { title: "Filled", cell: (order) => money(order.filled_quantity) },
      { title: "At", cell: (order) => money(order.avg_fill_price) },
      { title: "Status", words: true, cell: status },
      { title: "", cell: cancel },
    ], this.#newest("orders", "created_at"), "No orders yet.");
  }

  #executions() {
    return table([
      { title: "Time", words: true, cell: (fill) => time(fill.execution_time) },
      { title: "Symbol", words: true, cell: (fill) => fill.symbol },
      { title: "Side", words: true, cell: (fill) => make("span", { class: fill.side === "BUY" ? "up" : "down" }, fill.side) },
      { title: "Quantity", cell: (fill) => money(fill.quantity) },
      { title: "Price", cell: (fill) => money(fill.price) },
      { title: "Commission", cell: (fill) => money(fill.commission) },
      { title: "", cell: (fill) => act("Why?", async () => {
        tell("Why this fill", (await api.get(`executions/${fill.id}/why/`)).text);
      }) },
    ], this.#newest("executions", "execution_time"), "No fills yet.");
  }

  #positions() {
    const held = this.#newest("positions", "symbol").filter((position) => Number(position.quantity) !== 0).reverse();
    const close = (position) => (this.trades ? act("Close", () => api.remove(`positions/${position.symbol}/`)) : "");
    return table([
      { title: "Symbol", words: true, cell: (position) => position.symbol },
      { title: "Quantity", cell: (position) => money(position.quantity) },
      { title: "Cost", cell: (position) => money(position.avg_cost) },
      { title: "Price", cell: (position) => money(position.market_price) },
      { title: "Value", cell: (position) => money(position.market_value) },
      { title: "Unrealised", cell: (position) => signed(position.unrealized_pnl) },
      { title: "Realised", cell: (position) => signed(position.realized_pnl) },
      { title: "", cell: close },
    ], held, "Nothing is held.");
  }

  #signals() {
    return table([
      { title: "Time", words: true, cell: (signal) => time(signal.created_at) },
      { title: "Symbol", words: true, cell: (signal) => signal.symbol },
      { title: "Bar", words: true, cell: (signal) => `${signal.interval} ${signal.bar}` },
      { title: "Algorithm", words: true, cell: (signal) => signal.algorithm },
      { title: "Signal", words: true, cell: (signal) =>
        make("span", { class: { BUY: "up", SELL: "down" }[signal.signal] ?? "quiet" }, signal.signal) },
      { title: "Confidence", cell: (signal) => percent(signal.confidence) },
      { title: "Price", cell: (signal) => money(signal.price) },
      { title: "", cell: (signal) => act("Figures", () => tell(`${signal.algorithm} of ${signal.symbol}`,
        Object.entries(signal.features).map(([name, value]) => `${name}: ${value}`).join("\n"))) },
    ], this.#newest("signals", "created_at"), "No signals yet.");
  }

  #jobs() {
    return table([
      { title: "Time", words: true, cell: (job) => time(job.created_at) },
      { title: "Kind", words: true, cell: (job) => job.kind },
      { title: "State", words: true, cell: (job) => job.state },
      { title: "", words: true, cell: (job) => make("progress", { max: 1, value: job.progress }) },
      { title: "Came to", words: true, cell: outcome },
      { title: "", cell: (job) => (["queued", "running"].includes(job.state)
        ? act("Cancel", () => api.remove(`jobs/${job.id}/`)) : "") },
    ], this.#newest("jobs", "created_at"), "No jobs yet. POST /api/v1/backtests/ begins one.");
  }
}

function status(order) {
  return order.reject ? make("span", { class: "bad", title: order.reject.detail }, `REJECTED ${order.reject.code}`) : order.status;
}

function outcome(job) {
  if (job.error) return make("span", { class: "bad", title: job.error.detail }, job.error.code);
  const made = job.result?.backtest;
  if (made) return act("Report", async () => { open(await api.pageAddress(`backtests/${made}/report/`), "_blank"); });
  return job.result ? act("Result", () => tell(job.kind, JSON.stringify(job.result, null, 2))) : "";
}

function act(title, action) {
  const button = make("button", { type: "button" }, title);
  button.addEventListener("click", async () => {
    button.disabled = true;
    try { await action(); } catch (error) { tell("That did not work", why(error)); } finally { button.disabled = false; }
  });
  return button;
}
