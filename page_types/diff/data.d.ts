/** A kind of change, as `diff/kinds.py` has it. */
interface KindStyle {
  kind: string;
  light: string;
  dark: string;
  mark: string;
  meaning: string;
}

/**
 * Leading singular values of a change, the edge of rounding, σ₁ of white noise as large as the change, and all singular
 * values as they are estimated: each with how many are no smaller.
 */
type ChangeSpectrum = [
  values: (number | null)[],
  edge: number | null,
  noise: number | null,
  estimate: [number, number][],
];

/** What `diff/payload.py` makes. */
interface PageData {
  constants: PageConstants;
  file: string;
  count: number;
  columns: TableColumn[];
  derived: TableColumn[];
  cells: Record<string, Column>;
  roles: RoleStyle[];
  kinds: KindStyle[];
  did: Column;
  ink: Ink;
  floor: number;
  spectra: (ChangeSpectrum | null)[];
  findings: ShownFindings;
  anchors: Column;
}

/** What the heat map shows of one role at one layer. */
interface HeatCell {
  y: number | null;
  kind: number;
  floor: boolean;
  text: string;
}
