// @ts-check
// What people type above a table, as conditions that a row is to meet: "layer 3 M1", "stable_rank<5", a part of a name.

/**
 * @typedef {object} FilterTerms
 * @property {string[]} roles
 * @property {string[]} stacks
 * @property {string[]} rules those that found something
 * @property {{ name: string, plural: string }[]} severities
 * @property {Record<string, boolean>} columns the names that a comparison may have, and whether they are numbers
 */

/** @typedef {{ kind: "layer" | "expert", ranges: [low: number, high: number][] | null }} NumberCondition */
/** @typedef {{ kind: "role" | "stack" | "finding", is: string }} PlaceCondition */
/** @typedef {{ kind: "number", column: string, sign: string, limit: number }} Comparison */
/** @typedef {{ kind: "text", column: string, sign: string, is: string }} Equality */
/** @typedef {{ kind: "name", part: string }} NameCondition */
/** @typedef {(NumberCondition | PlaceCondition | Comparison | Equality | NameCondition) & { said: string }} Condition */

const FILTER_HELP =
  "layer 3 · layer 3,5-7 · L3 M1 · M1 M2 · expert 7 · decoder · error · stable_rank<5 · zeros>0 · dtype=float16 · part of a tensor's name";
const FILTER_PIECES = /"([^"]*)"?|([\p{L}_][\w-]*)\s*(<=|>=|!=|==|[<>=≤≥≠])\s*([^\s"<>=≤≥≠]+)|(\S+)/gu;
const NUMBER_SET = /^\d{1,9}(?:-\d{1,9})?(?:,\d{1,9}(?:-\d{1,9})?)*,?$/;
/** Of these a row meets one of each kind: it has only one layer. */
const EITHER = ["layer", "expert", "role", "stack", "finding"];

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
  /** @type {"layer" | "expert" | null} the word that waits for its number, or after a comma for one more */
  let waiting = null;
  let more = false;

  /**
   * @param {"layer" | "expert"} kind
   * @param {string} set
   */
  function numbered(kind, set) {
    conditions.push(numberCondition(kind, set));
    more = set.endsWith(",");
    waiting = more ? kind : null;
  }

  function giveUpWaiting() {
    if (waiting && !more) conditions.push({ kind: waiting, ranges: null, said: `any ${waiting}` });
    waiting = null;
    more = false;
  }

  for (const [, quoted, name, sign, limit, word] of typed.matchAll(FILTER_PIECES)) {
    if (word !== undefined && waiting && NUMBER_SET.test(word)) {
      numbered(waiting, word);
      continue;
    }
    giveUpWaiting();
    if (quoted !== undefined) {
      if (quoted) conditions.push(nameCondition(quoted));
    } else if (name !== undefined) {
      const found = comparison(name, SIGNS.get(sign) ?? sign, limit, terms);
      if (typeof found === "string") problems.push(found);
      else conditions.push(...found);
    } else {
      const [, place, set] = /^(layer|expert)s?[:#]?(.*)$/i.exec(word) ?? [];
      if (place && set === "") waiting = place.toLowerCase() === "layer" ? "layer" : "expert";
      else if (place && NUMBER_SET.test(set)) numbered(place.toLowerCase() === "layer" ? "layer" : "expert", set);
      else conditions.push(...wordConditions(word.replace(/,+$/, ""), terms));
    }
  }
  giveUpWaiting();
  return { conditions, problems };
}

/**
 * Words of their own, between commas where there are several: layers' numbers, roles, stacks, rules and severities, or
 * else all of it as a part of a name.
 * @param {string} word
 * @param {FilterTerms} terms
 * @returns {Condition[]}
 */
function wordConditions(word, terms) {
  if (!word) return [];
  if (NUMBER_SET.test(word)) return [numberCondition("layer", word)];
  const known = word.split(",").map((one) => knownWord(one, terms));
  return known.every((one) => one !== null) ? known : [nameCondition(word)];
}

/**
 * @param {string} word
 * @param {FilterTerms} terms
 * @returns {Condition | null}
 */
function knownWord(word, terms) {
  const place = placeCondition(word, "role", terms) ?? placeCondition(word, "stack", terms);
  if (place) return place;
  const [, layer] = /^L?(\d.*)$/i.exec(word) ?? [];
  if (layer && NUMBER_SET.test(layer)) return numberCondition("layer", layer);
  const wanted = word.toLowerCase();
  const severity = terms.severities.find(({ name, plural }) => name === wanted || plural === wanted);
  if (severity) return { kind: "finding", is: severity.name, said: `findings: ${severity.name}` };
  const rule = terms.rules.find((id) => id.toLowerCase() === wanted);
  return rule ? { kind: "finding", is: rule, said: `findings: ${rule}` } : null;
}

/**
 * The role or stack that is called `word`.
 * @param {string} word
 * @param {"role" | "stack"} kind
 * @param {FilterTerms} terms
 * @returns {Condition | null}
 */
function placeCondition(word, kind, terms) {
  const named = kind === "role" ? terms.roles : terms.stacks;
  const is = named.find((one) => one && one.toLowerCase() === word.toLowerCase());
  return is ? { kind, is, said: `${kind} ${is}` } : null;
}

/**
 * @param {string} part
 * @returns {Condition}
 */
const nameCondition = (part) => ({ kind: "name", part: part.toLowerCase(), said: `“${part}” in a name` });

/**
 * @param {"layer" | "expert"} kind
 * @param {string} set
 * @returns {Condition}
 */
const numberCondition = (kind, set) => ({ kind, ranges: rangesOf(set), said: `${kind} ${set.replace(/,$/, "")}` });

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
 * Conditions of which a row meets one, each list of them: those of one kind, or one alone.
 * @param {Condition[]} conditions
 * @returns {Condition[][]}
 */
function alternatives(conditions) {
  /** @type {Map<unknown, Condition[]>} */
  const found = new Map();
  for (const one of conditions) {
    const kind = EITHER.includes(one.kind) ? one.kind : one;
    found.set(kind, [...(found.get(kind) ?? []), one]);
  }
  return [...found.values()];
}

/**
 * How `conditions` were understood.
 * @param {Condition[]} conditions
 */
const saidOf = (conditions) =>
  alternatives(conditions)
    .map((some) => some.map(({ said }) => said).join(" or "))
    .join(", ");

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
    case "finding":
      return row.found().includes(condition.is);
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
