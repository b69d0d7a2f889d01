"use strict";
// Draws the points and their labels on the canvas, and moves the view.
const picture = (() => {
  const { n, words, groups, x, y } = space;
  const canvas = document.getElementById("canvas");
  const context = canvas.getContext("2d");
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  const [wide, high] = [Math.max(...x), Math.max(...y)]; // the map's own size: the longer side is 1
  const CLOSEST = 60; // times the whole
  const BINS = 8; // shades of frequency
  const FAR = 1e7; // pixels; no map is so large

  let [width, height] = [0, 0];
  let view = { x: wide / 2, y: high / 2, scale: 1 }; // what lies in the middle, and pixels for a side of the map
  let colours = {};
  let colouring = "group";
  const NOTHING = { word: null, near: [], arrows: [], group: null, isDim: false };
  let chosen = NOTHING;
  let hovered = null;
  let drawn = []; // boxes of labels, for the pointer

  const left = (i) => (x[i] - view.x) * view.scale + width / 2;
  const top = (i) => (y[i] - view.y) * view.scale + height / 2;
  const border = () => clamp(width * 0.06, 20, 48); // CSS pixels around the whole map
  const wholeScale = () => Math.max(Math.min((width - 2 * border()) / (wide || 1), (height - 2 * border()) / (high || 1)), 10);
  const closeness = () => view.scale / wholeScale();

  // Colours

  const readColours = () => {
    const style = getComputedStyle(document.documentElement);
    const ink = (name) => style.getPropertyValue(name).trim();
    const shades = Array.from({ length: BINS }, (_, bin) => `rgba(${ink("--mark")}, ${1 - (0.75 * bin) / (BINS - 1)})`);
    colours = { ground: ink("--card"), ink: ink("--ink"), quiet: ink("--quiet"), accent: ink("--accent"), arrow: ink("--c1"), group: Array.from({ length: 12 }, (_, i) => ink(`--c${i}`)), rank: shades };
    colours.font = getComputedStyle(document.body).fontFamily;
  };
  const shade = Uint8Array.from(words, (_, i) => Math.floor((BINS * i) / n)); // the words come in order of frequency
  const colourOf = (i) => (colouring === "group" ? colours.group[groups[i] % 12] : colours.rank[shade[i]]);
  const members = {
    group: Array.from({ length: 12 }, (_, group) => words.map((_, i) => i).filter((i) => groups[i] % 12 === group)),
    rank: Array.from({ length: BINS }, (_, bin) => words.map((_, i) => i).filter((i) => shade[i] === bin)),
  };

  // Labels: the first words first, as far as there is room. Where a label stands in the map does not depend on what the view
  // shows of it, so that moving makes none come or go.

  const size = (i) => (n < 120 ? 15 : i < n / 60 ? 17 : i < n / 8 ? 14 : 12);
  const font = (pixels, isBold = false) => `${isBold ? "700 " : ""}${pixels}px ${colours.font}`;
  const widths = new Map();
  const shown = (i) => (words[i].length > 40 ? `${words[i].slice(0, 39)}…` : words[i]);
  const widthOf = (i, pixels, isBold) => {
    const key = i * 64 + pixels * 2 + Number(isBold);
    if (!widths.has(key)) {
      context.font = font(pixels, isBold);
      widths.set(key, context.measureText(shown(i)).width);
    }
    return widths.get(key);
  };

  class Room { // which boxes are taken, by cells
    constructor() { this.cells = new Map(); }
    *keys([l, t, r, b]) {
      for (let row = Math.floor(t / 20); row <= Math.floor(b / 20); row += 1) {
        for (let column = Math.floor(l / 80); column <= Math.floor(r / 80); column += 1) yield row * FAR + column;
      }
    }
    isFree(box) {
      for (const key of this.keys(box)) {
        for (const [l, t, r, b] of this.cells.get(key) ?? []) if (box[0] < r && l < box[2] && box[1] < b && t < box[3]) return false;
      }
      return true;
    }
    take(box) {
      for (const key of this.keys(box)) this.cells.set(key, [...(this.cells.get(key) ?? []), box]);
    }
  }

  let labelled = { scale: 0, words: [] };
  const layLabels = () => {
    if (Math.abs(Math.log(view.scale / labelled.scale)) < 0.02) return labelled.words;
    const room = new Room();
    const found = [];
    for (let i = 0; i < n; i += 1) {
      const [px, py, half] = [x[i] * view.scale, y[i] * view.scale, widthOf(i, size(i), false) / 2 + 5];
      const box = [px - half, py - size(i) - 9, px + half, py + 3];
      if (room.isFree(box)) { room.take(box); found.push(i); }
    }
    labelled = { scale: view.scale, words: found };
    return found;
  };

  // Drawing

  const isInside = (px, py, margin) => px > -margin && px < width + margin && py > -margin && py < height + margin;
  const radius = () => clamp((n > 6000 ? 1.3 : n > 200 ? 2.1 : 3.5) * clamp(Math.sqrt(width * height) / 800, 0.65, 1.2) * closeness() ** 0.3, 1, 6);

  const write = (i, px, py, pixels, isBold, colour) => {
    context.font = font(pixels, isBold);
    context.lineWidth = isBold ? 5 : 3.5;
    context.strokeStyle = colours.ground;
    context.strokeText(shown(i), px, py);
    context.fillStyle = colour;
    context.fillText(shown(i), px, py);
  };

  const drawPoints = () => {
    const r = radius();
    members[colouring].forEach((some, kind) => {
      context.globalAlpha = chosen.isDim && kind !== chosen.group ? 0.35 : 0.9;
      context.fillStyle = colours[colouring][kind];
      context.beginPath();
      for (const i of some) {
        const [px, py] = [left(i), top(i)];
        if (!isInside(px, py, r)) continue;
        if (n > 6000 && r < 1.8) context.fillRect(px - r, py - r, 2 * r, 2 * r);
        else { context.moveTo(px + r, py); context.arc(px, py, r, 0, 2 * Math.PI); }
      }
      context.fill();
    });
  };

  const drawLabels = (taken) => {
    for (const i of layLabels()) {
      const [px, py, half] = [left(i), top(i), widthOf(i, size(i), false) / 2];
      if (!isInside(px, py, half + 20)) continue;
      const box = [px - half, py - size(i) - 6, px + half, py - 2];
      if (!taken.isFree(box)) continue;
      drawn.push([box, i]);
      context.globalAlpha = chosen.isDim && groups[i] !== chosen.group ? 0.3 : 1;
      write(i, px, py - 6, size(i), false, colours.ink);
    }
    context.globalAlpha = 1;
  };

  // Labels that have to be seen: around their points, where there is room, the first ones first.
  const drawMarked = (some, taken) => {
    for (const i of some) {
      const [px, py] = [left(i), top(i)];
      if (!isInside(px, py, 20)) continue;
      const pixels = i === chosen.word ? 18 : 15;
      const half = widthOf(i, pixels, true) / 2;
      const spots = [0, 1, 2, 3].flatMap((ring) => {
        const [dx, dy] = [half + 10 + 26 * ring, pixels + 4 + 22 * ring];
        return [[0, -8 - 22 * ring], [0, dy], [dx, pixels * 0.35], [-dx, pixels * 0.35], [dx * 0.8, -dy * 0.6], [-dx * 0.8, -dy * 0.6], [dx * 0.8, dy], [-dx * 0.8, dy]];
      });
      const boxes = spots.map(([dx, dy]) => [px + dx - half - 3, py + dy - pixels, px + dx + half + 3, py + dy + 5]);
      const inside = ([l, t, r, b]) => l > 0 && r < width && t > 0 && b < height;
      const spot = [boxes.findIndex((box) => inside(box) && taken.isFree(box)), boxes.findIndex((box) => taken.isFree(box))].find((found) => found >= 0);
      if (spot === undefined) continue;
      taken.take(boxes[spot]);
      drawn.unshift([boxes[spot], i]);
      const [dx, dy] = spots[spot];
      if (spot >= 8) {
        context.strokeStyle = colours.quiet;
        context.lineWidth = 1;
        context.beginPath();
        context.moveTo(px, py);
        context.lineTo(px + dx, py + dy - pixels * 0.35);
        context.stroke();
      }
      write(i, px + dx, py + dy, pixels, true, i === chosen.word ? colours.accent : colours.ink);
    }
  };

  const drawPoint = (i, r) => {
    context.beginPath();
    context.arc(left(i), top(i), r, 0, 2 * Math.PI);
    context.fillStyle = colourOf(i);
    context.fill();
    context.lineWidth = 1.5;
    context.strokeStyle = colours.ground;
    context.stroke();
  };

  const drawLines = () => {
    context.strokeStyle = colours.accent;
    for (const { word, cosine } of chosen.near) {
      context.lineWidth = 1 + 2 * Math.max(cosine, 0);
      context.globalAlpha = clamp(cosine, 0.25, 0.9);
      context.beginPath();
      context.moveTo(left(chosen.word), top(chosen.word));
      context.lineTo(left(word), top(word));
      context.stroke();
    }
    context.globalAlpha = 1;
  };

  const drawArrow = (from, to) => {
    const [fx, fy, tx, ty] = [left(from), top(from), left(to), top(to)];
    const length = Math.hypot(tx - fx, ty - fy);
    if (length < 14) return;
    const [ux, uy] = [(tx - fx) / length, (ty - fy) / length];
    const [ex, ey] = [tx - 7 * ux, ty - 7 * uy];
    context.strokeStyle = context.fillStyle = colours.arrow;
    context.lineWidth = 2.5;
    context.beginPath();
    context.moveTo(fx + 6 * ux, fy + 6 * uy);
    context.lineTo(ex - 8 * ux, ey - 8 * uy);
    context.stroke();
    context.beginPath();
    context.moveTo(ex, ey);
    context.lineTo(ex - 12 * ux - 5.5 * uy, ey - 12 * uy + 5.5 * ux);
    context.lineTo(ex - 12 * ux + 5.5 * uy, ey - 12 * uy - 5.5 * ux);
    context.fill();
  };

  const drawCross = () => {
    if (!canvas.matches(":focus-visible")) return;
    context.strokeStyle = colours.quiet;
    context.lineWidth = 1.5;
    context.beginPath();
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      context.moveTo(width / 2 + 5 * dx, height / 2 + 5 * dy);
      context.lineTo(width / 2 + 13 * dx, height / 2 + 13 * dy);
    }
    context.stroke();
  };

  const paint = () => {
    const scale = window.devicePixelRatio || 1;
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);
    context.textAlign = "center";
    context.textBaseline = "alphabetic";
    context.lineJoin = "round";
    const marked = [...new Set([chosen.word, ...chosen.arrows.flat(), ...chosen.near.map(({ word }) => word), hovered].filter((i) => i !== null))];
    drawPoints();
    context.globalAlpha = 1;
    drawLines();
    chosen.arrows.forEach(([from, to]) => drawArrow(from, to));
    marked.forEach((i) => drawPoint(i, radius() + (i === chosen.word ? 4 : 2)));
    drawn = [];
    const taken = new Room();
    drawMarked(marked, taken);
    drawLabels(taken);
    drawCross();
  };

  let isWaiting = false;
  const draw = () => {
    if (!isWaiting) window.requestAnimationFrame(() => { isWaiting = false; if (width) paint(); });
    isWaiting = true;
  };

  // Moving

  const keepInside = () => {
    view.scale = clamp(view.scale, wholeScale() * 0.7, wholeScale() * CLOSEST);
    view.x = clamp(view.x, 0, wide);
    view.y = clamp(view.y, 0, high);
  };
  const pan = (dx, dy) => { view = { ...view, x: view.x - dx / view.scale, y: view.y - dy / view.scale }; keepInside(); draw(); };
  const zoom = (factor, px = width / 2, py = height / 2) => {
    const before = { ...view };
    view.scale *= factor;
    keepInside();
    view.x = before.x + (px - width / 2) * (1 / before.scale - 1 / view.scale);
    view.y = before.y + (py - height / 2) * (1 / before.scale - 1 / view.scale);
    keepInside();
    draw();
  };

  let flight = 0;
  const stop = () => { flight += 1; };
  const fly = (goal) => {
    stop();
    const [mine, from, start] = [flight, { ...view }, performance.now()];
    const isStill = window.matchMedia("(prefers-reduced-motion: reduce)").matches || !width;
    const step = (now) => {
      if (mine !== flight) return;
      const share = isStill ? 1 : clamp((now - start) / 450, 0, 1);
      const eased = share * share * (3 - 2 * share);
      view = { x: from.x + (goal.x - from.x) * eased, y: from.y + (goal.y - from.y) * eased, scale: from.scale * (goal.scale / from.scale) ** eased };
      keepInside();
      draw();
      if (share < 1) window.requestAnimationFrame(step);
    };
    step(start);
  };
  const whole = () => fly({ x: wide / 2, y: high / 2, scale: wholeScale() });
  const show = (some) => { // so that these can be seen together, with room for their labels
    const [xs, ys] = [some.map((i) => x[i]), some.map((i) => y[i])];
    const [l, r, t, b] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    const scale = Math.min((width - 4 * border()) / (r - l || 1e-9), (height - 3 * border()) / (b - t || 1e-9), wholeScale() * 12);
    fly({ x: (l + r) / 2, y: (t + b) / 2, scale: Math.max(scale, wholeScale()) });
  };

  // What lies under the pointer, or null
  const at = (px, py, reach) => {
    const label = drawn.find(([[l, t, r, b]]) => px >= l && px <= r && py >= t && py <= b);
    if (label) return label[1];
    let [best, nearest] = [null, reach * reach];
    for (let i = 0; i < n; i += 1) {
      const distance = (left(i) - px) ** 2 + (top(i) - py) ** 2;
      if (distance < nearest) [best, nearest] = [i, distance];
    }
    return best;
  };

  const choose = (what) => { chosen = { ...NOTHING, ...what }; draw(); };
  const hover = (i) => { if (i !== hovered) { hovered = i; draw(); } };
  const colourBy = (what) => { colouring = what; draw(); };

  const resize = () => {
    const box = canvas.getBoundingClientRect();
    if (!box.width || (box.width === width && box.height === height)) return;
    const relative = width ? closeness() : 1;
    [width, height] = [box.width, box.height];
    const scale = window.devicePixelRatio || 1;
    [canvas.width, canvas.height] = [Math.round(width * scale), Math.round(height * scale)];
    view.scale = wholeScale() * relative;
    draw();
  };
  const dress = () => { readColours(); widths.clear(); labelled.scale = 0; draw(); };
  dress();
  resize();
  new ResizeObserver(resize).observe(canvas);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", dress);
  document.fonts?.ready.then(dress);

  return { canvas, pan, zoom, whole, show, at, choose, hover, colourBy, draw, stop, size: () => [width, height], colourOf, view: () => ({ ...view }) };
})();
