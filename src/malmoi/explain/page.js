"use strict";
// Draws the heat maps of an explanation from the data in the page, reads out their cells, and goes from step to step.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const rgb = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).split(",").map(Number);
  const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

  // Numbers

  const unpack = (map) => {
    const bytes = Uint8Array.from(atob(map.values), (character) => character.charCodeAt(0));
    return map.fine ? new Float32Array(bytes.buffer) : Float32Array.from(new Uint16Array(bytes.buffer), (level) => level / 65535);
  };

  const digits = (value) => {
    if (Number.isNaN(value)) return data.nothing;
    if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
    const size = Math.abs(value);
    if (size === 0 || Number.isInteger(value)) return value.toLocaleString("en").replace("-", "−");
    if (size >= 1e9 || size < 1e-4) {
      const [mantissa, power] = value.toExponential(3).split("e");
      const raised = [...String(Number(power))].map((c) => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[c])).join("");
      return `${mantissa}·10${raised}`.replace("-", "−");
    }
    const shown = size >= 1000 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(4)));
    return (shown.includes(".") || size >= 100 ? shown : value.toFixed(3)).replace("-", "−");
  };

  // Heat maps

  const colours = { signed: ["--negative", "--positive"], gate: ["--open", "--open"], probability: ["--positive", "--positive"], plain: ["--amount", "--amount"] };

  const picture = (map, columns, rows) => {
    const image = new ImageData(columns, rows);
    const [negative, positive] = colours[map.kind].map(rgb);
    const nothing = rgb("--amount");
    map.numbers.forEach((value, index) => {
      const known = !Number.isNaN(value);
      const colour = known ? (value < 0 ? negative : positive) : nothing;
      const share = known ? clamp(Math.abs(value) / map.high, 0, 1) : 0.25;
      const strength = map.kind === "signed" ? share ** 0.75 : share; // so that small values of either sign can be told from 0
      image.data.set([colour[0], colour[1], colour[2], Math.round(255 * strength)], 4 * index);
    });
    const cells = document.createElement("canvas");
    [cells.width, cells.height] = [columns, rows];
    cells.getContext("2d").putImageData(image, 0, 0);
    return cells;
  };

  // Where the cells lie on the canvas, in CSS pixels.
  const layout = (map, width, context) => {
    const [rows, columns] = map.shape;
    if (map.wraps) {
      const cell = columns <= 64 ? clamp(width / columns, 9, 18) : 9;
      const across = Math.floor(width / cell) >= columns ? columns : Math.max(10, Math.floor(width / cell / 10) * 10);
      return { left: 0, top: 0, columns: across, rows: Math.ceil(columns / across), w: Math.min(width / across, 18), h: columns <= 64 ? 22 : 12 };
    }
    const widest = (labels) => Math.max(0, ...labels.map((label) => context.measureText(label).width));
    const left = map.labels[0] ? Math.min(widest(map.labels[0]) + 8, width * 0.3) : 0;
    const h = rows <= 6 ? 24 : rows <= 24 ? 17 : 12;
    const w = Math.min((width - left) / columns, 44);
    const top = map.labels[1] && w >= 9 ? Math.min(widest(map.labels[1]) + 6, 90) : 0;
    return { left, top, columns, rows, w, h };
  };

  const draw = (canvas) => {
    const map = data.maps[canvas.dataset.map];
    map.numbers ??= unpack(map);
    const width = canvas.parentElement.clientWidth;
    if (!width) return;
    const context = canvas.getContext("2d");
    const font = `11px ${getComputedStyle(document.body).fontFamily}`;
    context.font = font;
    const at = layout(map, width, context);
    map.at = at;
    const height = at.top + at.rows * at.h;
    const scale = window.devicePixelRatio || 1;
    [canvas.width, canvas.height] = [Math.round(width * scale), Math.round(height * scale)];
    canvas.style.height = `${height}px`;
    context.scale(scale, scale);
    context.font = font;
    context.fillStyle = ink("--ground");
    if (!map.wraps) context.fillRect(at.left, at.top, at.columns * at.w, at.h * at.rows);
    const [rows, columns] = map.shape;
    const cells = picture(map, columns, rows);
    context.imageSmoothingEnabled = at.w < 1;
    if (map.wraps) {
      for (let row = 0; row < at.rows; row += 1) {
        const n = Math.min(at.columns, columns - row * at.columns);
        context.fillRect(0, row * at.h, n * at.w, at.h - 1);
        context.drawImage(cells, row * at.columns, 0, n, 1, 0, row * at.h, n * at.w, at.h - 1);
      }
    } else {
      context.drawImage(cells, at.left, at.top, at.columns * at.w, at.rows * at.h);
      context.fillStyle = ink("--card");
      if (at.h >= 12) for (let row = 1; row < at.rows; row += 1) context.fillRect(at.left, at.top + row * at.h - 0.5, at.columns * at.w, 1);
    }
    labels(context, map, at);
    gaps(context, map, at);
    if (map.cell && document.activeElement === canvas) frame(context, at, map.cell);
  };

  const labels = (context, map, at) => {
    context.fillStyle = ink("--quiet");
    context.textBaseline = "middle";
    context.textAlign = "right";
    (map.wraps ? [] : map.labels[0] ?? []).forEach((label, row) => context.fillText(label, at.left - 5, at.top + (row + 0.5) * at.h, at.left - 5));
    if (!at.top) return;
    context.textAlign = "left";
    map.labels[1].forEach((label, column) => {
      context.save();
      context.translate(at.left + (column + 0.5) * at.w, at.top - 4);
      context.rotate(-Math.PI / 2);
      context.fillText(label, 0, 0, 86);
      context.restore();
    });
  };

  // A thin line wherever cells were left out.
  const gaps = (context, map, at) => {
    context.fillStyle = ink("--ink");
    const jumps = (places) => (places ?? []).flatMap((place, i) => (i && place > places[i - 1] + 1 ? [i] : []));
    for (const column of jumps(map.places[1])) {
      const [x, y] = map.wraps ? [(column % at.columns) * at.w, Math.floor(column / at.columns) * at.h] : [at.left + column * at.w, at.top];
      context.fillRect(x - 0.5, y, 1, map.wraps ? at.h - 1 : at.rows * at.h);
    }
    for (const row of jumps(map.places[0])) context.fillRect(at.left, at.top + row * at.h - 0.5, at.columns * at.w, 1.5);
  };

  const frame = (context, at, [row, column]) => {
    context.strokeStyle = ink("--ink");
    context.lineWidth = 2;
    context.strokeRect(at.left + column * at.w - 1, at.top + row * at.h - 1, Math.max(at.w, 3) + 2, at.h + 1);
  };

  const tell = (canvas, row, column) => {
    const map = data.maps[canvas.dataset.map];
    const [drawnRow, drawnColumn] = map.wraps ? [0, row * map.at.columns + column] : [row, column];
    if (drawnColumn >= map.shape[1]) return;
    map.cell = [row, column];
    const words = [drawnRow, drawnColumn].flatMap((drawn, axis) => {
      if (map.shape[axis] === 1) return [];
      const label = map.labels[axis]?.[drawn];
      return [`${map.axes[axis]} ${map.places[axis]?.[drawn] ?? drawn}`.trim() + (label === undefined ? "" : ` ‘${label}’`)];
    });
    const value = map.numbers[drawnRow * map.shape[1] + drawnColumn];
    canvas.closest("figure").querySelectorAll("output")[outputOf(canvas)].textContent = `${words.join(", ")}: ${digits(value)}`;
  };
  const outputOf = (canvas) => [...canvas.closest("figure").querySelectorAll("canvas")].indexOf(canvas);

  const listen = (canvas) => {
    const map = data.maps[canvas.dataset.map];
    const point = (event) => {
      if (!map.at) return;
      const box = canvas.getBoundingClientRect();
      const column = Math.floor((event.clientX - box.left - map.at.left) / map.at.w);
      const row = Math.floor((event.clientY - box.top - map.at.top) / map.at.h);
      if (row >= 0 && row < map.at.rows && column >= 0 && column < map.at.columns) tell(canvas, row, column);
    };
    canvas.addEventListener("pointermove", point);
    canvas.addEventListener("pointerdown", point);
    canvas.addEventListener("focus", () => { if (map.at) { tell(canvas, ...(map.cell ?? [0, 0])); draw(canvas); } });
    canvas.addEventListener("blur", () => draw(canvas));
    canvas.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
      if (!move || !map.at || event.altKey || event.ctrlKey || event.metaKey) return;
      const [row, column] = map.cell ?? [0, 0];
      tell(canvas, clamp(row + move[0], 0, map.at.rows - 1), clamp(column + move[1], 0, map.at.columns - 1));
      draw(canvas);
      event.preventDefault();
    });
  };

  const canvases = [...document.querySelectorAll("canvas[data-map]")];
  canvases.forEach(listen);
  const drawn = new Set(); // maps far down the page are drawn when they come near
  const near = new IntersectionObserver((entries) => entries.forEach((entry) => {
    if (entry.isIntersecting && !drawn.has(entry.target)) { drawn.add(entry.target); draw(entry.target); }
  }), { rootMargin: "1500px" });
  canvases.forEach((canvas) => near.observe(canvas));
  const drawAgain = () => drawn.forEach(draw);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAgain);
  window.matchMedia("print").addEventListener("change", drawAgain);
  window.addEventListener("beforeprint", () => canvases.forEach((canvas) => { drawn.add(canvas); draw(canvas); }));
  let width = window.innerWidth;
  window.addEventListener("resize", () => { if (width !== window.innerWidth) { width = window.innerWidth; drawAgain(); } });

  // Steps

  const steps = [...document.querySelectorAll(".step")];
  const links = [...document.querySelectorAll(".walk nav a")];
  const stepper = document.getElementById("stepper");
  let here = 0;

  const mark = (place) => {
    here = place;
    links.forEach((link, i) => { if (i === place) link.setAttribute("aria-current", "step"); else link.removeAttribute("aria-current"); });
    const link = links[place];
    document.getElementById("here").textContent = `${place + 1} / ${steps.length} · ${link.lastChild.textContent.trim()}`;
    const list = link.closest("nav");
    if (list.scrollHeight > list.clientHeight) list.scrollTop = link.offsetTop - list.clientHeight / 2;
  };

  const go = (place) => {
    const target = steps[clamp(place, 0, steps.length - 1)];
    target.focus({ preventScroll: true });
    target.scrollIntoView({ block: "start" });
    mark(steps.indexOf(target));
  };

  if (steps.length) {
    stepper.hidden = false;
    const top = () => { // the step that the reader has reached
      const reached = steps.filter((step) => step.getBoundingClientRect().top < 160).length - 1;
      mark(Math.max(reached, 0));
      return reached;
    };
    let waiting = false;
    window.addEventListener("scroll", () => {
      if (!waiting) window.requestAnimationFrame(() => { waiting = false; top(); });
      waiting = true;
    }, { passive: true });
    mark(0);
    const by = (amount) => {
      const current = document.activeElement?.closest(".step");
      const box = current?.getBoundingClientRect();
      const isSeen = box && box.bottom > 0 && box.top < window.innerHeight; // the reader may have scrolled on
      go((isSeen ? steps.indexOf(current) : top()) + amount);
    };
    stepper.querySelectorAll("button").forEach((button) => button.addEventListener("click", () => go(top() + Number(button.dataset.by))));
    document.addEventListener("keydown", (event) => {
      if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
      const amount = { j: 1, k: -1, ArrowRight: 1, ArrowLeft: -1 }[event.key];
      const taken = event.target.closest("input, select, textarea") || (event.key.startsWith("Arrow") && event.target.closest("canvas, .scroll"));
      if (!amount || taken || event.defaultPrevented) return;
      by(amount);
      event.preventDefault();
    });
  }
})();
