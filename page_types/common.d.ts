// What both kinds of pages share.
type Theme = "light" | "dark";
type Rounding = "nearest" | "down" | "up";
type Ink = Record<Theme, Record<string, string>>;

/** From `page_constants.py`: what the page's HTML and its scripts both need. */
interface PageConstants {
  /** Between the words of a place. */
  between: string;
  /** Of thousands, millions and so on. */
  units: string[];
  /** Gravest first; `css` is the class of its colours. */
  severities: { name: string; plural: string; css: string }[];
  /** Lines of a table at a time, on the screen and in print. */
  lines: number;
  printed: number;
}

// biome-ignore lint/suspicious/noExplicitAny: plotly's own types are 100 times this file
type PlotlyObject = Record<string, any>;

interface PlotlyLibrary {
  react(node: HTMLElement, traces: PlotlyObject[], layout: PlotlyObject, settings: PlotlyObject): void;
  toImage(figure: PlotlyObject, options: PlotlyObject): Promise<string>;
}

/** An element that plotly drew in. */
interface PlotlyElement extends HTMLElement {
  data: PlotlyObject[];
  layout: PlotlyObject;
  on(event: string, handler: (event: PlotlyEvent) => void): void;
}

interface PlotlyEvent {
  points: { data: { uid?: string }; customdata?: string }[];
}

/** Not there before `plotlyStarted`, nor where the file that a page shares was taken away. */
declare const Plotly: PlotlyLibrary;

interface Window {
  Plotly?: PlotlyLibrary;
}
