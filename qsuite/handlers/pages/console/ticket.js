// The order ticket. Each order gets a client id of its own, so that sending it again could never place it twice.

import * as api from "./api.js";
import { money, say, why } from "./show.js";

export class Ticket {
  constructor(section, symbol) {
    this.form = section.querySelector("form");
    this.said = section.querySelector(".said");
    this.symbol = symbol;
    this.form.addEventListener("submit", (event) => { event.preventDefault(); this.#place(); });
    this.form.elements.check.addEventListener("click", () => this.#check());
    this.form.elements.order_type.addEventListener("change", () => this.#fit());
    this.#fit();
  }

  #fit() {
    const type = this.form.elements.order_type.value;
    for (const label of this.form.querySelectorAll("[data-for]")) {
      label.hidden = !label.dataset.for.split(" ").includes(type);
      label.querySelector("input").required = !label.hidden;
    }
  }

  #order() {
    const given = Object.fromEntries(new FormData(this.form));
    const type = given.order_type;
    if (!["LIMIT", "STOP_LIMIT"].includes(type)) delete given.price;
    if (!["STOP", "STOP_LIMIT"].includes(type)) delete given.stop_price;
    return { symbol: this.symbol(), ...given };
  }

  async #place() {
    const button = this.form.elements.place;
    button.disabled = true;
    try {
      const order = await api.post("orders/", { ...this.#order(), client_order_id: crypto.randomUUID() });
      const filled = Number(order.filled_quantity) > 0;
      say(this.said, filled
        ? `${order.status}: ${money(order.filled_quantity)} at ${money(order.avg_fill_price)}`
        : `${order.status}, waiting for its price`);
    } catch (error) {
      say(this.said, why(error), false);
    } finally {
      button.disabled = false;
    }
  }

  async #check() {
    try {
      const met = await api.post("risk/check/", this.#order());
      if (met.verdict === "refused") say(this.said, `Would be refused: ${met.reject.code} · ${met.reject.detail}`, false);
      else say(this.said, "Passes every control.");
    } catch (error) {
      say(this.said, why(error), false);
    }
  }
}
