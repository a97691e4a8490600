// SPDX-License-Identifier: GPL-2.0-or-later
"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($("data").textContent);
  const [TASK, CPU, PATH, HEADER, LIVE, CALLER, USE] = [0, 1, 2, 3, 4, 5, 6]; // of a kind

  const sums = (steps) => { let sum = 0; return steps.map((step) => (sum += step)); };
  const seq = sums(data.seq);
  const time = sums(data.time_us); // microseconds since the first hit
  const kind = (i) => data.kinds[data.kind[i]];
  // Isolated (U+2068, U+2069), so that a name written from right to left leaves the pid in its place.
  const taskName = (task) => `\u2068${data.tasks[task][0]}\u2069 (${data.tasks[task][1]})`;
  const seconds = (us, digits = 3) => (us / 1e6).toFixed(digits);
  let least = 0;
  let most = 0;
  for (const t of time) {
    least = Math.min(least, t);
    most = Math.max(most, t);
  }

  const element = (name, text = "", attributes = {}) => {
    const made = document.createElement(name);
    made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };

  // --- tables: sorted by their headings, filtered by words

  const cellOf = (row, at) => {
    const cell = row.cells[at];
    const text = cell.textContent.trim();
    if (!cell.classList.contains("n")) return text;
    return text === "" ? -Infinity : parseFloat(text);
  };

  const compare = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b));

  function sortBy(heading) {
    const table = heading.closest("table");
    const body = table.tBodies[0];
    const at = heading.cellIndex;
    const numbers = heading.classList.contains("n");
    const now = heading.getAttribute("aria-sort");
    const up = now ? now === "descending" : !numbers; // numbers begin with the largest
    const rows = [...body.rows].map((row) => [cellOf(row, at), row]);
    rows.sort((a, b) => (up ? 1 : -1) * compare(a[0], b[0]));
    for (const other of heading.parentNode.cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", up ? "ascending" : "descending");
    body.append(...rows.map((row) => row[1]));
  }

  for (const heading of document.querySelectorAll(".sortable thead th")) {
    const button = element("button", "", { type: "button" });
    button.append(...heading.childNodes);
    button.addEventListener("click", () => sortBy(heading));
    heading.replaceChildren(button);
  }

  $("filter").addEventListener("input", () => {
    const words = $("filter").value.toLowerCase().split(/\s+/);
    const rows = [...$("tasks").tBodies[0].rows];
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
    const shown = rows.filter((row) => !row.hidden).length;
    $("filtered").textContent = shown < rows.length ? `${shown} of ${rows.length} rows` : "";
  });

  // --- one hit

  let chosen = -1;

  function facts(i) {
    const of = kind(i);
    const [comm, pid, tgid, address] = data.tasks[of[TASK]];
    const when = new Date(data.first_ms + time[i] / 1000).toISOString();
    const rows = [
      ["time", `${seconds(time[i], 6)} s after the first hit, ${when}`],
      ["task", `${comm} (pid ${pid}, tgid ${tgid}), task_struct ${address}`],
      ["path", data.paths[of[PATH]].join(" < ")],
      ["CPU", `${of[CPU]}`],
      ["registers", of[LIVE] ? "in the CPU (live)" : "in memory"],
      ["xfeatures", of[HEADER]],
    ];
    if (of[CALLER]) rows.push(["running task", of[CALLER]]);
    if (of[USE]) rows.push(["uses FPU", of[USE]]);
    return rows;
  }

  function tableOf(rows, headings = []) {
    const table = element("table");
    const head = table.createTHead().insertRow();
    for (const text of headings) head.append(element("th", text, { scope: "col" }));
    const body = table.createTBody();
    for (const [first, ...rest] of rows) {
      const row = body.insertRow();
      row.append(element("th", first, { scope: "row" }));
      for (const text of rest) row.append(element("td", text));
    }
    return table;
  }

  function boxed(name, table) {
    const box = element("div", "", { class: "wide", tabindex: "0", role: "region", "aria-label": name });
    box.append(table);
    return box;
  }

  function folded(name, ...inner) {
    const made = element("details");
    made.append(element("summary", name), ...inner);
    return made;
  }

  function legend(pieces) {
    const line = element("p", "", { class: "note legend" });
    for (const what of new Set(pieces.map((piece) => piece[3]))) {
      line.append(element("span", "", { class: `kind-${what.replace(" ", "-")}` }), what);
    }
    return line;
  }

  function byteMap(pieces) {
    const bar = element("div", "", { class: "map", "aria-hidden": "true" });
    for (const [start, end, component, what, dirty] of pieces) {
      const part = element("span", "", { class: `kind-${what.replace(" ", "-")}` });
      part.style.flexGrow = end - start;
      if (what === "in use" || what === "stale") part.textContent = component;
      part.title = `${start} to ${end - 1}: ${what} ${component}${dirty ? `, ${dirty} bytes not zero` : ""}`;
      bar.append(part);
    }
    const rows = pieces.map(([start, end, component, what, dirty]) =>
      [`${start}`, `${end - 1}`, `${end - start}`, what, component, dirty ? `${dirty}` : ""]);
    const heads = ["from", "to", "bytes", "what", "component", "not zero"];
    return [element("h3", "What each byte of the area is"), bar, legend(pieces),
      folded("The same as a table", tableOf(rows, heads))];
  }

  function registersOf(i) {
    const at = data.image.length ? data.image[i] : -1;
    if (at < 0) {
      const none = "This page has no registers of this hit. Only `fpu-trace on --state full` records registers.";
      return [element("p", none, { class: "note" })];
    }
    const [head, map, rows] = data.images[at];
    const heads = ["register", "value", "bytes in memory order"];
    const all = rows.map((row) => data.registers[row]);
    const parts = [...byteMap(data.maps[map]), element("h3", "Registers")];
    const from = all.some((row) => row[4]);
    if (from) heads.push("from");
    if (kind(i)[LIVE] && !from) parts.push(element("p", "From memory: the CPU has newer registers.", { class: "note" }));
    const [full, empty] = [1, 0].map((holds) => all.filter((row) => row[3] === holds).map((row) => [...row.slice(0, 3), ...(from ? [row[4]] : [])]));
    parts.push(element("pre", data.heads[head]), boxed("Registers", tableOf(full, heads)));
    if (empty.length) parts.push(folded(`${empty.length} registers are zero or initial`, boxed("Empty registers", tableOf(empty, heads))));
    return parts;
  }

  function findingsOf(i) {
    const found = [...document.querySelectorAll("[data-hit]")].filter((b) => +b.dataset.hit === seq[i]);
    return found.map((button) => {
      const cells = [...button.closest("tr").cells].slice(1).map((cell) => cell.textContent);
      return element("p", `Finding ${cells.join(" ")}`);
    });
  }

  function choose(i) {
    if (!(i >= 0 && i < seq.length)) return;
    chosen = i;
    $("number").value = seq[i];
    $("one").replaceChildren(tableOf(facts(i)), ...findingsOf(i), ...registersOf(i));
    draw();
  }

  function nearestNumber(wanted) {
    let best = 0;
    for (let i = 1; i < seq.length; i++) {
      if (Math.abs(seq[i] - wanted) < Math.abs(seq[best] - wanted)) best = i;
    }
    return best;
  }

  function chooseNumber(wanted) {
    choose(nearestNumber(wanted));
    if (seq[chosen] !== wanted) {
      $("one").prepend(element("p", `Hit ${wanted} is not on this page: this is the nearest.`, { class: "note" }));
    }
  }

  $("before").addEventListener("click", () => choose(chosen - 1));
  $("after").addEventListener("click", () => choose(chosen + 1));
  $("number").addEventListener("change", () => chooseNumber(+$("number").value));
  for (const button of document.querySelectorAll("[data-hit]")) {
    button.addEventListener("click", () => {
      chooseNumber(+button.dataset.hit);
      $("hit").scrollIntoView();
      $("number").focus();
    });
  }

  // --- the timeline

  const canvas = $("hits");
  const pen = canvas.getContext("2d");
  const [ROW, GUTTER, AXIS, MOST_ROWS] = [22, 170, 24, 30];
  const SPARSE = 2000; // so many hits have hollow marks
  let from = least;
  let to = Math.max(most, least + 1);
  let tracks = [];

  const styleOf = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const wide = () => canvas.clientWidth - GUTTER - 8;
  const xOf = (t) => GUTTER + ((t - from) / (to - from)) * wide();

  function layTracks() {
    const part = $("tracks").value === "cpu" ? CPU : TASK;
    const counts = new Map();
    for (const k of data.kind) {
      const key = data.kinds[k][part];
      counts.set(key, (counts.get(key) || 0) + 1);
    }
    const keys = [...counts.keys()].sort(part === CPU ? (a, b) => a - b : (a, b) => counts.get(b) - counts.get(a));
    const shown = keys.slice(0, MOST_ROWS);
    tracks = shown.map((key) => (part === CPU ? `CPU ${key}` : taskName(key)));
    const rows = new Map(shown.map((key, row) => [key, row]));
    if (keys.length > shown.length) tracks.push(`${keys.length - shown.length} others`);
    tracks.rowOf = data.kinds.map((of) => rows.get(of[part]) ?? shown.length);
  }

  function drawAxis(height) {
    const rough = (to - from) / Math.min(Math.max(wide() / 80, 1), 6); // room for the labels
    const ten = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((n) => n * ten).find((n) => n >= rough);
    const digits = Math.max(0, 6 - Math.floor(Math.log10(step)));
    pen.fillStyle = styleOf("--soft");
    pen.strokeStyle = styleOf("--line");
    pen.textAlign = "center";
    for (let t = Math.ceil(from / step) * step; t <= to; t += step) {
      const x = Math.round(xOf(t)) + 0.5;
      pen.beginPath();
      pen.moveTo(x, 0);
      pen.lineTo(x, height - AXIS);
      pen.stroke();
      pen.fillText(`${seconds(t, Math.min(digits, 6))} s`, Math.min(x, canvas.clientWidth - 30), height - 8);
    }
  }

  function drawNames(height) {
    pen.textAlign = "left";
    pen.save();
    pen.beginPath();
    pen.rect(0, 0, GUTTER - 10, height);
    pen.clip();
    pen.fillStyle = styleOf("--ink");
    tracks.forEach((name, row) => pen.fillText(name, 8, row * ROW + 15));
    pen.restore();
  }

  function drawHits() {
    const colours = [styleOf("--memory"), styleOf("--live")];
    const drawn = new Set(); // one mark for each pixel
    const visible = [];
    for (let i = 0; i < time.length; i++) if (time[i] >= from && time[i] <= to) visible.push(i);
    for (const i of visible) {
      const live = kind(i)[LIVE];
      const row = tracks.rowOf[data.kind[i]];
      const x = Math.round(xOf(time[i]));
      const key = (row * 2 + live) * 100000 + x;
      if (drawn.has(key)) continue;
      drawn.add(key);
      const y = row * ROW + (live ? 3 : 12);
      if (live && visible.length <= SPARSE) {
        pen.strokeStyle = colours[1];
        pen.strokeRect(x - 1.5, y + 0.5, 4, 6);
      } else {
        pen.fillStyle = colours[live];
        pen.fillRect(x - 1, y, visible.length <= SPARSE ? 4 : 2, 7);
      }
    }
    return visible.length;
  }

  function draw() {
    const height = tracks.length * ROW + AXIS;
    const scale = window.devicePixelRatio || 1;
    const borders = canvas.offsetHeight - canvas.clientHeight;
    canvas.style.height = `${height + borders}px`;
    canvas.width = canvas.clientWidth * scale;
    canvas.height = height * scale;
    pen.scale(scale, scale);
    pen.font = "12px system-ui, sans-serif";
    drawAxis(height);
    drawNames(height);
    const visible = drawHits();
    if (chosen >= 0 && time[chosen] >= from && time[chosen] <= to) {
      const x = Math.round(xOf(time[chosen])) + 0.5;
      pen.strokeStyle = styleOf("--chosen");
      pen.lineWidth = 2;
      pen.strokeRect(x - 4, tracks.rowOf[data.kind[chosen]] * ROW + 1, 9, ROW - 2);
    }
    $("span").textContent = `From ${seconds(from)} s to ${seconds(to)} s: ${visible} ${visible === 1 ? "hit" : "hits"}.`;
  }

  function zoom(factor, at = (from + to) / 2) {
    const long = factor ? Math.max((to - from) / factor, 10) : Infinity;
    if (long >= most - least) {
      [from, to] = [least, Math.max(most, least + 1)];
    } else {
      from = Math.min(Math.max(at - ((at - from) / (to - from)) * long, least), most - long);
      to = from + long;
    }
    draw();
  }

  function pan(share) {
    const by = Math.min(Math.max((to - from) * share, least - from), most - to);
    if (to - from < most - least) [from, to] = [from + by, to + by];
    draw();
  }

  function nearest(x, y) {
    const row = Math.floor(y / ROW);
    let best = -1;
    let distance = 12; // pixels
    for (let i = 0; i < time.length; i++) {
      if (tracks.rowOf[data.kind[i]] !== row || time[i] < from || time[i] > to) continue;
      const away = Math.abs(xOf(time[i]) - x) + (kind(i)[LIVE] === +(y % ROW < 11) ? 0 : 2);
      if (away < distance) [best, distance] = [i, away];
    }
    return best;
  }

  const timeAt = (event) => from + ((event.offsetX - GUTTER) / wide()) * (to - from);
  let drag = null;
  canvas.addEventListener("wheel", (event) => {
    if (event.offsetX < GUTTER) return;
    event.preventDefault();
    zoom(event.deltaY < 0 ? 1.5 : 1 / 1.5, timeAt(event));
  }, { passive: false });
  canvas.addEventListener("pointerdown", (event) => {
    drag = { x: event.offsetX, moved: false };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!drag || (!drag.moved && Math.abs(event.offsetX - drag.x) < 4)) return;
    pan((drag.x - event.offsetX) / wide());
    drag = { x: event.offsetX, moved: true };
  });
  canvas.addEventListener("pointercancel", () => { drag = null; });
  canvas.addEventListener("pointerup", (event) => {
    if (drag && !drag.moved) choose(nearest(event.offsetX, event.offsetY));
    drag = null;
  });
  for (const button of $("timeline-tools").querySelectorAll("button")) {
    const { zoom: by, pan: share } = button.dataset;
    button.addEventListener("click", () => (share ? pan(+share) : zoom(+by)));
  }
  $("tracks").addEventListener("change", () => { layTracks(); draw(); });

  // --- the flame graph

  const frames = [...document.querySelectorAll(".frame")].map((shape) => ({
    shape, left: +shape.dataset.left, width: +shape.dataset.width, depth: +shape.dataset.depth,
  }));
  const inside = (inner, outer) =>
    inner.left >= outer.left - 1e-6 && inner.left + inner.width <= outer.left + outer.width + 1e-6;

  function enlarge(whole) {
    for (const frame of frames) {
      const above = frame.depth < whole.depth && inside(whole, frame);
      const left = above ? 0 : (frame.left - whole.left) / whole.width;
      const width = above ? 1 : frame.width / whole.width;
      frame.shape.classList.toggle("away", !above && !(inside(frame, whole) && frame.depth >= whole.depth));
      frame.shape.setAttribute("x", `${left * 100}%`);
      frame.shape.setAttribute("width", `${width * 100}%`);
    }
  }

  function neighbour(frame, key) {
    const shown = frames.filter((other) => !other.shape.classList.contains("away"));
    const row = shown.filter((other) => other.depth === frame.depth);
    if (key === "ArrowRight") return row[row.indexOf(frame) + 1];
    if (key === "ArrowLeft") return row[row.indexOf(frame) - 1];
    if (key === "ArrowDown") return shown.find((f) => f.depth === frame.depth + 1 && inside(f, frame));
    if (key === "ArrowUp") return shown.find((f) => f.depth === frame.depth - 1 && inside(frame, f));
    return undefined;
  }

  for (const frame of frames) {
    frame.shape.addEventListener("click", () => enlarge(frame));
    frame.shape.addEventListener("keydown", (event) => {
      const next = neighbour(frame, event.key);
      if (next) next.shape.focus();
      else if (event.key === "Enter" || event.key === " ") enlarge(frame);
      else return;
      event.preventDefault();
    });
  }
  $("whole").addEventListener("click", () => enlarge({ left: 0, width: 1, depth: 0 }));

  // --- begin

  layTracks();
  if (seq.length) {
    choose(0);
    new ResizeObserver(draw).observe(canvas.parentNode);
    for (const query of ["(prefers-color-scheme: dark)", "print"]) {
      matchMedia(query).addEventListener("change", draw);
    }
  }
})();
