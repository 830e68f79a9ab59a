// @ts-check
// What every plot has: theme, layout, ticks.
const darkMode = window.matchMedia("(prefers-color-scheme: dark)");
// The buttons are listed one by one: plotly's own choice has one that sends the figure to a server.
const SETTINGS = {
  displaylogo: false,
  displayModeBar: "hover",
  modeBarButtons: [["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]],
  plotlyServerURL: "",
  topojsonURL: "",
  responsive: true,
};
// Plots on paper, in CSS pixels: alone, and of two side by side. The page has the screen's width until it is printed.
const PAPER = 650;
const HALF_PAPER = 310;
let onPaper = false;
window.addEventListener("beforeprint", () => {
  onPaper = true;
});
window.addEventListener("afterprint", () => {
  onPaper = false;
});
/** @returns {Theme} */
const currentTheme = () => (darkMode.matches && !onPaper ? "dark" : "light");

/**
 * Draw now, and again when the theme changes or the page is printed, which is always light.
 * @param {(theme: Theme) => void} draw
 */
function onTheme(draw) {
  const now = () => draw(currentTheme());
  now();
  darkMode.addEventListener("change", now);
  window.addEventListener("beforeprint", now);
  window.addEventListener("afterprint", now);
}

/**
 * Draw `traces` into `node`; a screen reader hears `words`, and the tables hold the numbers. The drawing is the image, not
 * its element, which has buttons too.
 * @param {HTMLElement} node
 * @param {string} words
 * @param {PlotlyObject[]} traces
 * @param {PlotlyObject} layout
 */
function paint(node, words, traces, layout) {
  if (onPaper) layout.width = node.closest(".pair") ? HALF_PAPER : PAPER;
  else layout.autosize = true;
  Plotly.react(node, traces, layout, SETTINGS);
  node.querySelectorAll(".main-svg").forEach((drawing, i) => {
    const said = i ? { "aria-hidden": "true" } : { role: "img", "aria-label": words };
    for (const [name, value] of Object.entries(said)) drawing.setAttribute(name, value);
  });
}

/**
 * @param {Theme} theme
 * @param {string} title
 * @returns {PlotlyObject}
 */
function baseLayout(theme, title) {
  const ink = data.ink[theme];
  const axis = { gridcolor: ink.line, linecolor: ink.line, zeroline: false, automargin: true };
  return {
    font: { family: "system-ui, sans-serif", size: 13, color: ink.ink },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    margin: { l: 56, r: 12, t: title ? 36 : 24, b: 44 },
    ...(title && { title: { text: plotText(title), x: 0, xref: "paper", font: { size: 14 } } }),
    hovermode: "closest",
    hoverlabel: { align: "left", bgcolor: ink.card, bordercolor: ink.muted, font: { color: ink.ink, size: 12.5 } },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: ink.muted, activecolor: ink.accent },
    xaxis: { ...axis, title: { text: "layer", standoff: 8 }, tickformat: "d" },
    yaxis: { ...axis },
  };
}

/** Width of a plot, in CSS pixels, below which its legend has little room. */
const NARROW = 460;

/** @param {HTMLElement} node where it is drawn */
const legendBelow = (node) => ({
  ...{ orientation: "h", x: 0, y: 0, yref: "container", yanchor: "bottom" },
  font: { size: node.clientWidth < NARROW ? 11 : 13 },
});

/** High over low, at least, of an axis or of colours: what differs by less than a tenth is to look so. */
const LEAST_FACTOR = 1.1;

/**
 * `low` and `high`, or two numbers as far apart as any scale is, with them in the middle.
 * @param {number} low
 * @param {number} high
 * @returns {{ low: number, high: number }}
 */
function leastSpan(low, high) {
  if (high >= low * LEAST_FACTOR) return { low, high };
  const [middle, half] = [Math.sqrt(low * high), Math.sqrt(LEAST_FACTOR)];
  return { low: middle / half, high: middle * half };
}

/**
 * Round numbers between `low` and `high`, at least three: the coarsest of a logarithmic scale, else evenly spaced.
 * @param {number} low
 * @param {number} high
 * @returns {number[]}
 */
function logTicks(low, high) {
  ({ low, high } = leastSpan(low, high));
  for (const steps of [[1], [1, 2, 5], [1, 1.5, 2, 3, 4, 5, 6, 8]]) {
    const ticks = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
      for (const step of steps) {
        const tick = step * 10 ** power;
        if (tick >= low * 0.97 && tick <= high * 1.03) ticks.push(tick);
      }
    }
    if (ticks.filter((tick) => low <= tick && tick <= high).length > 2) return ticks;
  }
  return evenTicks(low, high);
}

/**
 * Multiples of 1, 2 or 5 times a power of ten between two positive numbers: of the largest of which there are three.
 * @param {number} low
 * @param {number} high
 * @returns {number[]}
 */
function evenTicks(low, high) {
  for (let power = Math.floor(Math.log10(high - low)); ; power--) {
    for (const digit of [5, 2, 1]) {
      // Divided rather than multiplied by what is no whole number: 3 × 0.1 is not 0.3.
      const multiple = (/** @type {number} */ n) => (power < 0 ? (n * digit) / 10 ** -power : n * digit * 10 ** power);
      const [first, last] = [Math.ceil(low / multiple(1)), Math.floor(high / multiple(1))];
      if (last - first > 1) return Array.from({ length: last - first + 1 }, (_, i) => multiple(first + i));
    }
  }
}

/**
 * What stands at `ticks`: all digits that they have, and one notation for them all.
 * @param {number[]} ticks
 * @returns {string[]}
 */
function tickTexts(ticks) {
  const texts = ticks.map((tick) => String(Number(tick.toPrecision(9))));
  const plain = ticks.every((tick) => tick >= 1e-4 && tick < 1e9);
  return plain ? texts : ticks.map((_, i) => Number(texts[i]).toExponential());
}

/**
 * The scale beside a heat map whose colours go by logarithms.
 * @param {number[]} ticks
 * @param {Theme} theme
 * @param {string[]} texts what stands at the ticks
 */
function colourBar(ticks, theme, texts = tickTexts(ticks)) {
  return {
    thickness: 12,
    outlinewidth: 0,
    tickvals: ticks.map(Math.log10),
    ticktext: texts,
    tickfont: { color: data.ink[theme].muted },
  };
}

// A page of a batch that was taken away from the file that all its pages share.
function tellNoPlotly() {
  for (const figure of document.querySelectorAll("figure")) {
    figure.append(
      element(
        "p",
        { class: "empty" },
        "Not drawn: plotly.js is not where this page looks for it, beside its batch's index.html.",
      ),
    );
  }
}
