// @ts-check
// Every matrix as one cell, a role a line and a layer a column, drawn from the rows.
let heatColumn = data.heat[0].column;

/** @param {string} column what the colours are to show, once it is drawn again */
function showInHeat(column) {
  heatColumn = column;
}

/**
 * @param {string} stack
 * @param {Theme} theme
 * @param {HTMLElement} node
 */
function drawHeat(stack, theme, node) {
  const choice = present(data.heat.find((option) => option.column === heatColumn));
  const range = present(valueRange([heatColumn]));
  const span = leastSpan(range.low, range.high);
  const lines = courses(stack, heatColumn);
  const numbers = [...new Set(layered.filter((row) => row.stack === stack).map((row) => row.layer))].sort(
    (a, b) => a - b,
  );
  const cells = lines.map(({ points }) => {
    const at = new Map(points.map((one) => [one.layer, one]));
    return numbers.map((layer) => at.get(layer));
  });
  /** @param {number | null | undefined} y */
  const drawable = (y) => y !== null && y !== undefined && y > 0;
  const ticks = logTicks(span.low, span.high);
  const cell = node.clientWidth / (numbers.length + 3);
  const room = cell > 44;
  const trace = {
    type: "heatmap",
    x: numbers,
    y: lines.map(({ role }) => plotText(role)),
    z: cells.map((line) => line.map((p) => (p && drawable(p.y) ? Math.log10(present(p.y)) : null))),
    hovertext: cells.map((line) => line.map((p) => p?.text ?? "")),
    customdata: cells.map((line) => line.map((p) => (p ? addressOfRows(p.members) : ""))),
    hoverinfo: "text",
    hoverongaps: false,
    xgap: Math.min(2, Math.floor(cell / 5)),
    ygap: 2,
    colorscale: "Cividis",
    zmin: Math.log10(span.low),
    zmax: Math.log10(span.high),
    colorbar: colourBar(ticks, theme),
  };
  const layout = baseLayout(theme, stack);
  layout.dragmode = false;
  if (room) {
    /**
     * Labels of our own: plotly's pick greys that cannot be read on the middle of the scale.
     * @param {number} y
     */
    const shade = (y) => (Math.log10(y) - trace.zmin) / (trace.zmax - trace.zmin);
    layout.annotations = cells.flatMap((line, r) =>
      line.flatMap((p, c) => {
        if (!p || !drawable(p.y)) return [];
        const y = present(p.y);
        const font = { size: 11.5, color: shade(y) < 0.48 ? "#ffffff" : "#000000" };
        return [{ x: numbers[c], y: r, text: digitsOf(y, 3), showarrow: false, font }];
      }),
    );
  }
  const marks = heatMarks(lines, cell, room, theme);
  if (marks.length) {
    layout.legend = { ...legendBelow(node), itemsizing: "constant" };
    layout.showlegend = true;
    layout.margin.b = 76;
  }
  Object.assign(layout.xaxis, { showgrid: false, type: "linear", ...layerAxis(stack) });
  Object.assign(layout.yaxis, { autorange: "reversed", showgrid: false, type: "category" });
  paint(
    node,
    plotWords(`${choice.label} of each role by layer, as colours`, stack, heatColumn),
    [trace, ...marks],
    layout,
  );
}
