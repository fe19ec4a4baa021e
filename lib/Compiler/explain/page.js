"use strict";
// Draws the page from the JSON in it. Everything that comes from the model is put
// in as text, never as markup.
(() => {
  const { report, graphs } = JSON.parse(document.getElementById("data").textContent);
  // Texts of nodes are kept once.
  for (const segment of graphs.segments) for (const node of segment.nodes) {
    for (const key of ["o", "n", "t", "p", "d"]) if (key in node) node[key] = graphs.texts[node[key]];
    if (node.b) node.b = node.b.map((reason) => graphs.texts[reason]);
  }
  const main = document.getElementById("main"), tip = document.getElementById("tip");

  /// An element; attributes by name, `on*` are listeners; children are text or elements.
  function h(tag, attributes, ...children) {
    const svg = ["svg", "path", "circle", "rect", "text", "g", "title"].includes(tag);
    const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
    }
    for (const child of children.flat(Infinity)) {
      if (child !== null && child !== undefined) element.append(child instanceof Node ? child : String(child));
    }
    return element;
  }

  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  function bytes(count) {
    let unit = 0;
    while (count >= 1024 && unit + 1 < units.length) { count /= 1024; ++unit; }
    return (unit === 0 || count >= 100 ? Math.round(count) : Math.round(count * 10) / 10) + " " + units[unit];
  }
  const sum = (list, of) => list.reduce((total, element) => total + of(element), 0);
  const dash = (text) => (text && text.length ? text : "–");

  // Equal blocks are one line: "layers.0-15.ffn.gate".
  const general = (text) => String(text).replace(/\blayers\.\d+/g, "layers.*");
  function ranges(numbers) {
    const sorted = [...new Set(numbers)].sort((a, b) => a - b), parts = [];
    for (let i = 0; i < sorted.length;) {
      let last = i;
      while (last + 1 < sorted.length && sorted[last + 1] === sorted[last] + 1) ++last;
      parts.push(last > i ? sorted[i] + "–" + sorted[last] : String(sorted[i]));
      i = last + 1;
    }
    return parts.join(",");
  }
  function grouped(things, nameOf) {
    const groups = new Map();
    for (const thing of things) {
      const name = nameOf(thing), key = general(JSON.stringify(thing));
      if (!groups.has(key)) groups.set(key, { first: thing, name: general(name), numbers: [], count: 0 });
      const group = groups.get(key);
      ++group.count;
      const number = /\blayers\.(\d+)/.exec(name);
      if (number) group.numbers.push(Number(number[1]));
    }
    for (const group of groups.values()) {
      if (group.numbers.length) group.name = group.name.replace("layers.*", () => "layers." + ranges(group.numbers));
    }
    return [...groups.values()];
  }

  const sections = [];
  function section(id, title, small, ...content) {
    sections.push([id, title]);
    main.append(h("section", { id, "aria-labelledby": id + "-title", class: id === "overview" ? "bare" : null },
                  h("h2", { id: id + "-title" }, title, small ? h("small", {}, small) : null), content));
  }
  function table(header, rows) {
    const cells = (tag, row) => row.map((cell, i) => {
      const column = header[i] || {};
      return h(tag, { class: column.class || null, scope: tag === "th" ? "col" : null }, cell);
    });
    return h("div", { class: "scroll" }, h("table", {},
             h("thead", {}, h("tr", {}, cells("th", header.map((column) => column.title)))),
             h("tbody", {}, rows.map((row) => (row instanceof Node ? row : h("tr", {}, cells("td", row)))))));
  }
  const column = (title, kind) => ({ title, class: kind });
  const tag = (text, kind) => h("span", { class: "tag " + (kind || text) }, text);

  // ---- head
  document.title = report.model + " – graphc explain";
  const fact = (name, value) => h("span", { class: "fact" }, h("b", {}, name), h("code", {}, value));
  document.getElementById("top").append(
    h("h1", {}, h("small", {}, "graphc explain"), report.model),
    h("div", { class: "facts" }, fact("policy", report.policy.join("; ") || "as stored"),
      report.semantics === "graphc" ? null : fact("semantics", report.semantics),
      fact("pin", report.pins.join("; ") || "attention's compute type"), fact("outputs", report.outputs.join(", ")),
      report.target ? fact("target", report.target) : null, report.stopped ? fact("kernels", "none: " + report.stopped) : null));

  // ---- overview
  const card = (big, what, more) => h("div", { class: "card" }, h("div", { class: "what" }, what), h("div", { class: "big" }, big), h("div", { class: "more" }, more));
  const inPlace = report.weights.filter((weight) => weight.residency === "in place").length;
  const pins = [...new Set(report.cache.map((slot) => (slot.keys.dtype === slot.values.dtype ? slot.keys.dtype : slot.keys.dtype + "/" + slot.values.dtype)))];
  // An attention over tensors or over a cross slot has no slot to own.
  const isMissed = (decision) => !decision.done && decision.pass === "layer-fuse-cache" && !["missed-cross", "missed-no-slot"].includes(decision.key);
  const missed = report.decisions.filter(isMissed).length;
  const owned = report.cache.filter((slot) => slot.rows !== "cross"), crossed = report.cache.length - owned.length;
  section("overview", "Overview", "", h("div", { class: "cards" },
    card(report.casts.length, "casts left", bytes(sum(report.casts, (cast) => cast.bytes_per_step)) + " moved a decoding step for them"),
    card(pins.join(", ") || "none", "cache", report.plan ? bytes(report.plan.cache) + " at " + report.plan.capacity + " tokens" : report.cache.length + " slots"),
    card(owned.filter((slot) => slot.fused).length + " / " + owned.length, "slots fused and in place", (missed ? missed + " attentions not fused" : "no attention missed") + (crossed ? ", " + crossed + " cross slots" : "")),
    report.stopped ? null : card(report.kernels.run, "kernels a step", (report.kernels.run_encoder ? report.kernels.run_encoder + " a source, " : "") + report.kernels.in_code + " in code"),
    report.stopped ? null : card(inPlace + " / " + report.weights.length, "weights used in place", bytes(sum(report.weights, (weight) => (weight.residency === "in place" ? 0 : weight.bytes))) + " converted"),
    report.plan ? card(bytes(report.plan.total), "memory of a session", "batch " + report.plan.batch + ", capacity " + report.plan.capacity) : null,
    card(sum(report.roundings, (rounding) => rounding.layers + rounding.casts), "rounding points", report.roundings.map((rounding) => rounding.type + " " + (rounding.layers + rounding.casts)).join(", ") || "all f32")));

  // ---- graph
  function kindOf(node) {
    if (node.o === "cast") return "cast";
    if (node.o === "cached_attention") return "fused";
    if (node.o === "param") return "param";
    if (/cache|^seed_/.test(node.o)) return "cache";
    return ["output", "container", "optional", "positions", "none", "unpack"].includes(node.o) ? "plain" : "layer";
  }
  // A layer is the same layer in both graphs if its name is; other nodes have no
  // name of their own.
  const structural = new Set(["cast", "param", "output", "unpack", "none", "positions"]);
  const keyOf = (node) => (structural.has(node.o) || /cache/.test(node.o) && node.o !== "cached_attention" ? node.o + "|" + node.n + "|" + (node.o === "cast" ? node.t.split(" ")[0] : "") : "layer|" + node.n);
  const faceOf = (node) => [node.o, node.t, node.p || "", node.d || "", (node.b || []).join()].join("|");
  const numberOf = (name) => { const found = /\.(\d+)$/.exec(name); return found ? Number(found[1]) : -1; };
  /// The nodes of the part of `stage` that holds the first block of `part`.
  function nodesLike(stage, [, name]) {
    for (const [segment, first, count] of stage.parts) {
      const isBlock = numberOf(name) >= 0 && numberOf(first) >= 0;
      if (isBlock ? numberOf(name) >= numberOf(first) && numberOf(name) < numberOf(first) + count : first === name) return graphs.segments[segment].nodes;
    }
    return [];
  }
  function statusOf(nodes, others, only) {
    const known = new Map(others.map((node) => [keyOf(node), node]));
    return nodes.map((node) => (!known.has(keyOf(node)) ? only : faceOf(node) === faceOf(known.get(keyOf(node))) ? "" : "changed"));
  }

  const decisionsOf = new Map();
  for (const decision of report.decisions) {
    const key = decision.layer;
    if (!decisionsOf.has(key)) decisionsOf.set(key, []);
    decisionsOf.get(key).push(decision);
  }
  const fullName = (part, node) => (numberOf(part[1]) >= 0 ? part[1] + "." + node.n : node.n);

  function showTip(target, node, status, full) {
    const rows = [["name", full || "–"], ["type", node.t]];
    if (node.p) rows.push(["policy", node.p]);
    if (node.d) rows.push(["attributes", node.d]);
    for (const reason of node.b || []) rows.push(["because", reason]);
    for (const decision of decisionsOf.get(full) || []) rows.push([decision.done ? "done" : "why not", decision.text + " (" + decision.pass + ", " + decision.key + ")"]);
    tip.replaceChildren(h("strong", {}, node.o), status ? " " + status + " by this pass" : "", h("dl", {}, rows.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])));
    tip.hidden = false;
    const box = target.getBoundingClientRect();
    tip.style.left = Math.max(8, Math.min(box.left + 60, innerWidth - tip.offsetWidth - 12)) + "px";
    const below = box.bottom + 6;
    tip.style.top = (below + tip.offsetHeight > innerHeight ? Math.max(4, box.top - tip.offsetHeight - 6) : below) + "px";
  }
  const hideTip = () => { tip.hidden = true; };

  const kRow = 25, kLane = 9;
  /// Lanes for values: each runs from its maker to its last reader.
  function edgesOf(nodes, shown) {
    const row = new Map(shown.map((index, i) => [index, i])), last = new Map(), ends = [], lanes = new Map();
    for (const index of shown) for (const from of nodes[index].i || []) if (row.has(from)) last.set(from, row.get(index));
    for (const index of shown) {
      const at = row.get(index);
      if (!last.has(index)) { lanes.set(index, 0); continue; }
      let lane = 0;
      while (ends[lane] !== undefined && ends[lane] > at) ++lane;
      ends[lane] = last.get(index);
      lanes.set(index, lane);
    }
    return { row, lanes, width: (ends.length || 1) * kLane + 14 };
  }

  function drawPart(part, statuses, open, showParameters) {
    const [segment, first, count] = part, nodes = graphs.segments[segment].nodes;
    const shown = nodes.map((node, i) => i).filter((i) => showParameters || nodes[i].o !== "param");
    const { row, lanes, width } = edgesOf(nodes, shown);
    const y = (index) => row.get(index) * kRow + kRow / 2, x = (index) => lanes.get(index) * kLane + 9;
    const svg = h("svg", { width, height: shown.length * kRow, "aria-hidden": "true" });
    const paths = new Map();
    for (const index of shown) for (const from of nodes[index].i || []) {
      if (!row.has(from)) continue;
      const path = h("path", { d: `M${x(from)} ${y(from)} V${y(index) - 6} Q${x(from)} ${y(index)} ${x(from) + (x(index) === x(from) ? 0 : Math.sign(x(index) - x(from)) * 6)} ${y(index)} H${x(index)}` });
      svg.append(path);
      for (const end of [index, from]) paths.set(end, [...(paths.get(end) || []), path]);
    }
    for (const index of shown) svg.append(h("circle", { cx: x(index), cy: y(index), r: 3.5, class: "k-" + kindOf(nodes[index]) }));
    const light = (index, lit) => (paths.get(index) || []).forEach((path) => path.classList.toggle("lit", lit));
    const rows = shown.map((index) => {
      const node = nodes[index], status = statuses[index], full = fullName(part, node);
      const whyNot = (decisionsOf.get(full) || []).some(isMissed);
      const enter = (event) => { light(index, true); showTip(event.currentTarget, node, status, full); };
      const leave = () => { light(index, false); hideTip(); };
      const element = h("div", { class: "node " + status, tabindex: 0, role: "listitem", "aria-label": [node.o, node.n, node.t, status].join(" "), onmouseenter: enter, onfocus: enter, onmouseleave: leave, onblur: leave },
        h("span", { class: "mark" }, { added: "+", removed: "−", changed: "•" }[status] || ""), h("span", { class: "tag k-" + kindOf(node) }, node.o),
        h("span", { class: "name" }, node.n), whyNot ? h("span", { class: "why" }, "not fused") : null, h("span", { class: "type" }, node.t));
      element.style.paddingLeft = width + "px";
      return element;
    });
    const number = numberOf(first), name = count > 1 ? first.replace(/\d+$/, "") + number + "–" + (number + count - 1) : first;
    const changes = statuses.filter((status) => status).length;
    return h("details", { class: "part", open },
      h("summary", {}, name, h("span", { class: "dim" }, (count > 1 ? count + " equal blocks, " : "") + nodes.length + " nodes" + (changes ? ", " + changes + " differ" : ""))),
      h("div", { class: "nodes", role: "list" }, svg, rows));
  }

  const panes = h("div", { class: "panes" }), buttons = h("div", { class: "stages", role: "toolbar", "aria-label": "Passes" });
  const parameters = h("input", { type: "checkbox", id: "parameters", onchange: () => choose(chosen) });
  let chosen = 0;
  const changesAt = graphs.stages.map((stage, i) => (i === 0 ? 0 : sum(stage.parts, (part) =>
    part[2] * statusOf(graphs.segments[part[0]].nodes, nodesLike(graphs.stages[i - 1], part), "added").filter((status) => status).length) +
    sum(graphs.stages[i - 1].parts, (part) => part[2] * statusOf(graphs.segments[part[0]].nodes, nodesLike(stage, part), "removed").filter((status) => status === "removed").length)));
  function choose(index) {
    chosen = index;
    [...buttons.children].forEach((button, i) => button.setAttribute("aria-pressed", String(i + 1 === index)));
    const before = graphs.stages[index - 1], after = graphs.stages[index];
    if (!after) return;
    const pane = (title, stage, other, only) => h("div", { class: "pane" }, h("h3", {}, title), stage.parts.map((part) =>
      drawPart(part, statusOf(graphs.segments[part[0]].nodes, nodesLike(other, part), only), true, parameters.checked)));
    panes.replaceChildren(pane("before " + after.title, before, after, "removed"), pane("after " + after.title, after, before, "added"));
    hideTip();
  }
  graphs.stages.slice(1).forEach((stage, i) => buttons.append(h("button", { type: "button", onclick: () => choose(i + 1) }, stage.title, h("span", { class: "dim" }, changesAt[i + 1] || "–"))));
  const legend = (kind, text) => h("span", {}, h("i", { class: "k-" + kind }), text);
  section("graph", "Layer graph", "before and after each pass; the number is how many nodes it touched",
    buttons, h("div", { class: "legend" }, legend("layer", "layer"), legend("cast", "cast"), legend("fused", "fused with its cache"), legend("cache", "cache operation"), legend("plain", "structure"),
      h("label", { for: "parameters" }, parameters, " show parameters"), h("span", {}, "point at a node, or reach it with Tab, for its policy, reasons and why-nots")), panes);
  const busiest = changesAt.indexOf(Math.max(...changesAt.slice(1), 0), 1);
  if (graphs.stages.length > 1) choose(busiest > 0 ? busiest : 1);

  // ---- layers
  const pinOf = new Map(report.cache.map((slot) => [slot.name, "k=" + slot.keys.dtype + ", v=" + slot.values.dtype]));
  const layerHeader = [column("layer", "name"), column("kind", "mono"), column("params", "mono"), column("compute", "mono"), column("output", "mono"),
    column("reads", "mono split"), column("params", "mono"), column("inside", "mono"), column("stores", "mono"), column("pin", "mono split")];
  const layerRows = grouped(report.layers, (layer) => layer.name).flatMap((group) => {
    const layer = group.first, asked = layer.requested, runs = layer.effective;
    const cells = [group.name, layer.kind, dash(asked.params), dash(asked.compute), dash(asked.output), dash(runs.reads.join(", ")), dash(runs.params.join(", ")), runs.interior, dash(runs.stores.join(", ")), dash(pinOf.get(layer.name))];
    const row = h("tr", { class: layer.notes.length ? "differs" : null, title: Object.entries(layer.rules).map(([key, rule]) => key + " by rule " + rule).join("\n") || null },
      cells.map((cell, i) => h("td", { class: layerHeader[i].class }, cell)));
    const notes = layer.notes.map((note) => h("tr", { class: "note" }, h("td", { colspan: layerHeader.length }, note)));
    row.dataset.name = notes.forEach((note) => { note.dataset.name = group.name + " " + layer.kind; }) || group.name + " " + layer.kind;
    return [row, ...notes];
  });
  const filter = h("input", { type: "search", placeholder: "filter by layer or kind", "aria-label": "filter layers", oninput: () => {
    for (const row of layerRows) row.hidden = !row.dataset.name.includes(filter.value.trim());
  } });
  section("layers", "Layers", "what the policy asks for, left of the line, and what runs, right of it", filter, table(layerHeader, layerRows));

  // ---- casts
  const causes = (cast) => h("ul", { class: "because" }, cast.because.map((cause) => h("li", {}, h("code", {}, cause.setting), " ", general(cause.layer),
    h("span", { class: "dim" }, (cause.rule && cause.rule !== cause.setting ? " rule '" + cause.rule + "'" : "") + (cause.passes ? " by " + cause.passes : "")))));
  section("casts", "Casts", report.casts.length + " left", report.casts.length === 0 ? h("p", { class: "hint" }, "None: every rounding is where its value is made.") :
    table([column("count", "number"), column("value", "name"), column("type", "mono"), column("where"), column("bytes a step", "number"), column("bytes a prefill token", "number"), column("because")],
      grouped(report.casts, (cast) => cast.value).map((group) => [group.count, group.name, group.first.from + " → " + group.first.to,
        [tag(group.first.fate), group.first.on_cache ? " on the cache" : ""], (group.first.bytes_per_step * group.count).toLocaleString("en"),
        (group.first.bytes_per_prefill_token * group.count).toLocaleString("en"), causes(group.first)])));

  // ---- fusions
  const decisions = (done) => grouped(report.decisions.filter((decision) => decision.done === done), (decision) => decision.layer).map((group) =>
    [group.count, group.name, h("span", {}, tag(group.first.key, done ? "done" : "missed")), h("code", {}, group.first.pass), general(group.first.text)]);
  const decisionHeader = [column("count", "number"), column("layer", "name"), column("what"), column("pass"), column("how, or why not")];
  const decisionTable = (rows) => (rows.length ? table(decisionHeader, rows) : h("p", { class: "hint" }, "None."));
  section("fusions", "Fusions", "", h("h3", {}, "Done"), decisionTable(decisions(true)), h("h3", {}, "Missed, or left as it was"), decisionTable(decisions(false)));

  // ---- cache
  section("cache", "Cache", report.cache.length + " slots", report.cache.length === 0 ? h("p", { class: "hint" }, "None.") :
    table([column("slot", "name"), column("rows"), column("heads", "mono"), column("keys", "mono"), column("pinned by", "mono"), column("values", "mono"), column("pinned by", "mono"), column("")],
      grouped(report.cache.map(({ block, ...slot }) => slot), (slot) => slot.name).map((group) => { const slot = group.first; return [group.name, slot.rows, slot.kv_heads + " × " + slot.head_dim, slot.keys.dtype, slot.keys.rule, slot.values.dtype, slot.values.rule, tag(slot.fused ? "fused" : slot.rows === "cross" ? "stored by the encoder" : "not fused", slot.fused || slot.rows === "cross" ? "done" : "missed")]; })));

  // ---- memory
  function memory(plan) {
    const hues = ["#3a6ea5", "#8a63b8", "#0f9aa6", "#e0912f", "#c9b03a", "#5c9e50", "#c05a7a", "#4d5a6b", "#7a8494", "#b9c0ca"];
    const parts = [["weights in place", plan.weights_in_place], ["weights converted", plan.weights_converted], ["cache", plan.cache], ["workspace", plan.workspace], ["stack", plan.stack],
      ["rope tables", plan.rope_tables], ["inputs", plan.inputs], ["outputs", plan.outputs], ["tables", plan.tables], ["alignment", plan.alignment]].map(([name, size], i) => ({ name, size, hue: hues[i] }));
    if (parts.reduce((sum, part) => sum + part.size, 0) !== plan.total) throw new Error("the uses must add up to the plan's total");
    const chart = h("svg", { class: "chart", viewBox: "0 0 1000 64", role: "img", "aria-label": "memory of a session by use" });
    let at = 0;
    for (const part of parts) {
      const width = part.size / plan.total * 1000;
      chart.append(h("rect", { x: at, y: 8, width: Math.max(width, part.size ? .5 : 0), height: 40, fill: part.hue }, h("title", {}, part.name + ": " + bytes(part.size))));
      at += width;
    }
    const rows = parts.map((part) => [h("span", {}, (() => { const swatch = h("span", { class: "swatch" }); swatch.style.background = part.hue; return swatch; })(), part.name),
      part.size.toLocaleString("en"), bytes(part.size), (part.size / plan.total * 100).toFixed(1) + " %"]);
    rows.push([h("strong", {}, "total"), plan.total.toLocaleString("en"), bytes(plan.total), ""]);
    const scaleBytes = (block) => (block.scales ? block.scales.bytes : 0), hasScales = plan.blocks.some(scaleBytes);
    const most = Math.max(...plan.blocks.map((block) => block.keys.bytes + block.values.bytes + scaleBytes(block)), 1), wide = 1000 / Math.max(plan.blocks.length, 8);
    const blocks = h("svg", { class: "chart", viewBox: "0 0 1000 130", role: "img", "aria-label": "cache by block" });
    plan.blocks.forEach((block, i) => {
      const keys = block.keys.bytes / most * 90, values = block.values.bytes / most * 90, scales = scaleBytes(block) / most * 90, x = i * wide;
      const label = `block ${block.block}: ${block.rows} rows, keys ${block.keys.dtype} ${bytes(block.keys.bytes)}, values ${block.values.dtype} ${bytes(block.values.bytes)}` + (scales ? `, scales ${bytes(scaleBytes(block))}` : "");
      blocks.append(h("g", {}, h("title", {}, label), h("rect", { x: x + 3, y: 100 - keys, width: wide - 6, height: keys, fill: "#0f9aa6" }),
        h("rect", { x: x + 3, y: 100 - keys - values, width: wide - 6, height: values, fill: "#5cc7cf" }),
        h("rect", { x: x + 3, y: 100 - keys - values - scales, width: wide - 6, height: scales, fill: "#c9b03a" })),
        h("text", { x: x + wide / 2, y: 118, "text-anchor": "middle", class: "dim" }, plan.blocks.length <= 40 || i % 8 === 0 ? block.block : ""));
    });
    return [chart, table([column("use"), column("bytes", "number"), column("", "number"), column("share", "number")], rows),
      plan.blocks.length ? [h("h3", {}, "Cache by block"), h("div", { class: "legend" }, h("span", {}, (() => { const i = h("i", {}); i.style.background = "#0f9aa6"; return i; })(), "keys"),
        h("span", {}, (() => { const i = h("i", {}); i.style.background = "#5cc7cf"; return i; })(), "values"),
        hasScales ? h("span", {}, (() => { const i = h("i", {}); i.style.background = "#c9b03a"; return i; })(), "scales") : null), blocks] : null].flat();
  }
  if (report.plan) section("memory", "Memory plan", `batch ${report.plan.batch}, capacity ${report.plan.capacity}, chunk ${report.plan.chunk}, threads ${report.plan.threads}; known before any weight is read`, memory(report.plan));

  // ---- weights and kernels
  if (!report.stopped) {
    section("weights", "Weights", inPlace + " of " + report.weights.length + " in place", table([column("count", "number"), column("weight", "name"), column("file", "mono"), column("memory", "mono"), column("bytes", "number"), column("residency"), column("why")],
      grouped(report.weights.map(({ source, ...weight }) => weight), (weight) => weight.name).map((group) => [group.count, group.name, group.first.stored, group.first.used, (group.first.bytes * group.count).toLocaleString("en"),
        tag(group.first.residency, group.first.residency === "in place" ? "done" : "load"), general(group.first.reason)])));
    const kernels = (step) => table([column("runs", "number"), column("kernel", "mono"), column("roundings", "number"), column("layers", "name")],
      report.kernels.list.filter((kernel) => kernel.step === step).map((kernel) => [kernel.runs, kernel.kind, kernel.roundings, kernel.layers.join(" + ")]));
    section("kernels", "Kernels", report.kernels.run + " a decoding step, " + report.kernels.in_code + " in code", kernels("decode"));
    if (report.kernels.run_encoder) section("encoder-kernels", "Kernels of the encoder", report.kernels.run_encoder + " a source", kernels("encoder"));
  }
  // ---- times
  if (report.roofline) {
    const number = (value, digits) => value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
    const bar = (share) => h("svg", { class: "share", viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" }, h("rect", { width: Math.min(share, 1) * 100, height: 10 }));
    const header = [column("kernel", "mono"), column("layers", "name"), column("calls", "number"), column("ms", "number"), column("of the step", "number"), column(""),
      column("predicted ms", "number"), column("of the limit", "number"), column("bound by"), column("bytes", "number"), column("GFLOP", "number")];
    const times = (profile) => [h("h3", {}, (profile.phase === "prefill" ? "Prefill" : "Decode") + " step of " + profile.tokens + (profile.tokens === 1 ? " token" : " tokens") + " behind " + profile.context + ", threads " + profile.threads),
      h("p", { class: "hint" }, "The kernels take " + number(100 * profile.kernel_share, 1) + " % of a step of " + number(1e3 * profile.seconds, 2) + " ms. Limits beside it: " + number(profile.limits.read_bytes_per_second / 1e9, 1) + " GB/s read, " +
        (profile.limits.dot_operations_per_second ? number(profile.limits.dot_operations_per_second / 1e9, 0) + " G dot operations/s, " : "") + number(profile.limits.f32_operations_per_second / 1e9, 0) + " G f32 operations/s."),
      table(header, profile.kernels.map((kernel) => { const limited = kernel.bound !== "none"; return [kernel.kind, kernel.layers, kernel.calls, number(1e3 * kernel.seconds, 3), number(100 * kernel.seconds / profile.seconds, 1) + " %", bar(kernel.seconds / profile.seconds),
        limited ? number(1e3 * kernel.limit_seconds, 3) : "–", limited ? number(100 * kernel.ratio, 0) + " %" : "–", limited ? kernel.bound : "–", bytes(kernel.bytes), number(2e-9 * (kernel.dot_multiply_adds + kernel.f32_multiply_adds), 2)]; }))];
    section("times", "Where the time goes", "measured, beside what each kernel takes at the limits of this machine", report.roofline.map(times));
  }
  // ---- statistics
  const byPass = new Map();
  for (const counter of report.counters) byPass.set(counter.pass, [...(byPass.get(counter.pass) || []), counter.value + " " + counter.name]);
  section("passes", "Passes", "what each counted", table([column("pass", "mono"), column("counters")], [...byPass].map(([pass, counters]) => [pass, counters.join(", ")])));

  document.getElementById("nav").append(h("ul", {}, sections.map(([id, title]) => h("li", {}, h("a", { href: "#" + id }, title)))));
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hideTip(); });
  document.documentElement.dataset.ready = "true";
})();
