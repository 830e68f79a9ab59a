// @ts-check
// Every head of attention as one cell, a head a line and a layer a column, drawn from the numbers of the heads.
let headNumber = 0;

/** @param {HeadMap} map */
const headMapWords = (map) =>
  [map.stack && printable(map.stack), map.attention === "cross" ? "attention to the encoder" : ""]
    .filter(Boolean)
    .join(", ");

/**
 * One range for all maps, so that they can be compared.
 * @param {HeadData} heads
 * @param {string} name
 */
function headRange(heads, name) {
  const all = heads.maps
    .flatMap((map) => map.numbers[name])
    .flat()
    .filter((y) => y !== null && y > 0);
  return all.length ? leastSpan(least(/** @type {number[]} */ (all)), most(/** @type {number[]} */ (all))) : null;
}

/**
 * What is known of a head, a line each.
 * @param {HeadData} heads
 * @param {HeadMap} map
 * @param {number} at which of the layers
 * @param {number} head
 */
function headHover(heads, map, at, head) {
  const share = map.shares[at];
  const shared = share > 1 ? `, K and V of head ${Math.floor(head / share)}` : "";
  const place = [map.stack && plotText(map.stack), `layer ${map.layers[at]}`, `head ${head}`].filter(Boolean).join(" ");
  return [
    `<b>${place}</b>${shared}`,
    ...heads.choices.map(({ name, label }) => {
      const number = map.numbers[name][at][head];
      return `${label}: ${number === null ? UNKNOWN : digitsOf(number, 4)}`;
    }),
  ].join("<br>");
}

/**
 * Where a head's cell leads: to the Q of its layer in the table.
 * @param {HeadMap} map
 * @param {number} layer
 */
const headAddress = (map, layer) =>
  addressOfView({
    filter: `${map.stack} layer ${layer}`.trim(),
    role: map.attention === "cross" ? "XQ" : "Q",
  });

/**
 * Lines of a map, the first head on top: of each its cells, layer by layer; null where a layer has no such head.
 * @template T
 * @param {HeadMap} map
 * @param {(at: number, head: number) => T} cell
 * @returns {(T | null)[][]}
 */
function headCells(map, cell) {
  const [first] = Object.values(map.numbers);
  const count = most(first.map((line) => line.length));
  return Array.from({ length: count }, (_, head) =>
    first.map((line, at) => (head < line.length ? cell(at, head) : null)),
  );
}

/**
 * @param {HeadData} heads
 * @param {HeadMap} map
 * @param {Theme} theme
 * @param {HTMLElement} node
 */
function drawHeads(heads, map, theme, node) {
  const { name, label } = heads.choices[headNumber];
  const span = headRange(heads, name) ?? { low: 1, high: 10 };
  const ticks = logTicks(span.low, span.high);
  const cells = headCells(map, (at, head) => map.numbers[name][at][head]);
  const gap = Math.min(2, Math.floor(node.clientWidth / (map.layers.length + 3) / 5));
  const trace = {
    type: "heatmap",
    x: map.layers,
    y: cells.map((_, head) => head),
    z: cells.map((line) => line.map((y) => (y !== null && y > 0 ? Math.log10(y) : null))),
    hovertext: headCells(map, (at, head) => headHover(heads, map, at, head)).map((line) =>
      line.map((told) => told ?? ""),
    ),
    customdata: headCells(map, (at) => headAddress(map, map.layers[at])),
    hoverinfo: "text",
    hoverongaps: false,
    xgap: gap,
    ygap: Math.min(2, gap),
    colorscale: "Cividis",
    zmin: Math.log10(span.low),
    zmax: Math.log10(span.high),
    colorbar: colourBar(ticks, theme),
  };
  const layout = baseLayout(theme, headMapWords(map));
  layout.dragmode = false;
  Object.assign(layout.xaxis, { showgrid: false, type: "linear", ...layerAxis(map.stack) });
  Object.assign(layout.yaxis, {
    ...{ title: { text: "head" }, autorange: "reversed", showgrid: false, type: "linear", tickformat: "d" },
    ...(cells.length < 16 && { dtick: 1 }),
  });
  paint(node, headWords(map, name, label), [trace], layout);
}

/**
 * @param {HeadMap} map
 * @param {string} name
 * @param {string} label
 */
function headWords(map, name, label) {
  const known = /** @type {[number, number, number][]} */ (
    map.numbers[name].flatMap((line, at) =>
      line.flatMap((y, head) => (y === null ? [] : [/** @type {[number, number, number]} */ ([y, at, head])])),
    )
  );
  const where = headMapWords(map);
  const before = `${where ? `${where}: ` : ""}${label} of each head by layer, as colours`;
  if (!known.length) return `${before}: no number is known`;
  const low = least(known.map(([y]) => y));
  const [high, at, head] = known.reduce((a, b) => (b[0] > a[0] ? b : a));
  return `${before}: from ${digitsOf(low, 4)} to ${digitsOf(high, 4)}, which is head ${head} of layer ${map.layers[at]}. The JSON report has every number.`;
}

function startHeads() {
  const heads = data.heads;
  if (!heads) return;
  const nodes = heads.maps.map((_, i) => document.getElementById(`plot-head-map-${i}`));
  /** @param {Theme} theme */
  const draw = (theme) => {
    heads.maps.forEach((map, i) => {
      const node = nodes[i];
      if (!node) return;
      drawHeads(heads, map, theme, node);
      startLeads(/** @type {PlotlyElement} */ (node));
    });
  };
  const buttons = [...byId("heads-choice").children];
  buttons.forEach((button, i) => {
    button.addEventListener("click", () => {
      headNumber = i;
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      draw(currentTheme());
    });
  });
  onTheme(draw);
}
