// @ts-check
/**
 * Columns as html/encoding.py stores them: a function from a row's number to its text. Long ones are taken apart when asked.
 * @param {Column} column
 * @returns {(i: number) => string}
 */
function decoded(column) {
  if (typeof column === "string") return () => column;
  if (Array.isArray(column)) return (i) => column[i];
  if ("values" in column) return (i) => column.values[column.at[i]];
  if ("joined" in column) {
    /** @type {string[] | null} */
    let parts = null;
    return (i) => {
      parts ??= column.joined.split(" ");
      return parts[i];
    };
  }
  /** @type {Int32Array | null} */
  let starts = null;
  return (i) => {
    starts ??= startsOf(column);
    const pieces = column.pieces[column.at[i]];
    let text = pieces[0];
    for (let j = 1; j < pieces.length; j++) text += column.numbers[starts[i] + j - 1] + pieces[j];
    return text;
  };
}

/**
 * Where the numbers of each text begin: there is one before every piece but the first.
 * @param {{ pieces: string[][], at: number[] }} column
 */
function startsOf(column) {
  const starts = new Int32Array(column.at.length);
  let next = 0;
  column.at.forEach((which, i) => {
    starts[i] = next;
    next += column.pieces[which].length - 1;
  });
  return starts;
}

/**
 * @template {string} K
 * @param {Record<K, Column>} table
 * @returns {Record<K, (i: number) => string>}
 */
const decodedTable = (table) => {
  const columns = /** @type {[K, Column][]} */ (Object.entries(table)).map(([name, column]) => [name, decoded(column)]);
  return /** @type {Record<K, (i: number) => string>} */ (Object.fromEntries(columns));
};
