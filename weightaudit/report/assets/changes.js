// @ts-check
// What changed where, as colours, and the spectrum of one change.
const did = decoded(data.did);
const kindIndex = new Map(data.kinds.map((style, i) => [style.kind, i]));
/** What the heat map shows: a column, or "kind". */
const HEATS = ["relative", "above_floor", "kind"];
let heatColumn = HEATS[0];
/** Numbers beside a scale of colours. */
const MOST_TICKS = 8;
/** Decades that a scale of colours spans at least, so that numbers that are nearly equal look it. */
const LEAST_SPAN = 0.5;

/**
 * A matrix's place, or the names of a vector's tensors.
 * @param {Row} row
 */
const nameOf = (row) => (row.role ? placeWords(row) : printable(text(row.i, "tensors")));

/** @param {number} i */
const kindOf = (i) => present(kindIndex.get(text(i, "kind")));

/**
 * Whether a change is at or below what rounding makes.
 * @param {number} i
 */
const atFloor = (i) => number(i, "relative") > 0 && number(i, "above_floor") < data.floor;

/**
 * A share for people, as `diff/verdict.py` tells it.
 * @param {number} x
 * @param {number} [digits]
 */
function relativeWords(x, digits = 3) {
  if (Number.isNaN(x)) return "unknown";
  if (x === Infinity) return "∞, from zero";
  if (x > 0 && x < 1e-4) return digitsOf(x, digits, "nearest", false);
  return x ? `${digitsOf(100 * x, digits, "nearest", false)} %` : "0";
}

/**
 * A number of the heat map, in a cell and beside its colours.
 * @param {number} x
 */
const heatWords = (x) => (heatColumn === "relative" ? relativeWords(x, 2) : digitsOf(x, 2, "nearest", false));

/**
 * Common logarithms between which colours are given to numbers from `low` to `high`.
 * @param {number} low
 * @param {number} high
 */
function colourRange(low, high) {
  const [first, last] = [Math.log10(low), Math.log10(high)];
  const wider = Math.max(LEAST_SPAN - (last - first), 0) / 2;
  return [first - wider, last + wider];
}

/**
 * What is known of a change, for the pointer.
 * @param {Row} row
 */
function changeHover(row) {
  const i = row.i;
  const rank = text(i, "stable_rank")
    ? `stable rank ${digitsOf(number(i, "stable_rank_lower"), 4, "down")} to ${digitsOf(number(i, "stable_rank"), 4, "up")}`
    : "";
  const above = text(i, "above_floor") && `‖Δ‖² ${digitsOf(number(i, "above_floor"), 3)} times that of rounding`;
  return [
    "<b>" + plotText(nameOf(row)) + "</b>",
    plotText(did(i)),
    `relative size ${relativeWords(number(i, "relative"))}`,
  ]
    .concat([above, rank].filter(Boolean))
    .join("<br>");
}

/**
 * A layer's matrices of one role as one cell: the median of their numbers, and the kind that most of them are.
 * @param {Row[]} members
 * @returns {HeatCell}
 */
function heatCell(members) {
  const kinds = members.map((row) => kindOf(row.i));
  const often = kinds.reduce((best, kind) =>
    kinds.filter((k) => k === kind).length > kinds.filter((k) => k === best).length ? kind : best,
  );
  const floor = members.every((row) => atFloor(row.i));
  const hovers =
    members.length === 1 ? changeHover(members[0]) : `${members.length} matrices<br>${changeHover(members[0])}`;
  if (heatColumn === "kind") return { y: often, kind: often, floor, text: hovers };
  const known = members
    .map((row) => number(row.i, heatColumn))
    .filter((x) => Number.isFinite(x) && x > 0)
    .sort((a, b) => a - b);
  return { y: known.length ? median(known) : null, kind: often, floor, text: hovers };
}

/**
 * @param {HeatCell[]} cells
 * @param {Theme} theme
 * @returns {PlotlyObject}
 */
function heatColours(cells, theme) {
  if (heatColumn === "kind") {
    const count = data.kinds.length;
    const steps = data.kinds.flatMap((style, i) => [
      [i / count, style[theme]],
      [(i + 1) / count, style[theme]],
    ]);
    return { colorscale: steps, zmin: -0.5, zmax: count - 0.5, showscale: false };
  }
  const known = cells.flatMap(({ y }) => (y === null ? [] : [y]));
  const [low, high] = known.length ? [least(known), most(known)] : [1, 10];
  const [zmin, zmax] = colourRange(low, high);
  const all = logTicks(10 ** zmin, 10 ** zmax);
  const ticks = all.filter((_, i) => i % Math.ceil(all.length / MOST_TICKS) === 0);
  return {
    colorscale: "Cividis",
    zmin,
    zmax,
    colorbar: colourBar(ticks, theme, heatColumn === "relative" ? ticks.map(heatWords) : tickTexts(ticks)),
  };
}

