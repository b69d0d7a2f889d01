"use strict";
// Draws the figures of a report from the data in the page, sorts its table, and shows one pair of models at a time.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const words = data.words;
  const symbols = ["circle", "square", "diamond", "triangle-up", "cross", "x", "star", "pentagon"];
  const dashes = ["solid", "dash", "dot", "dashdot"];
  const style = () => getComputedStyle(document.documentElement);
  const colour = (index) => style().getPropertyValue(`--c${index % 16}`).trim();
  const fonts = getComputedStyle(document.body).fontFamily;
  const isNarrow = () => window.innerWidth < 640;

  const axis = (title, more = {}) => ({
    title: { text: title, standoff: 8 }, gridcolor: style().getPropertyValue("--line").trim(), zeroline: false, automargin: true,
    fixedrange: true, ...more,
  });

  const layout = (x, y, more = {}) => {
    const ink = style().getPropertyValue("--ink").trim();
    return {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { family: fonts, color: ink, size: isNarrow() ? 11 : 13 },
      margin: { l: 8, r: 12, t: 8, b: 8 }, xaxis: x, yaxis: y, dragmode: false, hovermode: "closest", showlegend: true,
      legend: { orientation: "h", x: 0, y: 1.02, xanchor: "left", yanchor: "bottom" },
      hoverlabel: { font: { family: fonts } }, ...more,
    };
  };

  const draw = (name, traces, shape) => {
    const place = document.getElementById(`plot-${name}`);
    if (place) Plotly.react(place, traces, shape, { responsive: true, displayModeBar: false, scrollZoom: false });
  };

  const look = (index) => ({
    marker: { color: colour(index), symbol: symbols[index % symbols.length], size: 9 },
    line: { color: colour(index), width: 2, dash: dashes[Math.floor(index / 4) % dashes.length] },
  });

  const curves = () => {
    const traces = data.models.map((model, index) => ({
      ...look(index), name: model.name, x: model.curve.map((point) => point[0]), y: model.curve.map((point) => point[1]),
      mode: model.curve.length > 1 ? "lines+markers" : "markers",
      marker: { ...look(index).marker, size: model.curve.length > 1 ? 6 : 12 },
      hovertemplate: "%{y:.3f} · %{x:.1f} s<extra>%{fullData.name}</extra>",
    })).filter((trace) => trace.x.length > 0);
    draw("curves", traces, layout(axis(words.axis_seconds, { type: "log", dtick: 1 }), axis(words.bits_per_byte)));
  };

  // The models that no other one beats in both respects, from the cheapest to the best.
  const frontier = (key) => {
    const known = data.models.filter((model) => model.bits !== null && model[key] > 0).sort((a, b) => a[key] - b[key] || a.bits - b.bits);
    let best = Infinity;
    return known.filter((model) => { const better = model.bits < best; best = Math.min(best, model.bits); return better; });
  };

  const pareto = (key, title, unit) => {
    const edge = frontier(key);
    const grey = style().getPropertyValue("--quiet").trim();
    const line = {
      x: edge.map((model) => model[key]), y: edge.map((model) => model.bits), mode: "lines", line: { color: grey, width: 1.5, shape: "hv", dash: "dot" },
      hoverinfo: "skip", showlegend: false,
    };
    const traces = data.models.map((model, index) => ({
      name: model.name, x: [model[key]], y: [model.bits], mode: "markers", marker: { ...look(index).marker, size: 13 },
      hovertemplate: `%{y:.3f} · %{x:.3~g} ${unit}<extra>%{fullData.name}</extra>`,
    })).filter((trace) => trace.x[0] > 0);
    draw(key, [line, ...traces], layout(axis(title, { type: "log", dtick: 1 }), axis(words.bits_per_byte)));
  };

  const breakdown = (name, title) => {
    const part = data[name];
    const shares = {
      type: "bar", name: words.share, x: part.labels, y: part.shares, yaxis: "y2", marker: { color: style().getPropertyValue("--quiet").trim(), opacity: 0.18 },
      hovertemplate: "%{y:.1%}<extra>%{fullData.name}</extra>",
    };
    const last = part.labels.length - 1; // line ends are no step further: a mark of their own, without a line to it
    const traces = data.models.flatMap((model, index) => {
      const common = {
        ...look(index), name: model.name, legendgroup: model.name, hovertemplate: "%{x}: %{y:.3f}<extra>%{fullData.name}</extra>",
      };
      const [x, y] = [part.labels, part.values[index]];
      return [
        { ...common, x: x.slice(0, last), y: y.slice(0, last), mode: "lines+markers" },
        { ...common, x: x.slice(last), y: y.slice(last), mode: "markers", showlegend: false },
      ];
    });
    const second = axis("", { overlaying: "y", side: "right", showgrid: false, tickformat: ".0%", rangemode: "tozero", visible: !isNarrow() });
    draw(name, [shares, ...traces], layout(
      axis(title, { type: "category" }), axis(words.bits_per_byte, { rangemode: "tozero" }), { yaxis2: second },
    ));
  };

  const drawAll = () => {
    curves();
    pareto("disk", words.axis_disk, "MB");
    pareto("latency", words.axis_latency, "ms");
    breakdown("frequency", words.axis_frequency);
    breakdown("position", words.axis_position);
  };

  const sortable = (table) => {
    const heads = [...table.querySelectorAll("thead th")];
    heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
      const descending = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const body = table.tBodies[0];
      const value = (row) => Number(row.cells[column].dataset.value);
      [...body.rows].sort((a, b) => (descending ? value(b) - value(a) : value(a) - value(b))).forEach((row) => body.append(row));
    }));
  };

  const choosable = () => {
    const chooser = document.getElementById("pairs");
    if (!chooser) return;
    const pairs = [...document.querySelectorAll(".pair")];
    const show = () => pairs.forEach((pair) => { pair.hidden = pair.dataset.pair !== chooser.value; });
    pairs.forEach((pair) => { pair.querySelector("h3").hidden = true; });
    chooser.closest("p").hidden = false;
    chooser.addEventListener("change", show);
    show();
  };

  document.querySelectorAll("table.sortable").forEach(sortable);
  choosable();
  drawAll();
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  let narrow = isNarrow();
  window.addEventListener("resize", () => { if (narrow !== isNarrow()) { narrow = isNarrow(); drawAll(); } });
})();
