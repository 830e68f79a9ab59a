// @ts-check
// What the charts mark: a ring or a triangle where there is a finding, a cross where there is no number.
const SEVERITY_INK = new Map(data.constants.severities.map(({ name, css }) => [name, css === "info" ? "accent" : css]));
/** CSS pixels that the word beside a mark takes. */
const WORD_WIDTH = 80;

/**
 * The findings on `members`, as numbers of their groups, the most severe first.
 * @param {Row[]} members
 * @returns {number[]}
 */
const groupsOn = (members) =>
  [...new Set(members.flatMap((row) => findingsOn(row.i).map((at) => data.findings.group[at])))].sort((a, b) => a - b);

/**
 * Why a matrix has no norm, or none but zero; "" where it has: as by_layer.py says it.
 * @param {Row} row
 */
function noNumber(row) {
  if (number(row.i, "nonfinite") > 0) return "NaN or ∞";
  return number(row.i, "frobenius_norm") === 0 ? "all zero" : "";
}

/**
 * What the hover of a point says first: why it has no number, and the titles of its findings.
 * @param {Row[]} members
 * @returns {string[]}
 */
function troubleWords(members) {
  const unknown = [...new Set(members.map(noNumber).filter(Boolean))];
  const titles = groupsOn(members).map((at) => {
    const { severity, title } = data.findings.groups[at];
    return `<b>${severity}</b>: ${plotText(title)}`;
  });
  return [...unknown.map((word) => `<b>${word}</b>`), ...titles];
}

/**
 * Points with findings, by the most severe that each has.
 * @template {CoursePoint} P
 * @param {P[]} points
 * @returns {[severity: string, points: P[]][]}
 */
function bySeverity(points) {
  /** @type {Map<string, P[]>} */
  const found = new Map(data.constants.severities.map(({ name }) => [name, []]));
  for (const one of points) {
    const [first] = groupsOn(one.members);
    if (first !== undefined) present(found.get(data.findings.groups[first].severity)).push(one);
  }
  return [...found].filter(([, some]) => some.length);
}

/**
 * Rings around the points of a line chart; the points below say what was found.
 * @param {Course[]} lines
 * @param {boolean} log
 * @param {Theme} theme
 * @returns {PlotlyObject[]}
 */
function ringTraces(lines, log, theme) {
  const drawn = lines.flatMap(({ points }) => points.filter(({ y }) => y !== null && (!log || y > 0)));
  return bySeverity(drawn).map(([severity, points]) => ({
    x: points.map(({ layer }) => layer),
    y: points.map(({ y }) => y),
    mode: "markers",
    marker: {
      symbol: "circle-open",
      size: 14,
      color: data.ink[theme][present(SEVERITY_INK.get(severity))],
      line: { width: 2 },
    },
    name: `finding: ${severity}`,
    hoverinfo: "skip",
    cliponaxis: false,
  }));
}

/**
 * Whether a word fits beside each of `layers`: to the right up to the middle, to the left beyond it, so that between the
 * two that the middle is between stand two.
 * @param {number[]} layers in order
 * @param {number} middle
 * @param {number} pitch CSS pixels from one layer to the next
 */
const roomForWords = (layers, middle, pitch) =>
  layers.slice(1).every((layer, i) => {
    const words = layers[i] <= middle && layer > middle ? 2 : 1;
    return (layer - layers[i]) * pitch > words * WORD_WIDTH;
  });

/**
 * Crosses at the bottom of a line chart, one a layer, for points that have no place on its scale.
 * @param {CoursePoint[]} lost
 * @param {PlotlyObject} axis of the numbers
 * @param {number} pitch CSS pixels from one layer to the next
 * @param {Theme} theme
 * @returns {PlotlyObject[]}
 */
function lostTraces(lost, axis, pitch, theme) {
  if (!lost.length) return [];
  const layers = [...new Set(lost.map(({ layer }) => layer))].sort((a, b) => a - b);
  const middle = most(layered.map((row) => row.layer)) / 2;
  const room = roomForWords(layers, middle, pitch);
  const at = layers.map((layer) => lost.filter((one) => one.layer === layer));
  const words = at.map((points) => wordOf(points.flatMap(({ members }) => members)));
  const [low, high] = axis.range;
  const bottom = low + 0.04 * (high - low);
  const ink = data.ink[theme];
  return [
    {
      x: layers,
      y: layers.map(() => (axis.type === "log" ? 10 ** bottom : bottom)),
      mode: room ? "markers+text" : "markers",
      text: words.map((word) => ` ${word} `),
      textposition: layers.map((layer) => (layer > middle ? "middle left" : "middle right")),
      textfont: { color: ink.bad, size: 12 },
      marker: { symbol: "x", size: 9, color: ink.bad },
      name: [...new Set(words)].join(", "),
      hoverinfo: "text",
      hovertext: at.map((points) => points.map(({ text }) => text).join("<br><br>")),
      customdata: at.map((points) => addressOfRows(points.flatMap(({ members }) => members))),
      cliponaxis: false,
    },
  ];
}

/** @param {Row[]} members */
function wordOf(members) {
  const words = [...new Set(members.map((row) => noNumber(row) || "unknown"))];
  return words.length === 1 ? words[0] : "no number";
}

/**
 * What lies on the heat map: crosses on cells without a number, triangles on those with a finding.
 * @param {Course[]} lines
 * @param {number} cell the width of one
 * @param {boolean} numbered whether cells have their number in them
 * @param {Theme} theme
 * @returns {PlotlyObject[]}
 */
function heatMarks(lines, cell, numbered, theme) {
  const ink = data.ink[theme];
  const size = Math.max(6, Math.min(10, 0.7 * cell));
  const points = lines.flatMap((course) => course.points.map((one) => ({ ...one, role: plotText(course.role) })));
  /** @type {[word: string, symbol: string][]} */
  const reasons = [
    ["NaN or ∞", "x"],
    ["all zero", "circle-open"],
    ["unknown", "diamond-open"],
    ["no number", "x-open"],
  ];
  const lost = points.filter(({ y }) => y === null || y <= 0);
  const crosses = reasons.flatMap(([word, symbol]) => {
    const some = lost.filter(({ members }) => wordOf(members) === word);
    const marker = { symbol, size, color: ink.bad, line: { width: symbol.endsWith("-open") ? 2 : 0, color: ink.bad } };
    return some.length ? [heatTrace(some, word, marker)] : [];
  });
  const drawn = points.filter(({ y }) => y !== null && y > 0);
  const triangles = bySeverity(drawn).map(([severity, some]) => {
    const color = data.ink.light[present(SEVERITY_INK.get(severity))];
    const marker = { symbol: "triangle-up", size, color, line: { width: 1.5, color: "#ffffff" } };
    const beside = numbered ? some.map((one) => ({ ...one, layer: one.layer - 0.42 })) : some;
    return heatTrace(beside, `finding: ${severity}`, marker);
  });
  return [...crosses, ...triangles];
}

/**
 * @param {(CoursePoint & { role: string })[]} points
 * @param {string} name
 * @param {PlotlyObject} marker
 * @returns {PlotlyObject}
 */
const heatTrace = (points, name, marker) => ({
  x: points.map(({ layer }) => layer),
  y: points.map(({ role }) => role),
  mode: "markers",
  marker,
  name,
  hoverinfo: "text",
  hovertext: points.map(({ text }) => text),
  customdata: points.map(({ members }) => addressOfRows(members)),
});
