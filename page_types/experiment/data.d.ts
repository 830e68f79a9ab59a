interface Figure {
  words: string;
  data: PlotlyObject[];
  layout: { xaxis: PlotlyObject; yaxis: PlotlyObject; beside: boolean; showlegend: boolean };
}

/** What `paper/plots.py` makes. */
interface PageData {
  ink: Ink;
  /** Of each colour of the figures, what it is on dark paper. */
  dark: Record<string, string>;
  figures: Figure[];
}
