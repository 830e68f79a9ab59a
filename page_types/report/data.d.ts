interface LineFigure {
  id: string;
  column: string;
  lower: string;
  scale: string;
  axis: string;
  height: number;
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

/** Heads of one stack and kind of attention: `numbers` by name, then by layer, then by head. */
interface HeadMap {
  stack: string;
  attention: string;
  layers: number[];
  /** Heads of queries to one of keys and values, by layer. */
  shares: number[];
  numbers: Record<string, (number | null)[][]>;
}

interface HeadData {
  choices: { name: string; label: string }[];
  maps: HeadMap[];
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
  heads?: HeadData;
  hidden: number | null;
  findings: ShownFindings;
  references: Reference[];
  anchors: Column;
  digests: Column;
  command: { before: string; after: string };
  coverageCount: number;
  coverage: Record<"tensor" | "shape" | "dtype" | "parameters" | "status" | "roles" | "detail", Column>;
}

/** What one role shows at one layer. */
interface Point {
  y: number | null;
  low?: number | null;
  high?: number | null;
  text: string;
}

/** The same, with where it is and of which matrices. */
interface CoursePoint extends Point {
  layer: number;
  members: Row[];
}

interface Course {
  role: string;
  points: CoursePoint[];
}

/** From `reference.py`: the stable rank of random matrices of one shape. */
interface Reference {
  stack: string;
  shape: [long: number, short: number];
  roles: string[];
  stable_rank: number;
}
