// @ts-check
// All eigenvalues of one matrix: their density, logarithmic or linear, beside a random matrix and a power law.
const EIGENVALUE_AXES = "eigenvalues";
scaleOf.set(EIGENVALUE_AXES, "log");
const TWO_COLUMNS = { entrywidth: 0.6, entrywidthmode: "fraction", xref: "container" };
/** Points of a curve. */
const CURVE = 160;

/**
 * Edges of the bins as λ.
 * @param {Histogram} bins
 * @param {boolean} log
 * @returns {number[]}
 */
const binEdges = ({ start, width, counts }, log) =>
  Array.from({ length: counts.length + 1 }, (_, i) => (log ? 10 ** (start + i * width) : start + i * width));

/**
 * Shares of `count` eigenvalues per unit of λ.
 * @param {number[]} counts
 * @param {number[]} edges
 * @param {number} count
 * @returns {number[]}
 */
const densities = (counts, edges, count) => counts.map((n, i) => n / (count * (edges[i + 1] - edges[i])));

/**
 * Numbers from `low` to `high`, evenly spaced on the axis that they are drawn on.
 * @param {number} low
 * @param {number} high
 * @param {boolean} log
 * @returns {number[]}
 */
function curvePoints(low, high, log) {
  const at = (/** @type {number} */ i) => i / CURVE;
  return Array.from({ length: CURVE + 1 }, (_, i) => (log ? low * (high / low) ** at(i) : low + (high - low) * at(i)));
}

/**
 * Bins from `first` up to `last` as a line of steps.
 * @param {number[]} edges
 * @param {number[]} heights
 * @param {number} bottom what stands for 0, which a logarithmic axis has not
 * @param {number} first
 * @param {number} last
 */
function steps(edges, heights, bottom, first, last) {
  const shown = heights.slice(first, last).map((height) => Math.max(height, bottom));
  return {
    x: [edges[first], ...edges.slice(first, last + 1)],
    y: [bottom, ...shown, bottom],
    mode: "lines",
  };
}

/**
 * @param {Row} row
 * @param {Theme} theme
 * @param {HTMLElement} node
 */
function drawEigenvalues(row, theme, node) {
  const full = data.full?.[row.i] ?? null;
  const log = scaleOf.get(EIGENVALUE_AXES) === "log";
  const bins = full && (log ? full.log : full.linear);
  byId("spectrum-bulk").textContent = full ? bulkWords(full) : "The whole spectrum of this matrix is not known.";
  byId("spectrum-tail").textContent = full ? tailWords(full.tail) : "";
  const layout = spectrumLayout(theme, "eigenvalue λ = σ²", "density");
  if (!full || !bins) {
    paint(node, `Eigenvalues of ${placeWords(row)}: not known`, [], layout);
    return;
  }
  const edges = binEdges(bins, log);
  const heights = densities(bins.counts, edges, full.count);
  const beside = densities(bins.shuffled, edges, full.count);
  const drawn = [...heights, ...beside].filter((height) => height > 0);
  const { bulk } = full;
  // As high as the random matrix within the bins: next to 0 it may have no bound.
  const random = edges.slice(1).map((edge, i) => (bulk ? randomDensity(bulk, full.count, (edges[i] + edge) / 2) : 0));
  const [low, high] = [log ? least(drawn) / 3 : 0, most([...drawn, ...random]) * (log ? 3 : 1.08)];
  layout.xaxis.range = [edges[0], edges[edges.length - 1]].map((x) => (log ? Math.log10(x) : x));
  layout.yaxis.range = [low, high].map((y) => (log ? Math.log10(y) : y));
  for (const axis of [layout.xaxis, layout.yaxis]) Object.assign(axis, axisKind(log));
  layout.showlegend = true;
  layout.legend = { ...legendBelow(node), ...(node.clientWidth < NARROW && TWO_COLUMNS) };
  layout.margin.t = 24;
  if (bins.beyond) layout.annotations = [beyondWords(full, bins, theme)];
  const traces = [
    ...histogramTraces(full, bins, { edges, heights, beside, bottom: low }, styleOfRole(row.role)[theme], theme),
    ...bulkTraces(full, edges, [low, high], log, theme),
    ...tailTraces(full, edges, log, theme),
  ];
  const said = `Density of the eigenvalues of ${placeWords(row)}, ${log ? "logarithmic" : "linear"} axes. `;
  paint(node, said + bulkWords(full) + " " + tailWords(full.tail), traces, layout);
}

/**
 * @param {boolean} log
 * @returns {PlotlyObject}
 */
const axisKind = (log) =>
  log ? { type: "log", dtick: 1, exponentformat: "power", rangemode: "normal" } : { type: "linear" };

/**
 * @param {FullMatrix} full
 * @param {Histogram} bins
 * @param {Theme} theme
 */
const beyondWords = (full, bins, theme) => ({
  ...{ xref: "paper", yref: "paper", x: 1, y: 1, xanchor: "right", yanchor: "top", showarrow: false },
  text: `${grouped(bins.beyond)} more up to ${digitsOf(full.largest, 3)} →`,
  font: { color: data.ink[theme].muted, size: 12 },
});

