// @ts-check
// What people type above a table, as conditions that a row meets all of: "layer 3 M1", "stable_rank<5", a part of a name.

/**
 * @typedef {object} FilterTerms
 * @property {string[]} roles
 * @property {string[]} stacks
 * @property {Record<string, boolean>} columns the names that a comparison may have, and whether they are numbers
 */

/** @typedef {{ kind: "layer" | "expert", ranges: [low: number, high: number][] | null }} NumberCondition */
/** @typedef {{ kind: "role" | "stack", is: string }} PlaceCondition */
/** @typedef {{ kind: "number", column: string, sign: string, limit: number }} Comparison */
/** @typedef {{ kind: "text", column: string, sign: string, is: string }} Equality */
/** @typedef {{ kind: "name", part: string }} NameCondition */
/** @typedef {(NumberCondition | PlaceCondition | Comparison | Equality | NameCondition) & { said: string }} Condition */

const FILTER_HELP =
  "layer 3 · layer 3,5-7 · 3 M1 · expert 7 · decoder · stable_rank<5 · zeros>0 · dtype=float16 · part of a tensor's name";
const FILTER_PIECES = /"([^"]*)"?|([\p{L}_][\w-]*)\s*(<=|>=|!=|<|>|=)\s*([^\s"<>=]+)|(\S+)/gu;
const NUMBER_SET = /^\d{1,9}(?:-\d{1,9})?(?:,\d{1,9}(?:-\d{1,9})?)*,?$/;

/**
 * The conditions in `typed`, and of each comparison that cannot be understood why not.
 * @param {string} typed
 * @param {FilterTerms} terms
 * @returns {{ conditions: Condition[], problems: string[] }}
 */
function parseFilter(typed, terms) {
  /** @type {Condition[]} */
  const conditions = [];
  /** @type {string[]} */
  const problems = [];
  /** @type {"layer" | "expert" | null} the word that waits for its number */
  let waiting = null;

  /**
   * @param {"layer" | "expert"} kind
   * @param {string | null} set
   */
  function numbered(kind, set) {
    conditions.push({
      kind,
      ranges: set === null ? null : rangesOf(set),
      said: set === null ? `any ${kind}` : `${kind} ${set}`,
    });
  }

  function giveUpWaiting() {
    if (waiting) numbered(waiting, null);
    waiting = null;
  }

  for (const [, quoted, name, sign, limit, word] of typed.matchAll(FILTER_PIECES)) {
    if (word !== undefined && waiting && NUMBER_SET.test(word)) {
      numbered(waiting, word);
      waiting = null;
      continue;
    }
    giveUpWaiting();
    if (quoted !== undefined) {
      if (quoted) conditions.push(nameCondition(quoted));
    } else if (name !== undefined) {
      const found = comparison(name, sign, limit, terms);
      if (typeof found === "string") problems.push(found);
      else conditions.push(found);
    } else {
      const [, place, set] = /^(layer|expert)s?[:#]?(.*)$/i.exec(word) ?? [];
      if (place && set === "") waiting = place.toLowerCase() === "layer" ? "layer" : "expert";
      else if (place && NUMBER_SET.test(set)) numbered(place.toLowerCase() === "layer" ? "layer" : "expert", set);
      else conditions.push(wordCondition(word, terms));
    }
  }
  giveUpWaiting();
  return { conditions, problems };
}

/**
 * A word of its own: a layer's number, a role, a stack, or else a part of a name.
 * @param {string} word
 * @param {FilterTerms} terms
 * @returns {Condition}
 */
function wordCondition(word, terms) {
  if (NUMBER_SET.test(word)) return { kind: "layer", ranges: rangesOf(word), said: `layer ${word}` };
  /** @param {string} one */
  const same = (one) => one.toLowerCase() === word.toLowerCase();
  const role = terms.roles.find(same);
  if (role !== undefined) return { kind: "role", is: role, said: `role ${role}` };
  const stack = terms.stacks.find(same);
  if (stack) return { kind: "stack", is: stack, said: stack };
  return nameCondition(word);
}

/**
 * @param {string} part
 * @returns {Condition}
 */
const nameCondition = (part) => ({ kind: "name", part: part.toLowerCase(), said: `“${part}” in a name` });

/**
 * "3,5-7" as the ends of its ranges.
 * @param {string} set
 * @returns {[low: number, high: number][]}
 */
const rangesOf = (set) =>
  set
    .split(",")
    .filter(Boolean)
    .map((range) => {
      const [low, high] = range.split("-").map(Number);
      return [low, high ?? low];
    });

/**
 * A column that starts with `name` compared with `limit`, or why that cannot be.
 * @param {string} name
 * @param {string} sign
 * @param {string} limit
 * @param {FilterTerms} terms
 * @returns {Condition | string}
 */
function comparison(name, sign, limit, terms) {
  const wanted = name.toLowerCase().replaceAll("-", "_");
  const names = Object.keys(terms.columns);
  const column = names.find((one) => one === wanted) ?? names.find((one) => one.startsWith(wanted));
  if (column === undefined) return `No column is called ${name}; there are ${names.join(", ")}.`;
  if (!terms.columns[column]) {
    if (sign !== "=" && sign !== "!=") return `${column} is text: ask ${column}=… or ${column}!=… of it.`;
    return { kind: "text", column, sign, is: limit.toLowerCase(), said: `${column} ${sign} ${limit}` };
  }
  const number = /^[+-]?(inf|infinity|∞)$/i.test(limit)
    ? Number(`${limit.startsWith("-") ? "-" : ""}Infinity`)
    : Number(limit.replaceAll(",", ""));
  if (Number.isNaN(number)) return `${column} is a number, and ${limit} is none.`;
  return { kind: "number", column, sign, limit: number, said: `${column} ${sign} ${limit}` };
}

/**
 * Whether `row` meets `condition`. What is not known meets no comparison.
 * @param {Condition} condition
 * @param {FilterRow} row
 * @returns {boolean}
 */
function meets(condition, row) {
  switch (condition.kind) {
    case "layer":
    case "expert": {
      const at = condition.kind === "layer" ? row.layer : row.expert;
      if (condition.ranges === null) return !Number.isNaN(at);
      return condition.ranges.some(([low, high]) => low <= at && at <= high);
    }
    case "role":
      return row.role === condition.is;
    case "stack":
      return row.stack === condition.is;
    case "name":
      return row.names().includes(condition.part);
    case "text": {
      const equal = row.text(condition.column).toLowerCase() === condition.is;
      return condition.sign === "=" ? equal : !equal;
    }
    case "number":
      return compared(row.number(condition.column), condition.sign, condition.limit);
  }
}

/**
 * @param {number} x
 * @param {string} sign
 * @param {number} limit
 */
function compared(x, sign, limit) {
  if (Number.isNaN(x)) return false;
  if (sign === "<") return x < limit;
  if (sign === "<=") return x <= limit;
  if (sign === ">") return x > limit;
  if (sign === ">=") return x >= limit;
  return sign === "=" ? x === limit : x !== limit;
}
