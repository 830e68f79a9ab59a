// @ts-check
// The matrices within layers: by stack, role and layer.
const layered = rows.filter((row) => row.role && !Number.isNaN(row.layer));
const stacks = [...new Set(layered.map((row) => row.stack))];

/**
 * Rows of one stack by role and layer: Map role → sorted list of {layer, rows}.
 * @param {string} stack
 * @returns {[role: string, layers: [layer: number, members: Row[]][]][]}
 */
function byRole(stack) {
  /** @type {Map<string, Map<number, Row[]>>} */
  const found = new Map(data.roles.map((style) => [style.role, new Map()]));
  for (const row of layered) {
    if (row.stack !== stack) continue;
    const layers = present(found.get(row.role));
    layers.set(row.layer, [...(layers.get(row.layer) ?? []), row]);
  }
  return [...found]
    .filter(([, layers]) => layers.size)
    .map(([role, layers]) => [role, [...layers].sort((a, b) => a[0] - b[0])]);
}

/**
 * @param {string} stack
 * @returns {PlotlyObject}
 */
function layerAxis(stack) {
  const numbers = layered.filter((row) => row.stack === stack).map((row) => row.layer);
  const [first, last] = [least(numbers), most(numbers)];
  return { range: [first - 0.5, last + 0.5], ...(last - first < 16 && { dtick: 1 }) };
}
