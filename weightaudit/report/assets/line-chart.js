// @ts-check
// The charts of one number by layer, a line a role, drawn from the rows.
/** How a layer's reference lines differ where it has several. */
const REFERENCE_DASHES = ["solid", "dash", "dot", "dashdot"];

/**
 * @param {Course} course
 * @param {LineFigure} figure
 * @param {Theme} theme
 * @returns {PlotlyObject[]}
 */
function courseTraces({ role, points }, figure, theme) {
  // A logarithmic scale has no place for zero: plotly would draw lines down to it.
  const drawable = points.map(({ y }) => (y !== null && (y > 0 || scaleOf.get(figure.id) !== "log") ? y : null));
  const style = styleOfRole(role);
  const x = points.map(({ layer }) => layer);
  const colour = style[theme];
  const many = points.some(({ members }) => members.length > 1);
  const traces = [];
  if (many) {
    const edge = { mode: "lines", line: { width: 0 }, hoverinfo: "skip", showlegend: false, legendgroup: role, x };
    traces.push({ ...edge, y: points.map((p) => p.low ?? p.y) });
    traces.push({ ...edge, y: points.map((p) => p.high ?? p.y), fill: "tonexty", fillcolor: colour + "1c" });
  }
  /** @type {PlotlyObject} */
  const trace = {
    x,
    y: drawable,
    name: plotText(role) + (many ? " (median)" : ""),
    legendgroup: role,
    mode: "lines+markers",
    connectgaps: false,
    line: { color: colour, width: points.length > 30 ? 1.5 : 2, dash: style.dash },
    marker: { color: colour, size: points.length > 30 ? 5 : 7, symbol: style.symbol },
    hoverinfo: "text",
    hovertext: points.map((p) => p.text),
    customdata: points.map(({ members }) => addressOfRows(members)),
  };
  if (figure.column === "alpha") traces.push(...misfitMarked(trace, points, style.symbol, data.ink[theme].card));
  if (figure.lower && !many) {
    const apart = (/** @type {string} */ end) =>
      points.map(({ members: [row] }) => (end ? Math.abs(value(row, end) - value(row, figure.column)) : 0));
    trace.error_y = {
      type: "data",
      symmetric: false,
      array: apart(figure.upper),
      arrayminus: apart(figure.lower),
      thickness: 1.2,
      width: 4,
    };
  }
  traces.push(trace);
  return traces;
}

/**
 * Have points be hollow where most of their matrices have no power law. What comes back stands in the legend for
 * the trace, whose own entry would look like its first point.
 * @param {PlotlyObject} trace
 * @param {CoursePoint[]} points
 * @param {string} symbol
 * @param {string} paper the colour behind them
 * @returns {PlotlyObject[]}
 */
function misfitMarked(trace, points, symbol, paper) {
  const colour = trace.marker.color;
  const fit = points.map(({ members }) => {
    const tails = members.flatMap((row) => data.full?.[row.i]?.tail ?? []);
    return 2 * tails.filter((tail) => tail.fits).length >= tails.length;
  });
  const entry = { ...trace, x: [null], y: [null], hovertext: "" };
  trace.showlegend = false;
  trace.marker = {
    ...trace.marker,
    symbol: fit.map((fits) => (fits ? symbol : symbol.replace("-open", ""))),
    color: fit.map((fits) => (fits ? colour : paper)),
    line: { color: colour, width: fit.map((fits) => (fits ? 0 : 1.6)) },
  };
  return [entry];
}

/**
 * What the legend says of such points.
 * @param {LineFigure} figure
 * @param {Theme} theme
 * @returns {PlotlyObject[]}
 */
const misfitLegend = (figure, theme) =>
  figure.column === "alpha"
    ? [
        {
          x: [null],
          y: [null],
          mode: "markers",
          marker: { symbol: "circle-open", size: 7, color: data.ink[theme].muted },
          name: "hollow: no power law fits",
          hoverinfo: "skip",
        },
      ]
    : [];

/**
 * What random matrices of the shapes in a stack would have: thin lines, named in the legend.
 * @param {Reference[]} references
 * @param {PlotlyObject} across the axis of layers
 * @param {boolean} narrow whether the legend has room for one name only
 * @param {Theme} theme
 * @returns {PlotlyObject[]}
 */
