// Draws the curves of a case when it is opened, and again when the width, the theme or the medium changes.
(() => {
  "use strict";

  const DASHES = { policy: [], ds_eplb: [6, 4], static: [2, 3], clairvoyant: [10, 3, 2, 3] };
  const HEIGHT = 245;
  const drawn = new Map();

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

  // The iterations that are the same for every policy.
  function shade(plot, fixed) {
    if (!fixed) return;
    const left = plot.bbox.left, right = Math.min(plot.valToPos(fixed, "x", true), left + plot.bbox.width);
    plot.ctx.fillStyle = colour("soft");
    plot.ctx.fillRect(left, plot.bbox.top, Math.max(right - left, 0), plot.bbox.height);
  }

  function options(data, names, width) {
    const whole = data.whole;
    const axis = {
      stroke: colour("muted"),
      grid: { stroke: colour("line"), width: 1 },
      ticks: { stroke: colour("line"), width: 1, size: 5 },
      font: "12px system-ui, sans-serif",
    };
    const value = (number) => (number == null ? "–" : whole ? String(number) : number.toFixed(3));
    const last = (iteration) => Math.min(iteration + data.size - 1, data.iterations);
    return {
      width,
      height: HEIGHT,
      scales: {
        x: { time: false, range: (_, low, high) => [low, high] },
        y: { range: (_, low, high) => [whole ? 0 : Math.min(1, low), high + 0.05 * (high - Math.min(1, low)) + 0.01] },
      },
      axes: [
        { ...axis, label: "iteration", labelSize: 18, size: 34, labelFont: axis.font, values: (_, marks) => marks.map(String) },
        { ...axis, label: data.unit, labelSize: 18, labelFont: axis.font, size: 46, values: (_, marks) => marks.map((mark) => (whole ? compact.format(mark) : String(+mark.toFixed(2)))) },
      ],
      series: [
        { label: "iteration", value: (_, first) => (first == null ? "–" : data.size > 1 ? `${first} to ${last(first)}` : String(first)) },
        ...names.map((name) => ({
          label: data.labels[name],
          stroke: colour(name),
          width: name === "policy" ? 2.5 : 1.5,
          dash: DASHES[name],
          points: { show: false },
          value: (_, number) => value(number),
        })),
      ],
      cursor: { y: false },
      hooks: { drawClear: [(plot) => shade(plot, data.fixed)] },
    };
  }

  function draw(figure) {
    const plot = figure.querySelector(".plot");
    const width = Math.floor(plot.clientWidth);
    if (!width) return;
    drawn.get(figure)?.destroy();
    const data = JSON.parse(figure.querySelector("script").textContent);
    const names = Object.keys(data.curves);
    const first = data.curves[names[0]].map((_, point) => 1 + point * data.size);
    const columns = [first, ...names.map((name) => data.curves[name])];
    drawn.set(figure, new uPlot(options(data, names, width), columns, plot));
    plot.querySelector(".u-legend").setAttribute("aria-label", `${plot.dataset.name}: the values at the pointer`);
    const canvas = plot.querySelector("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${plot.dataset.name}: ${names.map((name) => data.labels[name]).join(", ")}`);
  }

  const redraw = () => [...drawn.keys()].forEach(draw);
  const watch = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const figure = target.closest("figure");
      const width = Math.floor(target.clientWidth);
      if (width && drawn.get(figure)?.width !== width) draw(figure);
    }
  });
  document.querySelectorAll(".plot").forEach((plot) => watch.observe(plot));

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  const paper = (on) => () => {
    document.documentElement.classList.toggle("paper", on);
    redraw();
  };
  addEventListener("beforeprint", paper(true));
  addEventListener("afterprint", paper(false));
})();
