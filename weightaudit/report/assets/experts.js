// @ts-check
/**
 * A layer's experts of one role are one line of the table. Such groups are numbered after the rows.
 * @type {{ all: number[], members: number[] }[]}
 */
const groups = [];
/** @type {Map<number, number>} */
const groupOf = new Map();

function findGroups() {
  const found = new Map();
  for (const row of rows) {
    if (row.expert === "") continue;
    const key = `${row.layer}/${roleIndex.get(row.role)}/${row.stack}`;
    if (!found.has(key)) found.set(key, []);
    found.get(key).push(row.i);
  }
  for (const members of found.values()) {
    if (members.length < 2) continue;
    const id = rows.length + groups.length;
    groups.push({ all: members, members });
    for (const i of members) groupOf.set(i, id);
  }
}

/** @param {number} id */
const isGroup = (id) => id >= rows.length;
/** @param {number} id */
const groupAt = (id) => groups[id - rows.length];

/**
 * Lines for the rows in `kept`, each group in the place of its first; it holds those of its rows that are kept.
 * @param {number[]} kept
 * @returns {number[]}
 */
function groupedLines(kept) {
  for (const group of groups) group.members = [];
  const lines = [];
  for (const i of kept) {
    const id = groupOf.get(i);
    if (id === undefined) {
      lines.push(i);
    } else {
      if (!groupAt(id).members.length) lines.push(id);
      groupAt(id).members.push(i);
    }
  }
  return lines;
}

/**
 * @param {number} id
 * @param {string} name
 */
function groupNumbers(id, name) {
  return groupAt(id)
    .members.map((i) => value(rows[i], name))
    .filter((x) => !Number.isNaN(x))
    .sort((a, b) => a - b);
}

const SUMMED = ["zeros", "nonfinite", "parameters"];

/**
 * What a group is sorted by: the median, and the sum of counts.
 * @param {number} id
 * @param {string} name
 */
function groupKey(id, name) {
  const known = groupNumbers(id, name);
  if (SUMMED.includes(name)) return known.reduce((sum, x) => sum + x, 0);
  return known.length ? median(known) : NaN;
}

/**
 * @param {number} id
 * @param {string} name
 * @returns {string | Node}
 */
function groupCell(id, name) {
  const { all, members } = groupAt(id);
  const { numeric, whole, rounding } = columns[name];
  const several = `${members.length === all.length ? "" : grouped(members.length) + " of "}${grouped(all.length)} experts`;
  if (name === "expert") return several;
  if (name === "converged") {
    const yes = members.filter((i) => text(i, name) === "true").length;
    return yes === members.length ? "yes" : `${grouped(yes)} of ${grouped(members.length)}`;
  }
  if (name === "tensors")
    return shared(members.map((i) => text(i, name)))
      .map((part) => printable(part))
      .join("…");
  if (!numeric) {
    const distinct = [...new Set(members.map((i) => text(i, name)))];
    return distinct.length === 1 ? printable(distinct[0]) : "several";
  }
  const known = groupNumbers(id, name);
  if (SUMMED.includes(name)) return grouped(groupKey(id, name));
  if (!known.length) return name === "layer" ? "" : UNKNOWN;
  const [low, high] = [known[0], known[known.length - 1]];
  /** @type {(x: number, rounding?: Rounding) => string} */
  const show = whole ? (x) => grouped(x) : (x, rounding) => digitsOf(x, 4, rounding);
  if (low === high) return whole ? grouped(low) : digitsOf(low, 6, rounding);
  return element("span", {}, element("b", {}, show(median(known))), ` (${show(low, "down")}–${show(high, "up")})`);
}

/**
 * What all `names` begin and end with.
 * @param {string[]} names
 * @returns {[start: string, end: string]}
 */
function shared(names) {
  const [first, ...others] = names;
  let start = first.length;
  for (const name of others) while (!name.startsWith(first.slice(0, start))) start--;
  let end = first.length - start;
  for (const name of others) while (end > name.length - start || !name.endsWith(first.slice(first.length - end))) end--;
  return [first.slice(0, start), first.slice(first.length - end)];
}
