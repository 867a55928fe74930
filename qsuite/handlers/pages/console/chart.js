// Candles on a canvas: the newest bars that fit, drawn again whenever one changes.

const BAR = 7; // pixels a bar takes
const RIGHT = 64, BOTTOM = 22, TOP = 8;

export class Chart {
  #bars = [];
  #planned = false;

  constructor(canvas, pointed) {
    this.canvas = canvas;
    this.pointed = pointed;
    new ResizeObserver(() => this.#plan()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#plan());
    canvas.addEventListener("pointermove", (event) => this.pointed(this.#at(event.offsetX)));
    canvas.addEventListener("pointerleave", () => this.pointed(this.#bars.at(-1)));
  }

  /** Bars are `{ts, open, high, low, close, volume}` with numbers, oldest first. */
  show(bars) {
    this.#bars = bars;
    this.pointed(bars.at(-1));
    this.#plan();
  }

  /** Put a bar in its place: the newest again, or one after it. */
  update(bar) {
    const last = this.#bars.at(-1);
    if (last && bar.ts < last.ts) return;
    if (last && bar.ts === last.ts) this.#bars[this.#bars.length - 1] = bar;
    else this.#bars.push(bar);
    this.pointed(bar);
    this.#plan();
  }

  #plan() {
    if (this.#planned) return;
    this.#planned = true;
    requestAnimationFrame(() => { this.#planned = false; this.#draw(); });
  }

  #shown() {
    const room = Math.max(1, Math.floor((this.canvas.clientWidth - RIGHT) / BAR));
    return this.#bars.slice(-room);
  }

  #at(x) {
    const shown = this.#shown();
    return shown[Math.min(shown.length - 1, Math.max(0, Math.floor(x / BAR)))];
  }

  #draw() {
    const { canvas } = this, scale = devicePixelRatio, width = canvas.clientWidth, height = canvas.clientHeight;
    canvas.width = width * scale;
    canvas.height = height * scale;
    const pen = canvas.getContext("2d"), shown = this.#shown();
    pen.scale(scale, scale);
    const look = getComputedStyle(document.documentElement), probe = getComputedStyle(canvas);
    const colour = (name) => { canvas.style.color = `var(${name})`; const found = probe.color; return found; };
    const [line, quiet, up, down] = ["--line", "--quiet", "--up", "--down"].map(colour);
    pen.font = `11px ${look.fontFamily}`;
    pen.textBaseline = "middle";
    if (!shown.length) {
      pen.fillStyle = quiet;
      pen.fillText("no bars of this interval yet", 12, height / 2);
      return;
    }
    let low = Math.min(...shown.map((bar) => bar.low)), high = Math.max(...shown.map((bar) => bar.high));
    if (low === high) { low -= 1; high += 1; }
    const floor = height - BOTTOM, y = (price) => TOP + (high - price) / (high - low) * (floor - TOP);
    for (const price of levels(low, high)) {
      pen.fillStyle = line;
      pen.fillRect(0, Math.round(y(price)), width - RIGHT, 1);
      pen.fillStyle = quiet;
      pen.fillText(price.toFixed(decimals(high - low)), width - RIGHT + 6, y(price));
    }
    const most = Math.max(...shown.map((bar) => bar.volume)) || 1;
    shown.forEach((bar, place) => {
      const x = place * BAR, rises = bar.close >= bar.open;
      pen.globalAlpha = 0.25;
      pen.fillStyle = rises ? up : down;
      const tall = bar.volume / most * (floor - TOP) * 0.18;
      pen.fillRect(x + 1, floor - tall, BAR - 2, tall);
      pen.globalAlpha = 1;
      pen.fillRect(x + BAR / 2 - 0.5, y(bar.high), 1, Math.max(1, y(bar.low) - y(bar.high)));
      const top = y(Math.max(bar.open, bar.close)), tail = y(Math.min(bar.open, bar.close));
      pen.fillRect(x + 1, top, BAR - 2, Math.max(1, tail - top));
      if (place % Math.ceil(110 / BAR) === 0) {
        pen.fillStyle = quiet;
        pen.fillText(label(bar.ts, shown), x, height - BOTTOM / 2);
      }
    });
    const last = shown.at(-1);
    pen.fillStyle = last.close >= last.open ? up : down;
    pen.fillText(last.close.toFixed(decimals(high - low)), width - RIGHT + 6, y(last.close));
  }
}

function levels(low, high) {
  const rough = (high - low) / 5, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough);
  const found = [];
  for (let price = Math.ceil(low / step) * step; price <= high; price += step) found.push(price);
  return found;
}

const decimals = (range) => Math.min(6, Math.max(2, 1 - Math.floor(Math.log10(range))));

function label(ts, shown) {
  const days = shown.length > 1 && Date.parse(shown[1].ts) - Date.parse(shown[0].ts) >= 86_400_000;
  return days ? ts.slice(0, 10) : ts.slice(11, 16);
}
