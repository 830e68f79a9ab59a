// @ts-check
// The plots by layer and the heat map, drawn from the rows.
let heatColumn = data.heat[0].column;

/**
 * @param {Row} row
 * @returns {string}
 */
function hover(row) {
  const i = row.i;
  /** @param {string} name */
  const show = (name) => digitsOf(number(i, name), 6, columns[name].rounding);
  return [
    "<b>" + plotText(placeWords(row)) + "</b>",
    `stable rank ${show("stable_rank_lower")} to ${show("stable_rank")} of ${grouped(row.full)}`,
    `inverse stable rank ${digitsOf(value(row, "inverse_stable_rank"), 4)}`,
    `Frobenius norm ${show("frobenius_norm")}`,
    `spectral norm ${show("spectral_norm")} to ${show("spectral_norm_upper")}`,
    ...spectrumWords(row),
    `${text(i, "rows")} × ${text(i, "cols")}, ${plotText(text(i, "dtype"))}, ${plotText(text(i, "method"))}`,
    ...text(i, "tensors").split(";").slice(0, 4).map(plotText),
  ].join("<br>");
}

/**
 * Numbers of the whole spectrum, where they were asked for.
 * @param {Row} row
 * @returns {string[]}
 */
function spectrumWords(row) {
  if (!data.spectra || data.spectra.values[row.i] === null) return [];
  const kind = data.spectra.estimated[row.i] ? "estimate" : "exact";
  return [
    `participation ratio ${digitsOf(value(row, "participation_ratio"), 4)} (${kind})`,
    `entropy effective rank ${digitsOf(value(row, "entropy_effective_rank"), 4)} (${kind})`,
  ];
}

/**
 * What one role shows at one layer: the number itself, or the median and range of a layer's experts.
 * @param {Row[]} members
 * @param {string} name
 * @returns {Point}
 */
function point(members, name) {
  const known = members
    .map((row) => value(row, name))
    .filter(Number.isFinite)
    .sort((a, b) => a - b);
  if (members.length === 1) return { y: known[0] ?? null, text: hover(members[0]) };
  const first = members[0];
  const label = [first.stack, "layer " + first.layer, first.role].filter(Boolean).join(data.constants.between);
  const meaning = columns[name]?.meaning ?? data.lines.find((line) => line.column === name)?.axis ?? name;
  const before = `<b>${plotText(label)}</b><br>${plotText(meaning)}<br>`;
  if (!known.length) {
    const said = `${members.length} matrices, none with finite norms`;
    return { y: null, low: null, high: null, text: before + said };
  }
  const [y, low, high] = [median(known), known[0], known[known.length - 1]];
  const numbers = `median of ${members.length}: ${digitsOf(y, 5)}<br>from ${digitsOf(low, 5)} to ${digitsOf(high, 5)}`;
  return { y, low, high, text: before + numbers };
}

/**
 * @param {string} stack
 * @param {LineFigure} figure
 * @param {Theme} theme
 * @returns {PlotlyObject[]}
 */
function lineTraces(stack, figure, theme) {
  const traces = [];
  for (const [role, layers] of byRole(stack)) {
    const style = styleOfRole(role);
    const points = layers.map(([, members]) => point(members, figure.column));
    const x = layers.map(([layer]) => layer);
    const colour = style[theme];
    const many = layers.some(([, members]) => members.length > 1);
    if (many) {
      const edge = { mode: "lines", line: { width: 0 }, hoverinfo: "skip", showlegend: false, legendgroup: role, x };
      traces.push({ ...edge, y: points.map((p) => p.low ?? p.y) });
      traces.push({ ...edge, y: points.map((p) => p.high ?? p.y), fill: "tonexty", fillcolor: colour + "1c" });
    }
    /** @type {PlotlyObject} */
    const trace = {
      x,
      y: points.map((p) => p.y),
      name: plotText(role) + (many ? " (median)" : ""),
      legendgroup: role,
      mode: "lines+markers",
      connectgaps: false,
      line: { color: colour, width: 2, dash: style.dash },
      marker: { color: colour, size: layers.length > 30 ? 5 : 7, symbol: style.symbol },
      hoverinfo: "text",
      hovertext: points.map((p) => p.text),
    };
    if (figure.lower && !many) {
      const below = layers.map(([, [row]]) => value(row, figure.column) - value(row, figure.lower));
      trace.error_y = {
        type: "data",
        symmetric: false,
        array: below.map(() => 0),
        arrayminus: below,
        thickness: 1.2,
        width: 4,
      };
    }
    traces.push(trace);
  }
  return traces;
}

/**
 * One range for all stacks, so that they can be compared.
 * @param {string[]} names
 * @param {string} scale
 * @returns {{ low: number, high: number, log: boolean } | null}
 */
function valueRange(names, scale) {
  const all = names
    .filter(Boolean)
    .flatMap((name) => layered.map((row) => value(row, name)))
    .filter((y) => Number.isFinite(y) && y > 0);
  if (!all.length) return null;
  const low = all.reduce((a, b) => Math.min(a, b));
  const high = all.reduce((a, b) => Math.max(a, b));
  return { low, high, log: scale === "log" || high > 30 * low };
}

/**
 * @param {LineFigure} figure
 * @param {string} stack
 * @param {Theme} theme
 * @param {HTMLElement} node
 */
