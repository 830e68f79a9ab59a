/** A column of text as `html/encoding.py` stores it. */
type Column =
  | string
  | string[]
  | { joined: string }
  | { values: string[]; at: number[] }
  | { pieces: string[][]; at: number[]; numbers: number[] };

interface LineFigure {
  id: string;
  column: string;
  lower: string;
  scale: string;
  axis: string;
  height: number;
}

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

interface Spectra {
  participation_ratio: (number | null)[];
  entropy_effective_rank: (number | null)[];
  estimated: (boolean | null)[];
  values: (number[] | null)[];
  bounds: (number[] | null)[];
  nodes: (number[] | null)[];
  cumulative: (number[] | null)[];
}

/** What `html/payload.py` makes. */
interface PageData {
  constants: PageConstants;
  file: string;
  count: number;
  columns: TableColumn[];
  derived: TableColumn[];
  cells: Record<string, Column>;
  roles: RoleStyle[];
  ink: Ink;
  lines: LineFigure[];
  heat: { column: string; label: string; scale: string }[];
  spectra: Spectra | null;
  hidden: number | null;
  findings: {
    groups: { id: string; severity: string; title: string }[];
    group: number[];
    row: number[];
    detail: Column;
  };
  digests: Column;
  command: { before: string; after: string };
  coverageCount: number;
  coverage: Record<"tensor" | "shape" | "dtype" | "parameters" | "status" | "roles" | "detail", Column>;
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

/** What one role shows at one layer. */
interface Point {
  y: number | null;
  low?: number | null;
  high?: number | null;
  text: string;
}
