// Draws the figures, in the colours of the reader's scheme, and shows what is selected.
(() => {
  "use strict";
  const root = document.documentElement;
  const data = JSON.parse(document.getElementById("data").textContent);
  const panel = document.getElementById("selected");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const touch = matchMedia("(pointer: coarse)");
  const config = {
    responsive: true,
    displaylogo: false,
    displayModeBar: touch.matches ? false : "hover",
    // Named one by one: among plotly's own is one that sends the figure to its makers' server.
    modeBarButtons: [["zoom2d", "pan2d"], ["zoomIn2d", "zoomOut2d", "resetScale2d"], ["toImage"]],
    showSendToCloud: false,
    plotlyServerURL: "",
  };
  let selected = null;

  // Texts become text nodes: nothing from the data is ever read as markup.
  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  function themed(layout) {
    const style = getComputedStyle(root);
    const color = (name) => style.getPropertyValue(name).trim();
    const made = structuredClone(layout);
    made.font = { family: getComputedStyle(document.body).fontFamily, size: 13, color: color("--ink") };
    for (const name of Object.keys(made).filter((key) => /^[xy]axis/.test(key))) {
      made[name] = {
        gridcolor: color("--grid"), linecolor: color("--grid"), automargin: true, ...made[name],
      };
    }
    made.hoverlabel = {
      ...made.hoverlabel,
      bgcolor: color("--surface"), bordercolor: color("--edge"), font: { color: color("--ink") },
    };
    made.modebar = { bgcolor: "rgba(0,0,0,0)", color: color("--quiet"), activecolor: color("--ink") };
    made.dragmode = touch.matches ? false : "zoom";
    made.uirevision = "same";
    return made;
  }

  // A ring around the selected candidate, wherever it is drawn.
  function rings(traces) {
    if (selected === null) return [];
    const ink = getComputedStyle(root).getPropertyValue("--ink").trim();
    return traces.flatMap((trace) => {
      const at = (trace.customdata || []).indexOf(selected);
      if (at < 0) return [];
      return [{
        type: "scatter", mode: "markers", x: [trace.x[at]], y: [trace.y[at]],
        xaxis: trace.xaxis, yaxis: trace.yaxis, hoverinfo: "skip", showlegend: false,
        marker: { symbol: "circle-open", size: 20, color: ink, line: { width: 2 } },
      }];
    });
  }

  function draw(name) {
    const { data: traces, layout } = data.figures[name];
    const place = document.getElementById(`plot-${name}`);
    return Plotly.react(place, [...traces, ...rings(traces)], themed(layout), config);
  }

  function drawAll() {
    return Promise.all(Object.keys(data.figures).map(draw));
  }

  function kernelTable(kernels) {
    const some = (name) => kernels.some((kernel) => kernel[name] !== "–");
    const columns = [
      ["predicted", data.predicted], ["measured", "measured (µs)"], ["roofline", "roofline (µs)"],
    ].filter(([name]) => some(name));
    const head = element("tr", {}, element("th", { scope: "col" }, "kernel and its schedule"));
    for (const [, label] of columns) head.append(element("th", { scope: "col", class: "n" }, label));
    const rows = kernels.map((kernel) => {
      const bar = element("span", { class: "bar" });
      bar.style.width = `${(100 * kernel.share).toFixed(1)}%`;
      const row = element("tr", {},
        element("th", { scope: "row" },
          kernel.title, element("code", { class: "quiet" }, kernel.schedule), bar));
      for (const [name] of columns) row.append(element("td", { class: "n" }, kernel[name]));
      return row;
    });
    return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Kernels" },
      element("table", {},
        element("caption", {}, "Kernels in order; the bar is a kernel's share of the time."),
        element("thead", {}, head), element("tbody", {}, ...rows)));
  }

  function drawCurve(place, curve) {
    const layout = {
      ...data.figures.front?.layout,
      xaxis: { title: { text: "iteration" }, zeroline: false },
      yaxis: { title: { text: data.curveName }, rangemode: "tozero" },
      margin: { l: 58, r: 12, t: 12, b: 44 }, showlegend: false,
    };
    const line = {
      type: "scatter", mode: curve.length > 40 ? "lines" : "lines+markers",
      x: curve.map((point) => point[0]), y: curve.map((point) => point[1]),
      line: { color: "#3b82c4", width: 2 }, marker: { size: 5 },
      hovertemplate: "iteration %{x}: %{y:.3g}<extra></extra>",
    };
    return Plotly.react(place, [line], themed(layout), { ...config, displayModeBar: false });
  }

  function fillPanel() {
    for (const old of panel.querySelectorAll(".js-plotly-plot")) Plotly.purge(old);
    const shown = data.selections[selected];
    panel.hidden = false;
    if (!shown) {
      panel.replaceChildren(element("p", { class: "hint" },
        "Select a point, or a row of a table, to see its kernels and how it learned."));
      return null;
    }
    const close = element("button", { type: "button", class: "close" }, "Unpin");
    close.addEventListener("click", () => select(null));
    const facts = element("dl", { class: "pairs" });
    for (const [label, value] of shown.facts) {
      facts.append(element("dt", {}, label), element("dd", {}, value));
    }
    panel.replaceChildren(
      element("div", { class: "head" },
        element("h3", { tabindex: "-1" }, shown.head), close),
      element("p", {}, element("code", {}, shown.architecture)), facts);
    if (shown.failure) panel.append(element("p", { class: "warning" }, shown.failure));
    if (shown.kernels.length) panel.append(kernelTable(shown.kernels));
    if (!(shown.curve || []).length) return null;
    const place = element("div", {
      id: "plot-curve", class: "plot small", role: "img", "aria-label": `Learning curve: ${data.curveName}`,
    });
    panel.append(place);
    return drawCurve(place, shown.curve);
  }

  function select(key) {
    selected = key !== null && Object.hasOwn(data.selections, key) ? key : null;
    for (const button of document.querySelectorAll("button[data-select]")) {
      const on = button.dataset.select === selected;
      button.setAttribute("aria-pressed", String(on));
      button.closest("tr").classList.toggle("selected", on);
    }
    const anchor = selected === null ? "" : selected === "seed" ? "#seed" : `#trial-${selected}`;
    history.replaceState(null, "", location.pathname + location.search + anchor);
    return Promise.all([drawAll(), fillPanel()]);
  }

  function selectFromAddress() {
    const found = /^#(?:trial-(\d+)|(seed))$/.exec(location.hash);
    return select(found ? found[1] ?? found[2] : null);
  }

  function reveal() {
    panel.querySelector("h3")?.focus({ preventScroll: true });
    const smooth = !matchMedia("(prefers-reduced-motion: reduce)").matches;
    panel.scrollIntoView({ block: "nearest", behavior: smooth ? "smooth" : "auto" });
  }

  for (const row of document.querySelectorAll("tr:has(button[data-select])")) {
    row.addEventListener("click", () => {
      select(row.querySelector("button[data-select]").dataset.select);
      reveal();
    });
  }

  async function begin() {
    await (panel ? selectFromAddress() : drawAll());
    for (const name of Object.keys(data.figures)) {
      const place = document.getElementById(`plot-${name}`);
      place.on("plotly_click", (event) => {
        const key = event.points[0].customdata;
        if (key !== undefined && panel) select(key);
      });
    }
    if (panel) addEventListener("hashchange", selectFromAddress);
    dark.addEventListener("change", () => (panel ? select(selected) : drawAll()));
    root.dataset.drawn = String(Object.keys(data.figures).length);
  }

  begin();
})();
