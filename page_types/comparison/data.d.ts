type Metric = number | string | null;
type ProfileColumn = [models: number[], grids: number[], values: number[][]];

interface SummaryColumn {
  name: string;
  title: string;
  meaning: string;
  kind: "float" | "int" | "text";
}

interface ModelStyle {
  light: string;
  dark: string;
  symbol: string;
}

/** What `comparison/collect.py` makes. */
interface PageData {
  constants: PageConstants;
  count: number;
  models: {
    name: string[];
    revision: string[];
    failed: number[];
    reason: string[];
    link: string[];
    log: string[];
    family: string[];
    guessed: number[];
    findings: number[][];
    checked: number[];
  };
  columns: SummaryColumn[];
  metrics: Record<string, Metric[]>;
  profiles: {
    roles: string[];
    grids: number[][];
    depths: number;
    stable_rank: ProfileColumn[];
    frobenius_norm: ProfileColumn[];
    points: number;
    thinned: boolean;
    without: number;
    rolesLeftOut: number;
  };
  palette: ModelStyle[];
  ink: Ink;
}

interface Profile {
  x: number[];
  y: number[];
}