/**
 * What stands in a cell: its number, or the mark of its kind.
 * @param {HeatCell} cell
 */
const cellWords = (cell) =>
  cell.y === null ? "" : heatColumn === "kind" ? data.kinds[cell.kind].mark : heatWords(cell.y);

/**
 * Black or white, whichever can be read on a colour written #rrggbb.
 * @param {string} colour
 */
function inkOn(colour) {
  const [r, g, b] = [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16));
  return 0.299 * r + 0.587 * g + 0.114 * b < 140 ? "#ffffff" : "#000000";
}

/**
 * @param {string} stack
 * @param {Theme} theme
 * @param {HTMLElement} node
 */
function drawHeat(stack, theme, node) {
  const lines = byRole(stack);
  const here = layered.filter((row) => row.stack === stack);
  const numbers = [...new Set(here.map((row) => row.layer))].sort((a, b) => a - b);
  const cells = lines.map(([, layers]) => {
    const at = new Map(layers);
    return numbers.map((layer) => {
      const members = at.get(layer);
      return members ? heatCell(members) : null;
    });
  });
  const colours = heatColours(
    cells.flat().flatMap((cell) => cell ?? []),
    theme,
  );
  const width = node.clientWidth / (numbers.length + 3);
  const z = cells.map((line) =>
    line.map((cell) => (cell?.y == null ? null : heatColumn === "kind" ? cell.y : Math.log10(cell.y))),
  );
  const trace = {
    type: "heatmap",
    x: numbers,
    y: lines.map(([role]) => plotText(role)),
    z,
    hovertext: cells.map((line) => line.map((cell) => cell?.text ?? "")),
    hoverinfo: "text",
    hoverongaps: true,
    xgap: Math.min(2, Math.floor(width / 5)),
    ygap: 2,
    ...colours,
  };
  // Below the colours, so that a cell without one is seen to be there.
  const paper = {
    ...trace,
    z: cells.map((line) => line.map((cell) => (cell ? 0 : null))),
    colorscale: [
      [0, data.ink[theme].line],
      [1, data.ink[theme].line],
    ],
    showscale: false,
  };
  const layout = baseLayout(theme, stack);
  layout.dragmode = false;
  layout.shapes = [];
  layout.annotations = [];
  cells.forEach((line, r) => {
    line.forEach((cell, c) => {
      if (!cell) return;
      if (cell.floor) {
        const [x0, x1, y0, y1] = [numbers[c] - 0.44, numbers[c] + 0.44, r - 0.4, r + 0.4];
        const line = { color: data.ink[theme].bad, width: 1.5, dash: "dot" };
        layout.shapes.push({ type: "rect", x0, x1, y0, y1, line });
      }
      if (width <= (heatColumn === "kind" ? 16 : 40) || !cellWords(cell)) return;
      const shade = heatColumn === "kind" ? 0 : (Number(z[r][c]) - colours.zmin) / (colours.zmax - colours.zmin);
      const color = heatColumn === "kind" ? inkOn(data.kinds[cell.kind][theme]) : shade < 0.48 ? "#ffffff" : "#000000";
      layout.annotations.push({
        x: numbers[c],
        y: r,
        text: plotText(cellWords(cell)),
        showarrow: false,
        font: { size: 11.5, color },
      });
    });
  });
  Object.assign(layout.xaxis, { showgrid: false, type: "linear", ...layerAxis(stack) });
  Object.assign(layout.yaxis, { autorange: "reversed", showgrid: false, type: "category" });
  const shown = byId("heat-choice").querySelector("[aria-pressed='true']")?.textContent ?? "";
  const words = `${stack ? printable(stack) + ": " : ""}${shown} of the change of each role by layer, as colours. The table has every number.`;
  paint(node, words, [paper, trace], layout);
}

function startHeat() {
  const choice = document.getElementById("heat-choice");
  if (!choice) return;
  const buttons = [...choice.children];
  /** @param {Theme} theme */
  const draw = (theme) => {
    stacks.forEach((stack, i) => {
      drawHeat(stack, theme, byId(`plot-heat-${i}`));
    });
  };
  buttons.forEach((button, i) => {
    button.addEventListener("click", () => {
      heatColumn = HEATS[i];
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      draw(currentTheme());
    });
  });
  onTheme(draw);
}

