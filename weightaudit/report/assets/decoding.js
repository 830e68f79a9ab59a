// Columns as html/encoding.py stores them: a function from a row's number to its text. Long ones are taken apart when asked.
function decoded(column) {
  if (typeof column === "string") return () => column;
  if (Array.isArray(column)) return (i) => column[i];
  if ("values" in column) return (i) => column.values[column.at[i]];
  if ("joined" in column) {
    let parts = null;
    return (i) => (parts ??= column.joined.split(" "))[i];
  }
  let starts = null;
  return (i) => {
    starts ??= startsOf(column);
    const pieces = column.pieces[column.at[i]];
    let text = pieces[0];
    for (let j = 1; j < pieces.length; j++) text += column.numbers[starts[i] + j - 1] + pieces[j];
    return text;
  };
}

// Where the numbers of each text begin: there is one before every piece but the first.
function startsOf(column) {
  const starts = new Int32Array(column.at.length);
  let next = 0;
  column.at.forEach((which, i) => {
    starts[i] = next;
    next += column.pieces[which].length - 1;
  });
  return starts;
}

const decodedTable = (table) => Object.fromEntries(Object.entries(table).map(([name, column]) => [name, decoded(column)]));