function drawLines(figure, stack, theme, node) {
  const layout = baseLayout(theme, stack);
  const span = present(valueRange([figure.column, figure.lower], figure.scale));
  const ceiling = figure.column === "stable_rank" && data.hidden;
  Object.assign(layout.xaxis, layerAxis(stack));
  layout.yaxis.title = { text: figure.axis };
  layout.legend = { orientation: "h", x: 0, y: 0, yref: "container", yanchor: "bottom", font: { size: 13 } };
  layout.showlegend = true;
  if (span.log) {
    const top = Math.max(span.high, ceiling || 0);
    const decades = Math.log10(top / span.low);
    Object.assign(layout.yaxis, {
      type: "log",
      range: [Math.log10(span.low) - 0.08, Math.log10(top) + 0.08 * Math.max(1, decades)],
    });
    const ticks = logTicks(span.low, top);
    Object.assign(layout.yaxis, {
      tickvals: ticks,
      ticktext: ticks.map((tick) => digitsOf(tick, 2, "nearest", false)),
    });
  } else {
    layout.yaxis.range = [0, span.high * 1.08];
  }
  if (ceiling) {
    const ink = data.ink[theme];
    layout.shapes = [
      {
        type: "line",
        xref: "paper",
        x0: 0,
        x1: 1,
        y0: ceiling,
        y1: ceiling,
        line: { color: ink.muted, width: 1.2, dash: "dot" },
      },
    ];
    layout.annotations = [
      {
        xref: "paper",
        x: 1,
        y: Math.log10(ceiling),
        xanchor: "right",
        yanchor: "bottom",
        showarrow: false,
        text: `model dimension ${grouped(ceiling)}`,
        font: { color: ink.muted, size: 12 },
      },
    ];
  }
  paint(
    node,
    plotWords(`${figure.axis} by layer, one line a role`, stack, figure.column),
    lineTraces(stack, figure, theme),
    layout,
  );
}

/**
 * @param {string} stack
 * @param {Theme} theme
 * @param {HTMLElement} node
 */
function drawHeat(stack, theme, node) {
  const choice = present(data.heat.find((option) => option.column === heatColumn));
  const span = present(valueRange([heatColumn], choice.scale));
  const lines = byRole(stack);
  const numbers = [...new Set(layered.filter((row) => row.stack === stack).map((row) => row.layer))].sort(
    (a, b) => a - b,
  );
  const cells = lines.map(([, layers]) => {
    const at = new Map(layers);
    return numbers.map((layer) => {
      const members = at.get(layer);
      return members ? point(members, heatColumn) : { y: null, text: "" };
    });
  });
  const ticks = logTicks(span.low, span.high);
  const ink = data.ink[theme];
  const cell = node.clientWidth / (numbers.length + 3);
  const room = cell > 44;
  const trace = {
    type: "heatmap",
    x: numbers,
    y: lines.map(([role]) => plotText(role)),
    z: cells.map((line) => line.map((p) => (p.y !== null && p.y > 0 ? Math.log10(p.y) : null))),
    hovertext: cells.map((line) => line.map((p) => p.text)),
    hoverinfo: "text",
    hoverongaps: false,
    xgap: Math.min(2, Math.floor(cell / 5)),
    ygap: 2,
    colorscale: "Cividis",
    zmin: Math.log10(span.low),
    zmax: Math.max(Math.log10(span.high), Math.log10(span.low) + 1e-9),
    colorbar: {
      thickness: 12,
      outlinewidth: 0,
      tickvals: ticks.map(Math.log10),
      ticktext: ticks.map((tick) => digitsOf(tick, 2, "nearest", false)),
      tickfont: { color: ink.muted },
    },
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
      line.flatMap((p, c) =>
        p.y !== null && p.y > 0
          ? [
              {
                x: numbers[c],
                y: r,
                text: digitsOf(p.y, 3),
                showarrow: false,
                font: { size: 11.5, color: shade(p.y) < 0.48 ? "#ffffff" : "#000000" },
              },
            ]
          : [],
      ),
    );
  }
  Object.assign(layout.xaxis, { showgrid: false, type: "linear", ...layerAxis(stack) });
  Object.assign(layout.yaxis, { autorange: "reversed", showgrid: false, type: "category" });
  paint(node, plotWords(`${choice.label} of each role by layer, as colours`, stack, heatColumn), [trace], layout);
}

/**
 * @param {string} what
 * @param {string} stack
 * @param {string} name
 */
function plotWords(what, stack, name) {
  const here = layered.filter((row) => row.stack === stack);
  const known = here.map((row) => value(row, name)).filter(Number.isFinite);
  const layers = here.map((row) => row.layer);
  const range = known.length
    ? `from ${digitsOf(least(known), 4)} to ${digitsOf(most(known), 4)}`
    : "no number is finite";
  return `${stack ? printable(stack) + ": " : ""}${what}: ${range}, over layers ${least(layers)} to ${most(layers)}. The table of matrices has every number.`;
}

/**
 * Draws a plot for every stack into its element; null where the page has none, for want of a finite number.
 * @param {string} id
 * @param {(stack: string, theme: Theme, node: HTMLElement) => void} draw
 * @returns {((theme: Theme) => void) | null}
 */
function plots(id, draw) {
  /** @type {[stack: string, node: HTMLElement][]} */
  const nodes = stacks.flatMap((stack, i) => {
    const node = document.getElementById(`plot-${id}-${i}`);
    return node ? [[stack, node]] : [];
  });
  if (!nodes.length) return null;
  return (theme) => {
    for (const [stack, node] of nodes) draw(stack, theme, node);
  };
}

function startPlots() {
  if (!layered.length) return;
  const drawings = data.lines.map((figure) =>
    plots(figure.id, (stack, theme, node) => drawLines(figure, stack, theme, node)),
  );
  const heat = plots("heat", drawHeat);
  const buttons = [...byId("heat-choice").children];
  buttons.forEach((button, i) => {
    button.addEventListener("click", () => {
      heatColumn = data.heat[i].column;
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      heat?.(currentTheme());
    });
  });
  onTheme((theme) => {
    for (const draw of [...drawings, heat]) draw?.(theme);
  });
}
