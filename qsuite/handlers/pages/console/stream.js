// The stream: one socket that comes back by itself and asks for what it missed.

import { token } from "./api.js";

const SLOWEST_MS = 10_000;
const TYPES = { // what a channel's snapshot holds
  trades: "trade", quotes: "quote", bars: "bar", signals: "signal", orders: "order", executions: "execution",
  positions: "position", account: "account", jobs: "job",
};

export class Stream {
  #socket = null;
  #channels = new Set();
  #seen = {}; // the number of the newest message by channel
  #wait_ms = 250;
  #ended = false;

  /** `heard` gets every data message, what a snapshot holds one by one; `state` gets "live" or "connecting". */
  constructor(heard, state) {
    this.heard = heard;
    this.state = state;
  }

  async open() {
    const access = await token();
    if (this.#ended) return;
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws/v1/stream`);
    this.#socket = socket;
    socket.onopen = () => this.#say({ action: "auth", token: access });
    socket.onmessage = (event) => JSON.parse(event.data).forEach((message) => this.#hear(message));
    socket.onclose = () => this.#comeBack();
  }

  subscribe(...channels) {
    const fresh = channels.filter((channel) => !this.#channels.has(channel));
    fresh.forEach((channel) => this.#channels.add(channel));
    if (fresh.length && this.#live) this.#say({ action: "subscribe", channels: fresh });
  }

  unsubscribe(...channels) {
    const known = channels.filter((channel) => this.#channels.delete(channel));
    known.forEach((channel) => delete this.#seen[channel]);
    if (known.length && this.#live) this.#say({ action: "unsubscribe", channels: known });
  }

  close() {
    this.#ended = true;
    this.#socket?.close();
  }

  #live = false;

  #say(message) {
    this.#socket.send(JSON.stringify(message));
  }

  #hear(message) {
    if (message.type === "authenticated") {
      this.#live = true;
      this.#wait_ms = 250;
      this.state("live");
      const since = Object.fromEntries(Object.entries(this.#seen).filter(([channel]) => this.#channels.has(channel)));
      if (this.#channels.size) this.#say({ action: "subscribe", channels: [...this.#channels], since });
    }
    if (message.channel === undefined) return;
    if (Number.isInteger(message.seq)) this.#seen[message.channel] = message.seq;
    if (message.type !== "snapshot") this.heard(message);
    else for (const each of message.data) this.heard({ type: TYPES[message.channel.split(":")[0]], ...each });
  }

  #comeBack() {
    this.#live = false;
    if (this.#ended) return;
    this.state("connecting");
    setTimeout(() => this.open().catch(() => this.#comeBack()), this.#wait_ms * (0.5 + Math.random()));
    this.#wait_ms = Math.min(2 * this.#wait_ms, SLOWEST_MS);
  }
}
