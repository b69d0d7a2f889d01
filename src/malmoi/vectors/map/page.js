"use strict";
// The controls: pointer and keys on the map, the search, the lists of neighbours and answers, the table.
(() => {
  const { data, n, words, ranks, near, analogy, search, numberOf, tell, decimals } = space;
  const { canvas } = picture;
  const element = (name) => document.getElementById(name);
  const make = (tag, text, attributes = {}) => {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    Object.entries(attributes).forEach(([name, value]) => made.setAttribute(name, value));
    return made;
  };
  const say = (text) => { element("said").textContent = text; };
  const title = element("found-word").textContent;
  const advice = element("found-rank").textContent;

  // A chosen word

  const wordButton = (i, move = true) => {
    const button = make("button", words[i], { type: "button", class: "word" });
    button.addEventListener("click", () => choose(i, move));
    return button;
  };
  const line = ({ word, cosine }) => {
    const item = make("li");
    const dot = make("i", "", { class: "dot" });
    dot.style.background = picture.colourOf(word);
    const bar = make("span", undefined, { class: "bar" });
    bar.style.setProperty("--share", String(Math.max(0, cosine)));
    item.append(dot, wordButton(word), bar, make("span", decimals(cosine), { class: "cosine" }));
    return item;
  };

  const choose = (i, move = false) => {
    const neighbours = near(i);
    element("found-word").textContent = words[i];
    element("found-rank").textContent = ranks[i] ? tell("rank", { rank: ranks[i].toLocaleString("en") }) : tell("no_rank");
    element("neighbours").replaceChildren(...neighbours.map(line));
    element("clear").hidden = false;
    picture.choose({ word: i, near: neighbours, isDim: true });
    if (move) {
      const distance = ({ word }) => Math.hypot(space.x[word] - space.x[i], space.y[word] - space.y[i]);
      const close = [...neighbours].sort((one, other) => distance(one) - distance(other)).slice(0, 7); // some lie far away
      picture.show([i, ...close.map(({ word }) => word)]);
    }
    say(tell("found", { word: words[i], near: neighbours.slice(0, 5).map(({ word }) => words[word]).join(", ") }));
    window.history.replaceState(null, "", `#${encodeURIComponent(words[i])}`);
  };

  const clear = () => {
    element("found-word").textContent = title;
    element("found-rank").textContent = advice;
    element("neighbours").replaceChildren();
    element("clear").hidden = true;
    say("");
    picture.choose({ arrows: data.analogies.flatMap(([a, b, c, d]) => [[a, b], [c, d]]) });
    window.history.replaceState(null, "", "#");
  };
  element("clear").addEventListener("click", () => { clear(); element("search").focus(); });

  // Fields that suggest words

  const chooser = (name, take) => {
    const input = element(name);
    const list = element(`${name}-list`);
    let [found, here] = [[], -1];
    const close = () => {
      list.hidden = true;
      here = -1;
      input.setAttribute("aria-expanded", "false");
      input.removeAttribute("aria-activedescendant");
    };
    const accept = (i) => { input.value = words[i]; close(); take(i); };
    const mark = (place) => {
      here = place;
      [...list.children].forEach((option, j) => option.setAttribute("aria-selected", String(j === here)));
      if (here < 0) return;
      input.setAttribute("aria-activedescendant", list.children[here].id);
      list.children[here].scrollIntoView({ block: "nearest" });
    };
    const suggest = () => {
      found = search(input.value);
      const options = found.map((i, place) => {
        const option = make("li", words[i], { role: "option", id: `${name}-${place}`, "aria-selected": "false" });
        option.addEventListener("pointerdown", (event) => { event.preventDefault(); accept(i); });
        return option;
      });
      const nothing = input.value.trim() && !found.length ? [make("li", tell("none"), { class: "quiet", role: "option", "aria-disabled": "true" })] : [];
      list.replaceChildren(...options, ...nothing);
      list.hidden = !list.children.length;
      here = -1;
      input.setAttribute("aria-expanded", String(!list.hidden));
    };
    input.addEventListener("input", suggest);
    input.addEventListener("focus", () => input.select());
    input.addEventListener("blur", close);
    input.addEventListener("keydown", (event) => {
      if (event.isComposing) return; // Enter ends a syllable that is being typed
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step && found.length) {
        if (list.hidden) suggest();
        mark((here + step + found.length) % found.length);
        event.preventDefault();
      } else if (event.key === "Enter") {
        const i = here >= 0 ? found[here] : numberOf(input.value) ?? search(input.value)[0];
        if (i !== undefined) accept(i);
        event.preventDefault();
      } else if (event.key === "Escape") {
        if (list.hidden) input.value = "";
        close();
        event.stopPropagation();
      }
    });
  };
  chooser("search", (i) => choose(i, true));

  // Analogies

  const analogyOf = (four) => {
    const [a, b, c, d] = four.map((i) => words[i]);
    return tell("analogy", { a, b, c, d });
  };
  const showAnalogy = (a, b, c, d) => {
    clear();
    picture.choose({ arrows: [[a, b], [c, d]], isDim: true });
    picture.show([a, b, c, d]);
    say(analogyOf([a, b, c, d]));
  };
  const three = { a: null, b: null, c: null };
  const answer = () => {
    const { a, b, c } = three;
    if ([a, b, c].includes(null)) return;
    const found = analogy(a, b, c);
    element("answers").replaceChildren(...found.map((one) => {
      const item = line(one);
      item.querySelector("button").replaceWith(shower(words[one.word], a, b, c, one.word));
      return item;
    }));
    if (found.length) showAnalogy(a, b, c, found[0].word);
  };
  const shower = (text, ...four) => {
    const button = make("button", text, { type: "button", class: "word" });
    button.addEventListener("click", () => showAnalogy(...four));
    return button;
  };
  for (const name of "abc") chooser(`analogy-${name}`, (i) => { three[name] = i; answer(); });
  element("given").replaceChildren(...data.analogies.map((four) => shower(analogyOf(four), ...four)));

  // Pointer: one finger or the mouse moves, two fingers and the wheel zoom, a click chooses.

  const pointers = new Map();
  let [moved, pressed] = [0, 0];
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  canvas.addEventListener("pointerdown", (event) => {
    picture.stop();
    canvas.setPointerCapture(event.pointerId);
    if (!pointers.size) [moved, pressed] = [0, event.timeStamp];
    else moved = Infinity; // a pinch is no click
    pointers.set(event.pointerId, place(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    const now = place(event);
    const before = pointers.get(event.pointerId);
    if (!before) {
      const i = event.pointerType === "mouse" ? picture.at(...now, 14) : null;
      picture.hover(i);
      canvas.classList.toggle("pointing", i !== null);
      return;
    }
    const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
    pointers.set(event.pointerId, now);
    if (other) {
      const apart = (point) => Math.hypot(point[0] - other[0], point[1] - other[1]);
      picture.pan((now[0] - before[0]) / 2, (now[1] - before[1]) / 2);
      picture.zoom(apart(now) / Math.max(apart(before), 1), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
    } else {
      moved += Math.hypot(now[0] - before[0], now[1] - before[1]);
      picture.pan(now[0] - before[0], now[1] - before[1]);
    }
  });
  const lift = (event) => {
    const isClick = event.type === "pointerup" && pointers.size === 1 && moved < 6 && event.timeStamp - pressed < 700;
    pointers.delete(event.pointerId);
    if (!isClick) return;
    const i = picture.at(...place(event), event.pointerType === "mouse" ? 14 : 24);
    if (i === null) clear();
    else choose(i);
  };
  ["pointerup", "pointercancel"].forEach((kind) => canvas.addEventListener(kind, lift));
  canvas.addEventListener("pointerleave", () => picture.hover(null));
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    picture.stop();
    const pixels = event.deltaY * (event.deltaMode === 1 ? 30 : event.deltaMode === 2 ? 400 : 1);
    picture.zoom(Math.exp(-Math.max(-300, Math.min(pixels, 300)) * (event.ctrlKey ? 0.01 : 0.002)), ...place(event));
  }, { passive: false });

  // Keys and buttons

  const keys = {
    ArrowLeft: () => picture.pan(70, 0), ArrowRight: () => picture.pan(-70, 0), ArrowUp: () => picture.pan(0, 70), ArrowDown: () => picture.pan(0, -70),
    "+": () => picture.zoom(1.3), "=": () => picture.zoom(1.3), "-": () => picture.zoom(1 / 1.3), 0: picture.whole,
    Enter: () => { const i = picture.at(...picture.size().map((length) => length / 2), Infinity); if (i !== null) choose(i); },
  };
  canvas.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || !keys[event.key]) return;
    picture.stop();
    keys[event.key]();
    event.preventDefault();
  });
  ["focus", "blur"].forEach((kind) => canvas.addEventListener(kind, picture.draw));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") clear();
    if (event.key !== "/" || event.target.closest("input") || event.ctrlKey || event.metaKey) return;
    element("search").focus();
    event.preventDefault();
  });
  element("closer").addEventListener("click", () => picture.zoom(1.6));
  element("farther").addEventListener("click", () => picture.zoom(1 / 1.6));
  element("whole").addEventListener("click", picture.whole);

  // Colours and what they mean

  const legend = data.heads.map((heads, group) => {
    const item = make("li");
    const dot = make("i", "", { class: "dot" });
    dot.style.background = `var(--c${group})`;
    const button = make("button", `${heads.map((i) => words[i]).join(", ")} …`, { type: "button", class: "word" });
    button.addEventListener("click", () => { clear(); picture.choose({ group, isDim: true }); picture.whole(); });
    item.append(dot, button);
    return item;
  });
  element("groups").replaceChildren(...legend);
  document.querySelectorAll("input[name=colour]").forEach((input) => input.addEventListener("change", () => {
    picture.colourBy(input.value);
    element("groups").hidden = input.value !== "group";
    element("shades").hidden = input.value !== "rank";
    if (input.value === "rank") picture.choose({});
  }));

  // The table, some rows at a time

  const more = element("more");
  let told = 0;
  const addRows = () => {
    const stop = Math.min(n, told + 200);
    for (; told < stop; told += 1) {
      const row = make("tr");
      const head = make("th", undefined, { scope: "row" });
      head.append(wordButton(told));
      const three = near(told).slice(0, 3).map(({ word, cosine }) => `${words[word]} ${decimals(cosine)}`);
      row.append(head, make("td", ranks[told] ? ranks[told].toLocaleString("en") : "–"), make("td", three.join(", ")));
      element("rows").append(row);
    }
    more.hidden = told >= n;
  };
  more.addEventListener("click", addRows);
  element("list").addEventListener("toggle", () => { if (!told) addRows(); });
  element("rows").addEventListener("click", (event) => { if (event.target.closest("button")) element("stage").scrollIntoView({ block: "center" }); });

  // A link may name a word: page.html#word

  const followLink = () => {
    let name = "";
    try { name = decodeURIComponent(window.location.hash.slice(1)); } catch { /* no word is spelt like that */ }
    const i = name ? numberOf(name) : undefined;
    if (i !== undefined) choose(i, true);
    return i !== undefined;
  };
  window.addEventListener("hashchange", followLink);
  if (!followLink()) clear();
})();
