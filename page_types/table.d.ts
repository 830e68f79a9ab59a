/** A column of a table: what a line shows in it, and what the table is sorted by. */
interface Field {
  name: string;
  label: string;
  title: string;
  numeric: boolean;
  opener?: boolean;
  show(i: number): string | Node;
  key(i: number): number | string;
}

interface TableOptions {
  cells?: (i: number) => HTMLElement[] | null;
  arranged?: (order: number[]) => void;
  children?: (i: number) => number[] | null;
  parent?: (i: number) => number | undefined;
  detail?: ((i: number) => Node) | null;
  words?: () => string;
  none?: () => string;
}

interface TableState {
  field: Field | null;
  ascending: boolean;
  page: number;
  given: number[];
  sorted: number[];
  lines: number[];
  size: number;
  open: Set<number>;
  marked: number | null;
}
