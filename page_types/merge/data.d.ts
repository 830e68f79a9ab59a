/** The inner products of one matrix, as `merge/payload.py` has them. */
interface Meeting {
  place: { stack: string; layer: number | null; expert: number | null; role: string };
  cols: number;
  inner: (number | null)[][];
  on_inputs: (number | null)[][][];
  participation: (number | null)[];
  errors: (number | null)[];
}

interface Effect {
  retention: number;
  contamination: number;
  chance: number;
  disturbance: number;
  lift: number;
}

interface Standing extends Effect {
  first_layer: number;
  matrices: number;
}

interface RoleStyle {
  role: string;
  light: string;
  dark: string;
  dash: string;
  symbol: string;
}

/** What `merge/payload.py` makes. */
interface PageData {
  constants: PageConstants;
  ink: Ink;
  models: string[];
  weights: number[];
  suggested: number[];
  roles: RoleStyle[];
  meetings: Meeting[];
}