/**
 * A line across the plot, and what it stands for.
 * @param {number} y
 * @param {string} words
 * @param {string} color
 * @param {string} dash
 */
const edgeLine = (y, words, color, dash) => ({
  shape: { type: "line", xref: "paper", x0: 0, x1: 1, y0: y, y1: y, line: { color, width: 1.6, dash } },
  // At the left, below its line: at the right above lie plotly's buttons.
  note: {
    xref: "paper",
    x: 0,
    y: Math.log10(y),
    xanchor: "left",
    yanchor: "top",
    showarrow: false,
    text: words,
    font: { color, size: 12 },
  },
});

/**
 * @param {Row} row
 * @param {Theme} theme
 * @param {HTMLElement} node
 */
function drawSpectrum(row, theme, node) {
  const [values, edge, noise, estimate] = present(data.spectra[row.i]);
  const ink = data.ink[theme];
  const layout = baseLayout(theme, "");
  layout.margin.t = 16;
  layout.showlegend = false;
  layout.xaxis.title = { text: "number, from the largest" };
  const count = Math.max(values.length, 4, ...estimate.map(([number_]) => number_));
  const numbers = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000].filter((x) => x <= count);
  Object.assign(layout.xaxis, {
    type: "log",
    range: [-0.08, Math.log10(count) + 0.04],
    tickvals: numbers,
    ticktext: numbers.map(String),
  });
  const known = [...values, edge, noise, ...estimate.map(([, value]) => value)].flatMap((x) =>
    x !== null && x > 0 ? [x] : [],
  );
  if (!known.length) return;
  const [low, high] = [least(known), most(known)];
  const ticks = logTicks(low, high);
  Object.assign(layout.yaxis, {
    type: "log",
    title: { text: "singular value of Δ" },
    range: [Math.log10(low) - Math.max(0.12, 0.09 * Math.log10(high / low)), Math.log10(high) + 0.15],
    tickvals: ticks,
    ticktext: tickTexts(ticks),
  });
  const edges = [
    ...(edge ? [edgeLine(edge, "edge of rounding", ink.bad, "dot")] : []),
    ...(noise ? [edgeLine(noise, "white noise of this size", ink.muted, "dash")] : []),
  ];
  layout.shapes = edges.map(({ shape }) => shape);
  layout.annotations = edges.map(({ note }) => note);
  const rank = text(row.i, "rank");
  const trace = {
    x: values.map((_, i) => i + 1),
    y: values,
    mode: "lines+markers",
    line: { color: data.kinds[kindOf(row.i)][theme], width: 1 },
    marker: { color: data.kinds[kindOf(row.i)][theme], size: 7 },
    hoverinfo: "text",
    hovertext: values.map((x, i) => `singular value ${i + 1}: ${digitsOf(x ?? NaN, 4)}`),
  };
  const every = {
    x: [1, ...estimate.map(([number_]) => number_)],
    y: [estimate[0]?.[1], ...estimate.map(([, value]) => value)],
    mode: "lines",
    line: { color: ink.muted, width: 1.6, dash: "dash", shape: "vh" },
    hoverinfo: "text",
    hovertext: [
      "",
      ...estimate.map(
        ([number_, value]) => `about ${digitsOf(number_, 3)} are ${digitsOf(value, 3)} or more<br>estimate`,
      ),
    ],
  };
  const words = `Leading singular values of the change of ${nameOf(row)}: ${values.length}${rank && `, rank ${rank}`}; the edge of rounding is ${digitsOf(edge ?? NaN, 3)}`;
  paint(node, words, estimate.length ? [every, trace] : [trace], layout);
}

function startSpectrum() {
  const host = document.getElementById("spectrum-choice");
  if (!host) return;
  const known = rows.filter((row) => data.spectra[row.i] !== null);
  const largest = known.reduce((a, b) => (number(b.i, "relative") > number(a.i, "relative") ? b : a));
  chooseRow(host, known, nameOf, known.indexOf(largest), (row, theme) => {
    const said = [printable(did(row.i)), `${text(row.i, "rows")} × ${text(row.i, "cols")}`];
    said.push(
      `relative size ${relativeWords(number(row.i, "relative"))}`,
      `flatness ${digitsOf(number(row.i, "flatness"), 3)}`,
    );
    byId("spectrum-numbers").textContent = said.join(", ");
    drawSpectrum(row, theme, byId("spectrum-leading"));
  });
}
