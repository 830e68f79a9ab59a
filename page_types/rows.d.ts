/** A column of text as `html/encoding.py` stores it. */
type Column =
  | string
  | string[]
  | { joined: string }
  | { values: string[]; at: number[] }
  | { pieces: string[][]; at: number[]; numbers: number[] };

interface TableColumn {
  name: string;
  label: string;
  meaning: string;
  numeric: boolean;
  whole: boolean;
  rounding: Rounding;
}

interface RoleStyle {
  role: string;
  light: string;
  dark: string;
  dash: string;
  symbol: string;
}

/** What `html/findings.py` says of the findings on rows. */
interface ShownFindings {
  groups: { id: string; severity: string; title: string }[];
  group: number[];
  row: number[];
  detail: Column;
}

/** What an address says the table shows; "" where it says nothing of it. `rule` is the name of a group of findings. */
interface View {
  filter: string;
  role: string;
  rule: string;
  experts: string;
}

/** What the filter asks of a row. */
interface FilterRow {
  layer: number;
  expert: number;
  role: string;
  stack: string;
  names(): string;
  /** The rules that found something on it, and their severities. */
  found(): string[];
  number(column: string): number;
  text(column: string): string;
}

/** One matrix. `layer` is NaN outside the layers, `expert` "" where it is none. */
interface Row {
  i: number;
  stack: string;
  layer: number;
  expert: string;
  role: string;
  /** The full rank. */
  full: number;
}
