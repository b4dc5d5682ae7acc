// One small plot per activation, with a search box and an order to choose.

const kPlotWidth = 256, kPlotHeight = 84, kAtATime = 48;

// The counts as one path, log scale: a single value still shows as a bar.
function histogramPath(h, x) {
  const most = Math.log1p(Math.max(...h.counts));
  let d = "";
  h.counts.forEach((n, i) => {
    if (!n) return;
    const height = Math.max(1.5, kPlotHeight * Math.log1p(n) / most);
    const from = x(h.start + i * h.width), to = x(h.start + (i + 1) * h.width);
    d += `M${from.toFixed(2)} ${kPlotHeight}V${(kPlotHeight - height).toFixed(2)}H${to.toFixed(2)}V${kPlotHeight}z`;
  });
  return d;
}

function plotHistogram(parent, a) {
  const h = a.histogram;
  const svg = element("svg", {viewBox: `0 0 ${kPlotWidth} ${kPlotHeight}`, preserveAspectRatio: "none", height: kPlotHeight,
                              role: "img", "aria-label": `Histogram of ${a.value}`}, parent);
  element("line", {class: "axis", x1: 0, x2: kPlotWidth, y1: kPlotHeight, y2: kPlotHeight}, svg);
  if (!h.counts.length) return;
  const first = h.start, last = h.start + h.width * h.counts.length;
  const from = Math.min(first, 0, Math.max(a.lo, first - 0.25 * (last - first)));
  const to = Math.max(last, 0, Math.min(a.hi, last + 0.25 * (last - first)));
  const x = (v) => 2 + (kPlotWidth - 4) * (v - from) / (to - from);
  element("path", {class: "bars", d: histogramPath(h, x)}, svg);
  const lo = Math.max(a.lo, from), hi = Math.min(a.hi, to);
  if (a.lo > from) element("rect", {class: "clip", x: 0, y: 0, width: x(lo), height: kPlotHeight}, svg);
  if (a.hi < to) element("rect", {class: "clip", x: x(hi), y: 0, width: kPlotWidth - x(hi), height: kPlotHeight}, svg);
  for (const v of [lo, hi]) element("line", {class: "edge", x1: x(v), x2: x(v), y1: 0, y2: kPlotHeight}, svg);
  const ends = element("div", {class: "ends"}, parent);
  element("span", {}, ends, number(from, 3));
  element("span", {}, ends, number(to, 3));
}

function decibel(v) {
  return v === null ? "–" : v >= 200 ? "equal to float" : number(v) + " dB";
}

// Long names differ at their ends more often than in the middle.
function middleCut(name, most) {
  const letters = [...name];
  if (letters.length <= most) return name;
  return letters.slice(0, most / 4).join("") + "…" + letters.slice(1 - most * 3 / 4).join("");
}

function activationCard(parent, a) {
  const card = element("div", {class: a.used ? "small" : "small unused"}, parent);
  element("code", {title: a.value}, card, middleCut(a.value, 64));
  const line = element("div", {}, card, "SQNR ");
  element("b", {}, line, decibel(a.sqnr_db));
  line.append(` (own ${decibel(a.grid_sqnr_db)})`);
  plotHistogram(card, a);
  element("div", {}, card, `${number(a.lo, 3)} … ${number(a.hi, 3)} by ${a.calibration}${a.symmetric ? ", symmetric" : ""}`);
  element("div", {}, card, `${percent(a.clipped, 2)} clipped, ${percent(a.zeros, 2)} zeros${a.used ? "" : ", not applied"}`);
}

const kOrders = {
  "lowest SQNR": (a) => (a.used ? 0 : 1000) + (a.sqnr_db === null ? 500 : a.sqnr_db),
  "lowest own SQNR": (a) => (a.grid_sqnr_db === null ? 500 : a.grid_sqnr_db),
  "most clipped": (a) => -a.clipped,
  "widest range": (a) => a.lo - a.hi,
};

function drawHistograms(box, report) {
  const all = report.activations;
  if (!all.length) return;
  const tools = element("div", {class: "tools"}, box);
  const search = element("input", {type: "search", placeholder: "Filter by name", "aria-label": "Filter by name"}, tools);
  const order = element("select", {"aria-label": "Order"}, tools);
  for (const name of [...Object.keys(kOrders), "graph order"]) element("option", {value: name}, order, name);
  const count = element("span", {}, tools);
  const grid = element("div", {class: "grid"}, box);
  const more = element("button", {type: "button"}, box, "Show all");
  const place = new Map(report.layers.map((l, i) => [l.value, i]));
  let limit = kAtATime;
  const draw = () => {
    const wanted = search.value.toLowerCase();
    const by = kOrders[order.value] || ((a) => place.get(a.value) ?? -1);
    const found = all.filter((a) => a.value.toLowerCase().includes(wanted)).sort((a, b) => by(a) - by(b));
    grid.replaceChildren();
    for (const a of found.slice(0, limit)) activationCard(grid, a);
    count.textContent = `${Math.min(limit, found.length)} of ${all.length}`;
    more.hidden = found.length <= limit;
  };
  search.addEventListener("input", draw);
  order.addEventListener("change", draw);
  more.addEventListener("click", () => { limit = Infinity; draw(); });
  draw();
}
