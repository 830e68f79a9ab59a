interface LineFigure {
  id: string;
  column: string;
  lower: string;
  scale: string;
  axis: string;
  height: number;
  upper: string;
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

/** From `eigenvalues.py`: how many λ lie in bins; `start` and `width` are of log₁₀ λ where the axes are logarithmic. */
interface Histogram {
  start: number;
  width: number;
  counts: number[];
  shuffled: number[];
  below: number;
  beyond: number;
}

/** A random matrix beside; the edges and the threshold are singular values. */
interface Bulk {
  lower: number;
  upper: number;
  threshold: number;
  level: number;
  spikes: number;
  /** null where there are no entries to shuffle. */
  shuffledSpikes: number | null;
}

type Alternative = [ratio: number | null, p: number | null];

/** The power law of the largest λ. */
interface Tail {
  alpha: number;
  alpha_lower: number | null;
  alpha_upper: number | null;
  level: number;
  x_min: number;
  x_max: number;
  p_value: number | null;
  hill_alpha: number | null;
  count: number;
  fits: boolean;
  lognormal: Alternative;
  exponential: Alternative;
}

/** From `full_spectra.py`: the whole spectrum of one matrix. */
interface FullMatrix {
  count: number;
  largest: number;
  log: Histogram | null;
  linear: Histogram | null;
  bulk: Bulk | null;
  tail: Tail | null;
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
  full: (FullMatrix | null)[] | null;
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
