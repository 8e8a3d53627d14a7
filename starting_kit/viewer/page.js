// Steps through a case: the tables are made again from the log of decisions, and drawn with the loads of each piece of time.
(() => {
  "use strict";

  const content = JSON.parse(document.getElementById("content").textContent);
  const { sizes, pieces, log, prices } = content;
  const slots = sizes.devices * sizes.slots;
  const part = (name) => document.getElementById(name);
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const numbers = (text) => new Uint16Array(bytes(text).buffer);
  const hotness = numbers(content.loads.values);
  const curve = numbers(content.curve.values);
  const FULL = 65535;
  // No device stands for the hottest one.
  const shown = { ...content.start, device: null, expert: null };

  // tables[call][layer], and changes[call][layer]: the slots' experts before, where the layer was applied.
  const { tables, changes } = readLog();

  function readLog() {
    const masks = bytes(log.slots), experts = log.id_bytes === 1 ? bytes(log.experts) : numbers(log.experts), width = Math.ceil(slots / 8);
    let live = Array.from({ length: sizes.layers }, () => Uint16Array.from(content.initial));
    const tables = [live], changes = [new Map()];
    let at = 0, row = 0, expert = 0;
    for (const listed of log.listed) {
      const before = live, applied = new Map();
      live = [...before];
      for (const end = at + listed; at < end; at += 1) {
        const layer = log.layers[at];
        applied.set(layer, null);
        if (log.changed[at] < 0) continue;
        live[layer] = before[layer].slice();
        for (let slot = 0; slot < slots; slot += 1) {
          if (masks[row * width + (slot >> 3)] & (128 >> (slot & 7))) live[layer][slot] = experts[expert++];
        }
        row += 1;
        applied.set(layer, before[layer]);
      }
      tables.push(live);
      changes.push(applied);
    }
    return { tables, changes };
  }

  // The devices of what is shown: each with its load and its blocks, the mean device's load being 1.
  function devices() {
    const { piece, layer } = shown;
    const call = pieces.calls[piece], table = tables[call][layer], before = changes[call].get(layer);
    const first = (piece * sizes.layers + layer) * sizes.experts, scale = content.loads.scales[piece][layer] / FULL;
    const replicas = new Uint32Array(sizes.experts);
    for (const expert of table) replicas[expert] += 1;
    let total = 0;
    for (let expert = 0; expert < sizes.experts; expert += 1) total += hotness[first + expert] * scale;
    const mean = total / sizes.devices || 1;
    return Array.from({ length: sizes.devices }, (_, device) => {
      const blocks = Array.from({ length: sizes.slots }, (_, index) => {
        const slot = device * sizes.slots + index, expert = table[slot], tokens = hotness[first + expert] * scale;
        const from = before && before[slot] !== expert ? before[slot] : null;
        return { slot: index, expert, tokens, from, replicas: replicas[expert], load: tokens / replicas[expert] / mean };
      });
      return { device, blocks, load: blocks.reduce((sum, block) => sum + block.load, 0) };
    });
  }

  const span = (piece, layer) => [pieces.edges[layer][piece] + 1, pieces.edges[layer][piece + 1]];
  const signed = (value) => (value < 0 ? "-" : "+") + Math.abs(value).toFixed(3);
  const gainOf = (call, layer) => content.gains.find((gain) => gain.call === call && gain.layer === layer);

  function placeText() {
    const [first, last] = span(shown.piece, shown.layer), call = pieces.calls[shown.piece];
    const when = call ? `after call ${call}` : "before the first call's redeployment";
    if (first > last) return `Layer ${shown.layer}, ${when}: no iteration was measured with this table.`;
    const par = pieces.par[shown.piece][shown.layer], values = last - first + 1;
    const cost = Math.max(par - 1, 0) * values * prices.per_par;
    return `Layer ${shown.layer}, iterations ${first} to ${last}, ${when}: mean PAR ${par.toFixed(3)}, ` +
      `${cost.toFixed(3)} modeled seconds above a perfect balance.`;
  }

  function changeText() {
    const call = pieces.calls[shown.piece];
    if (!call) return "The initial deployment, the same for every policy.";
    const name = `Call ${call} (iteration ${log.calls[call - 1]})`;
    if (!log.listed[call - 1]) return `${name} declined: nothing moved.`;
    if (!changes[call].has(shown.layer)) return `${name} left this layer as it was.`;
    const gain = gainOf(call, shown.layer);
    if (!gain) return `${name} listed this layer, and the trace ended before its turn.`;
    const moved = `${name} changed ${gain.changed} of the layer's ${slots} slots, for ${gain.paid.toFixed(3)} s`;
    if (gain.par === null) return `${moved}; the trace ended before an iteration was measured with them.`;
    return `${moved}; in iterations ${gain.first} to ${gain.last} PAR was ${gain.par.toFixed(3)}, with the slots ` +
      `before ${gain.par_before.toFixed(3)}: ${signed(gain.gained)} s, net ${signed(gain.gained - gain.paid)} s.`;
  }

  const LEFT = 40, TOP = 8, BOTTOM = 20;
  const svg = (width, height, label, inside) =>
    `<svg role="img" aria-label="${label}" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">${inside}</svg>`;
  const line = (kind, x1, y1, x2, y2) => `<line class="${kind}" x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}"/>`;

  function scaleMarks(top, y, width, from) {
    const step = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100].find((size) => (top - from) / size <= 5) || 500;
    let marks = "";
    for (let value = Math.ceil(from / step) * step; value <= top; value += step) {
      const text = step < 0.1 ? value.toFixed(2) : step < 1 ? value.toFixed(1) : String(Math.round(value));
      marks += `${line("axis", LEFT, y(value), width, y(value))}<text x="0" y="${y(value) + 4}">${text}</text>`;
    }
    return marks;
  }

  function drawCurve() {
    const width = Math.max(part("curve").clientWidth, 200), height = 170;
    const { starts, scale } = content.curve, bins = starts.length;
    const own = [], all = [];
    for (let bin = 0; bin < bins; bin += 1) {
      own.push(1 + (curve[shown.layer * bins + bin] * scale) / FULL);
      let sum = 0;
      for (let layer = 0; layer < sizes.layers; layer += 1) sum += curve[layer * bins + bin];
      all.push(1 + (sum * scale) / FULL / sizes.layers);
    }
    const top = Math.max(1.1, ...own, ...all);
    const x = (iteration) => LEFT + ((width - LEFT) * iteration) / sizes.iterations;
    const y = (par) => TOP + (height - TOP - BOTTOM) * (1 - (par - 1) / (top - 1));
    const path = (values) => values.map((par, bin) =>
      `${bin ? "L" : "M"}${x(starts[bin]).toFixed(1)},${y(par).toFixed(1)}H${x(starts[bin + 1] ?? sizes.iterations).toFixed(1)}`).join("");
    const [first, last] = span(shown.piece, shown.layer);
    const now = `<rect class="now" x="${x(first - 1)}" y="${TOP}" height="${height - TOP - BOTTOM}" width="${Math.max(x(last) - x(first - 1), 2)}"/>`;
    const calls = log.calls.map((call) => line("axis", x(call), TOP, x(call), height - BOTTOM)).join("");
    const ends = `<text x="${LEFT}" y="${height - 4}">1</text><text x="${width}" y="${height - 4}" text-anchor="end">${sizes.iterations}</text>`;
    part("curve").innerHTML = svg(width, height, `PAR over the iterations, layer ${shown.layer} and the mean of all layers`,
      `${now}${scaleMarks(top, y, width, 1)}${calls}<path class="of-all" d="${path(all)}"/><path class="of-layer" d="${path(own)}"/>${ends}`);
  }

  let order = [];
  function drawColumns(list, chosen, hottest) {
    const width = Math.max(part("columns").clientWidth, 200), height = 300;
    order = part("ordered").checked ? [...list].sort((one, other) => other.load - one.load) : list;
    const top = Math.max(1.2, ...list.map((each) => each.load));
    const y = (load) => TOP + (height - TOP - BOTTOM) * (1 - load / top), step = (width - LEFT) / list.length;
    const wide = Math.max(step * 0.86, 0.5);
    const blocks = order.map(({ device, blocks: held }, place) => {
      const x = LEFT + place * step;
      let below = 0;
      const drawn = held.map((block) => {
        const low = below;
        below += block.load;
        const kind = `${block.from === null ? "stayed" : "came"}${block.expert === shown.expert ? " twin" : ""}`;
        // A gap between blocks, where there is room for one.
        const tall = y(low) - y(below), gap = tall > 4 ? 1 : 0;
        return `<rect class="${kind}" x="${x.toFixed(2)}" y="${(y(below) + gap).toFixed(2)}" width="${wide.toFixed(2)}" height="${(tall - gap).toFixed(2)}"/>`;
      }).join("");
      const frame = device === chosen ? `<rect class="chosen" x="${x - 1}" y="${y(below) - 1}" width="${wide + 2}" height="${y(0) - y(below) + 2}"/>` : "";
      return drawn + frame;
    }).join("");
    const label = `Loads of ${list.length} devices; the hottest is device ${hottest} with ${list[hottest].load.toFixed(3)} times the mean`;
    const ends = `<text x="${LEFT}" y="${height - 4}">device ${order[0].device}</text><text x="${width}" y="${height - 4}" text-anchor="end">${order[order.length - 1].device}</text>`;
    part("columns").innerHTML = svg(width, height, label,
      `${scaleMarks(top, y, width, 0)}${blocks}${line("mean", LEFT, y(1), width, y(1))}${ends}`);
  }

  const table = (headings, rows) =>
    `<thead><tr>${headings.map((text) => `<th scope="col">${text}</th>`).join("")}</tr></thead><tbody>${rows.join("")}</tbody>`;
  const cells = (values) => values.map((value) => `<td>${value}</td>`).join("");

  function drawExperts({ device, load, blocks }) {
    part("device").value = shown.device ?? "";
    part("device").placeholder = device;
    part("device-title").textContent = `Device ${device}: ${load.toFixed(3)} times the mean load`;
    const rows = blocks.map((block) => `<tr${block.expert === shown.expert ? ' aria-current="true"' : ""}><td>${block.slot}</td>` +
      `<td><button type="button" data-expert="${block.expert}" aria-label="Show all replicas of expert ${block.expert}">${block.expert}</button></td>` +
      `${cells([block.load.toFixed(3), block.tokens.toFixed(1), block.replicas, block.from === null ? "-" : block.from])}</tr>`);
    part("experts").innerHTML = table(["slot", "expert", "brings", "tokens, all replicas", "replicas", "came instead of"], rows);
  }

  function drawLayers() {
    const call = pieces.calls[shown.piece], gains = content.gains.filter((gain) => gain.call === call);
    part("layers-part").hidden = !gains.length;
    for (const row of document.querySelectorAll("#calls tbody tr")) row.ariaCurrent = +row.dataset.call === call ? "true" : null;
    if (!gains.length) return;
    part("layers-title").textContent = `The layers of call ${call}, in its order`;
    const par = (value) => (value === null ? "-" : value.toFixed(3));
    const rows = gains.map((gain) => `<tr${gain.layer === shown.layer ? ' aria-current="true"' : ""}>` +
      `<td><button type="button" data-layer="${gain.layer}" aria-label="Show layer ${gain.layer}">${gain.layer}</button></td>` +
      `${cells([gain.first, gain.changed, par(gain.par_before), par(gain.par), signed(gain.gained), signed(-gain.paid), signed(gain.gained - gain.paid)])}</tr>`);
    part("layers").innerHTML = table(["layer", "from iteration", "changed slots", "PAR with the slots before", "PAR", "seconds gained", "paid", "net"], rows);
  }

  function show(change) {
    Object.assign(shown, change);
    shown.piece = Math.min(Math.max(shown.piece, 0), pieces.calls.length - 1);
    const list = devices();
    const hottest = list.reduce((most, each) => (each.load > most.load ? each : most)).device;
    const device = shown.device ?? hottest;
    part("piece").value = shown.piece;
    part("layer").value = shown.layer;
    [...part("layer").options].forEach((option, layer) => {
      option.textContent = `${layer}: ${pieces.par[shown.piece][layer].toFixed(2)}`;
    });
    part("place").textContent = placeText();
    part("piece").setAttribute("aria-valuetext", part("place").textContent);
    part("change").textContent = changeText();
    drawCurve();
    drawColumns(list, device, hottest);
    drawExperts(list[device]);
    drawLayers();
  }

  // The first piece after a call; the last call with pieces where there are fewer.
  const toCall = (call) => show({ piece: Math.max(pieces.calls.indexOf(Math.min(Math.max(call, 0), log.calls.length)), 0) });
  const within = (event, box) => (event.clientX - box.getBoundingClientRect().left - LEFT) / (box.clientWidth - LEFT);

  part("layer").addEventListener("change", () => show({ layer: +part("layer").value }));
  part("piece").addEventListener("input", () => show({ piece: +part("piece").value }));
  part("back").addEventListener("click", () => toCall(pieces.calls[shown.piece] - 1));
  part("forward").addEventListener("click", () => toCall(pieces.calls[shown.piece] + 1));
  part("costliest").addEventListener("click", () => show({ ...content.start, device: null }));
  part("ordered").addEventListener("change", () => show({}));
  part("device").addEventListener("change", () => {
    const typed = part("device").value;
    show({ device: typed === "" ? null : Math.min(Math.max(Math.trunc(+typed), 0), sizes.devices - 1) });
  });
  part("curve").addEventListener("click", (event) => {
    const iteration = within(event, part("curve")) * sizes.iterations;
    const piece = pieces.calls.findIndex((_, index) => iteration < pieces.edges[shown.layer][index + 1]);
    show({ piece: piece < 0 ? pieces.calls.length - 1 : piece });
  });
  part("columns").addEventListener("click", (event) => {
    const place = Math.floor(within(event, part("columns")) * order.length);
    if (order[place]) show({ device: order[place].device });
  });
  document.addEventListener("click", ({ target }) => {
    if (target.dataset.expert) show({ expert: shown.expert === +target.dataset.expert ? null : +target.dataset.expert });
    else if (target.dataset.layer) show({ layer: +target.dataset.layer });
    else if (target.closest("#calls button")) toCall(+target.closest("tr").dataset.call);
  });
  part("stepper").hidden = false;
  let width = 0;
  new ResizeObserver(() => {
    if (width !== (width = part("columns").clientWidth)) show({});
  }).observe(part("columns"));
})();
