/** What `paper/page.py` makes. */
type PageData = { data: PlotlyObject[]; layout: PlotlyObject }[];