/**
 * The eigenvalues with the spikes among them, and those of the shuffled entries.
 * @param {FullMatrix} full
 * @param {Histogram} bins
 * @param {{ edges: number[], heights: number[], beside: number[], bottom: number }} shown
 * @param {string} colour
 * @param {Theme} theme
 * @returns {PlotlyObject[]}
 */
function histogramTraces({ bulk }, { counts, shuffled }, { edges, heights, beside, bottom }, colour, theme) {
  const ink = data.ink[theme];
  // Half a bin of room: an edge lies on the threshold, but for rounding.
  const threshold = bulk ? bulk.threshold ** 2 : Infinity;
  const found = edges.findIndex((edge, i) => i < counts.length && (edge + edges[i + 1]) / 2 > threshold);
  const split = found < 0 ? counts.length : found;
  /**
   * @param {number[]} numbers
   * @param {number} i
   * @param {string} what
   */
  const words = (numbers, i, what) =>
    `${grouped(numbers[i])} ${what}<br>from ${digitsOf(edges[i], 3)} to ${digitsOf(edges[i + 1], 3)}`;
  /**
   * @param {number} first
   * @param {number} last
   * @param {string} what
   */
  const hovers = (first, last, what) => [
    "",
    ...counts.slice(first, last).map((_, i) => words(counts, first + i, what)),
    "",
  ];
  const traces = [
    {
      ...steps(edges, heights, bottom, 0, split),
      name: "eigenvalues",
      line: { shape: "hv", color: colour, width: 1.6 },
      fill: "tozeroy",
      fillcolor: colour + "24",
      hoverinfo: "text",
      hovertext: hovers(0, split, "eigenvalues"),
    },
    ...(shuffled.some(Boolean)
      ? [
          {
            ...steps(edges, beside, bottom, 0, counts.length),
            name: "shuffled entries",
            line: { shape: "hv", color: ink.muted, width: 1.4, dash: "dot" },
            hoverinfo: "text",
            hovertext: ["", ...shuffled.map((_, i) => words(shuffled, i, "of the shuffled entries")), ""],
          },
        ]
      : []),
  ];
  if (bulk?.spikes && split < counts.length) {
    traces.splice(1, 0, {
      ...steps(edges, heights, bottom, split, counts.length),
      name: bulk.spikes === 1 ? "1 spike" : `${grouped(bulk.spikes)} spikes`,
      line: { shape: "hv", color: colour, width: 1.6 },
      fill: "tozeroy",
      fillcolor: colour + "99",
      hoverinfo: "text",
      hovertext: hovers(split, counts.length, "spikes"),
    });
  }
  return traces;
}

/**
 * The random matrix: its density, its edge, and the threshold of spikes.
 * @param {FullMatrix} full
 * @param {number[]} edges
 * @param {[low: number, high: number]} span
 * @param {boolean} log
 * @param {Theme} theme
 * @returns {PlotlyObject[]}
 */
function bulkTraces({ bulk, count }, edges, span, log, theme) {
  if (!bulk) return [];
  const ink = data.ink[theme];
  const first = Math.max(bulk.lower ** 2, edges[0]) || edges[1] / 20;
  const x = curvePoints(first, bulk.upper ** 2, log);
  const y = x.map((at) => randomDensity(bulk, count, at) || (log ? null : 0));
  /**
   * @param {number} sigma
   * @param {string} name
   * @param {string} dash
   */
  const upright = (sigma, name, dash) => ({
    x: [sigma ** 2, sigma ** 2],
    y: span,
    mode: "lines",
    name,
    line: { color: ink.ink, width: 1, dash },
    hoverinfo: "text",
    hovertext: `${name}<br>λ = ${digitsOf(sigma ** 2, 4)}`,
  });
  return [
    { x, y, mode: "lines", name: "Marchenko–Pastur", line: { color: ink.ink, width: 2 }, hoverinfo: "skip" },
    { ...upright(bulk.upper, "Marchenko–Pastur edge", "dash"), showlegend: false },
    { ...upright(bulk.threshold, "Tracy–Widom threshold", "dot"), name: "Tracy–Widom" },
  ];
}

/**
 * The power law from x_min to the largest eigenvalue, dashed where it does not fit.
 * @param {FullMatrix} full
 * @param {number[]} edges
 * @param {boolean} log
 * @param {Theme} theme
 * @returns {PlotlyObject[]}
 */
function tailTraces({ tail, count }, edges, log, theme) {
  if (!tail) return [];
  const last = Math.min(tail.x_max, edges[edges.length - 1]);
  if (last <= tail.x_min) return [];
  const x = curvePoints(tail.x_min, last, log);
  return [
    {
      x,
      y: x.map((at) => tailDensity(tail, count, at)),
      mode: "lines",
      name: `${tail.fits ? "power law," : "no fit,"} α = ${digitsOf(tail.alpha, 3)}`,
      line: { color: data.ink[theme].warn, width: 2.6, dash: tail.fits ? "solid" : "dash" },
      hoverinfo: "text",
      hovertext: alphaWords(tail),
    },
  ];
}