const referenceTraces = (references, across, narrow, theme) =>
  references.map(({ shape: [long, short], stable_rank }, i) => ({
    x: across.range,
    y: [stable_rank, stable_rank],
    mode: "lines",
    line: { color: data.ink[theme].muted, width: 1, dash: REFERENCE_DASHES[i % REFERENCE_DASHES.length] },
    name: narrow
      ? "random, of the same shape"
      : `random ${grouped(long)} × ${grouped(short)}: ${digitsOf(stable_rank, 3)}`,
    showlegend: !narrow || i === 0,
    ...(narrow && { legendgroup: "random" }),
    hoverinfo: "skip",
  }));

/**
 * The axis of the numbers, with room at the bottom for marks of what has none.
 * @param {{ low: number, high: number }} span
 * @param {boolean} log
 * @param {boolean} room
 * @returns {PlotlyObject}
 */
function valueAxis(span, log, room) {
  if (!log) return { range: [room ? -0.12 * span.high : 0, span.high * 1.08], type: "linear" };
  const decades = Math.max(Math.log10(span.high / span.low), 0.1);
  const ticks = logTicks(span.low, span.high);
  return {
    type: "log",
    range: [
      Math.log10(span.low) - (room ? 0.12 : 0.04) * decades - 0.04,
      Math.log10(span.high) + 0.08 * Math.max(1, decades),
    ],
    tickvals: ticks,
    ticktext: tickTexts(ticks),
  };
}

/**
 * The most that a stable rank can be, as a dotted line.
 * @param {number} ceiling
 * @param {boolean} log
 * @param {Theme} theme
 * @returns {PlotlyObject}
 */
function ceilingLine(ceiling, log, theme) {
  const { muted } = data.ink[theme];
  const line = { color: muted, width: 1.2, dash: "dot" };
  return {
    shapes: [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: ceiling, y1: ceiling, line }],
    annotations: [
      {
        xref: "paper",
        x: 1,
        y: log ? Math.log10(ceiling) : ceiling,
        xanchor: "right",
        yanchor: "bottom",
        showarrow: false,
        text: `model dimension ${grouped(ceiling)}`,
        font: { color: muted, size: 12 },
      },
    ],
  };
}

/**
 * @param {LineFigure} figure
 * @param {string} stack
 * @param {Theme} theme
 * @param {HTMLElement} node
 */
function drawLines(figure, stack, theme, node) {
  const layout = baseLayout(theme, stack);
  const span = present(valueRange([figure.column, figure.lower, figure.upper]));
  const log = scaleOf.get(figure.id) === "log";
  const ranks = figure.column === "stable_rank";
  const references = ranks ? data.references.filter((one) => one.stack === stack) : [];
  const beside = [...references.map((one) => one.stable_rank), ...(ranks && data.hidden ? [data.hidden] : [])];
  // A scale from zero would have no room for the lines that it draws, so far beyond them as these may be.
  const near = beside.filter((y) => log || y <= 3 * span.high);
  const whole = { low: least([span.low, ...near]), high: most([span.high, ...near]) };
  const lines = courses(stack, figure.column);
  const lost = lines.flatMap(({ points }) => points.filter((p) => p.y === null || (log && p.y <= 0)));
  Object.assign(layout.xaxis, layerAxis(stack));
  Object.assign(layout.yaxis, { title: { text: figure.axis } }, valueAxis(whole, log, lost.length > 0));
  const narrow = node.clientWidth < NARROW;
  layout.legend = legendBelow(node);
  layout.showlegend = true;
  if (ranks && data.hidden && near.includes(data.hidden)) Object.assign(layout, ceilingLine(data.hidden, log, theme));
  const across = node.clientWidth - layout.margin.l - layout.margin.r;
  const traces = [
    ...referenceTraces(references, layout.xaxis, narrow, theme),
    ...lines.flatMap((course) => courseTraces(course, figure, theme)),
    ...ringTraces(lines, log, theme),
    ...misfitLegend(figure, theme),
    ...lostTraces(lost, layout.yaxis, across / (layout.xaxis.range[1] - layout.xaxis.range[0]), theme),
  ];
  paint(node, plotWords(`${figure.axis} by layer, one line a role`, stack, figure.column), traces, layout);
}
