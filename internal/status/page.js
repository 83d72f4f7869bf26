"use strict";
// All that comes from pgseal is put into the page as text, never as markup.
(() => {
const every = 2000, patience = 5000; // milliseconds
const $ = (id) => document.getElementById(id);
const svgNS = "http://www.w3.org/2000/svg";

function el(name, props, ...children) {
  const e = document.createElement(name);
  for (const [k, v] of Object.entries(props || {})) {
    if (k === "text") e.textContent = v;
    else if (v !== undefined && v !== false) e.setAttribute(k, v);
  }
  e.append(...children);
  return e;
}
function svg(name, props, ...children) {
  const e = document.createElementNS(svgNS, name);
  for (const [k, v] of Object.entries(props)) e.setAttribute(k, v);
  e.append(...children);
  return e;
}
const bdi = (text) => el("bdi", {text});
const badge = (state, text) => el("span", {class: "badge", "data-state": state, text});
const setText = (e, text) => { if (e.textContent !== text) e.textContent = text; };

// How numbers are written.
const dash = "–";
const digits = (v) => v >= 100 ? Math.round(v).toLocaleString("en") : v >= 10 ? v.toFixed(1) : v.toFixed(2).replace(/\.?0+$/, "");
const rate = (v) => v === null ? dash : digits(v);
const count = (v) => v === null ? dash : v.toLocaleString("en");
function time(s) {
  if (s === null) return dash;
  if (s < 1e-3) return digits(s * 1e6) + " µs";
  if (s < 1) return digits(s * 1e3) + " ms";
  return s < 120 ? digits(s) + " s" : lasting(s);
}
function lasting(s) {
  s = Math.max(0, Math.floor(s));
  for (const [size, name] of [[86400, "day"], [3600, "hour"], [60, "minute"]]) {
    const n = Math.floor(s / size);
    if (n >= 2 || (n === 1 && name !== "day")) return n + " " + name + (n === 1 ? "" : "s");
  }
  return s + (s === 1 ? " second" : " seconds");
}
const plural = (n, thing) => count(n) + " " + thing + (n === 1 ? "" : "s");
const pad = (n) => String(n).padStart(2, "0");
const clock = (d) => pad(d.getHours()) + ":" + pad(d.getMinutes()) + ":" + pad(d.getSeconds());
const day = (d) => d.getFullYear() + "-" + pad(d.getMonth() + 1) + "-" + pad(d.getDate());

// A part is drawn anew only where what it is made of has changed, so that
// a selection in it, and the place of who reads it, last.
const drawn = {};
function changed(id, data) {
  const now = JSON.stringify(data);
  if (drawn[id] === now) return false;
  drawn[id] = now;
  return true;
}

// Cells. The first of a row is its heading where the table says so.
const cell = (cls, ...children) => ({cls, children});
function table(id, data, none, row) {
  if (!changed(id, data)) return;
  const labels = [...$(id).querySelectorAll("thead th")].map((th) => th.textContent);
  const rows = data.map((x) => {
    const tr = el("tr", {role: "row"});
    row(x).forEach((c, i) => {
      if (typeof c === "string") c = cell("", c);
      tr.append(c.head
        ? el("th", {scope: "row", role: "rowheader"}, ...c.children)
        : el("td", {role: "cell", class: c.cls || undefined, "data-label": labels[i]}, ...c.children));
    });
    return tr;
  });
  if (rows.length === 0) rows.push(el("tr", {role: "row"}, el("td", {role: "cell", class: "empty quiet", colspan: labels.length, text: none})));
  $(id).tBodies[0].replaceChildren(...rows);
}
const head = (...children) => ({head: true, children});

const word = {trouble: "problem", attention: "warning"};

// announce has a screen reader say something: once for each state of affairs,
// since the texts count seconds.
function announce(affairs, text) {
  if (changed("announce", affairs)) setText($("announce"), text);
}

function verdict(r) {
  announce([r.state, r.findings.length], r.headline);
  $("verdict").dataset.state = r.state;
  setText($("headline"), r.headline);
  $("grade").hidden = r.findings.length !== 1; // else the headline has the word
  $("grade").dataset.state = r.state;
  setText($("grade"), word[r.state] || "");
  const list = r.findings.length > 1 ? r.findings : [];
  if (changed("findings", list)) {
    $("findings").replaceChildren(...list.map((f) => el("li", {}, badge(f.state, word[f.state]), el("span", {text: f.text}))));
  }
  const c = r.clients, s = r.servers, m = r.last_minute;
  const tiles = [
    ["Clients active", count(c.active), c.max_client_conn > 0 ? "of at most " + count(c.max_client_conn) : ""],
    ["Clients waiting", count(c.waiting), ""],
    ["Servers active", count(s.active), s.idle + " idle" + (s.opening ? ", " + s.opening + " opening" : "")],
    ["Transactions/s", rate(m.transactions_per_second), "last minute"],
    ["Query p50", time(m.query_p50_seconds), "p99 " + time(m.query_p99_seconds)],
  ];
  if (changed("figures", tiles)) {
    $("figures").replaceChildren(...tiles.map(([name, value, note]) => el("div", {}, el("dt", {text: name}), el("dd", {}, value + " ", el("small", {text: note})))));
  }
  setText($("about"), r.version + ", up " + lasting((Date.parse(r.now) - Date.parse(r.started)) / 1000));
  document.title = (r.findings.length ? "(" + r.findings.length + ") " + r.headline : r.headline) + " – pgseal";
}

// The icon of the page's tab has the state as a colour and a shape.
function icon(state) {
  if (!changed("icon", state)) return;
  const shape = {
    ok: '<circle cx="8" cy="8" r="7" fill="#1a9a55"/>', attention: '<path d="M8 1l7.5 14H.5z" fill="#e09a1a"/>',
    trouble: '<path d="M1 1h14v14H1z" fill="#d8303b"/>', lost: '<path d="M2 2l12 12M14 2L2 14" stroke="#888" stroke-width="3"/>',
  }[state];
  $("icon").href = "data:image/svg+xml," + encodeURIComponent('<svg xmlns="' + svgNS + '" viewBox="0 0 16 16">' + shape + "</svg>");
}

// Charts.
function roundUp(v) {
  if (!(v > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(v));
  return [1, 2, 3, 4, 5, 6, 8, 10].map((n) => n * power).find((n) => n >= v * 0.999);
}
// lines returns runs of points without a gap.
function lines(values, top) {
  const runs = [];
  let run = null;
  values.forEach((v, i) => {
    if (v === null) { run = null; return; }
    if (!run) runs.push(run = []);
    run.push([i / (values.length - 1) * 300, 100 - v / top * 100]);
  });
  return runs;
}
function chart(name, values, write, least, bad) {
  const known = values.filter((v) => v !== null);
  const top = Math.max(roundUp(Math.max(0, ...known)), least);
  const last = values[values.length - 1];
  const picture = svg("svg", {viewBox: "0 -2 300 102", preserveAspectRatio: "none", role: "img", "aria-label":
    known.length ? name + ": now " + write(last) + ", at most " + write(Math.max(...known)) + " in the last 15 minutes" : name + ": nothing is known yet"});
  for (const run of lines(values, top)) {
    const at = run.map(([x, y]) => x.toFixed(1) + " " + y.toFixed(1)).join("L");
    if (run.length > 1) picture.append(svg("path", {class: "area", d: "M" + run[0][0].toFixed(1) + " 100L" + at + "L" + run[run.length - 1][0].toFixed(1) + " 100Z"}));
    picture.append(svg("path", {class: "curve", d: "M" + at + (run.length === 1 ? "h0.01" : "")}));
  }
  return el("figure", {class: bad && last > 0 ? "bad" : undefined},
    el("figcaption", {}, el("span", {text: name}), el("strong", {text: write(last)})),
    el("div", {class: "frame"}, el("span", {class: "top", text: write(top)}), picture),
    el("div", {class: "axis"}, el("span", {text: "15 min ago"}), el("span", {text: "now"})));
}
function charts(r) {
  const names = r.pools.map((p) => [p.id, p.database + "/" + p.user]).sort((a, b) => a[1] < b[1] ? -1 : 1);
  const of = r.charts, box = $("which");
  if (changed("which", names)) {
    box.replaceChildren(el("option", {value: "", text: "all pools"}), ...names.map(([id, name]) => el("option", {value: id, text: name})));
    box.value = of.pool || "";
    if (box.selectedIndex < 0) box.value = ""; // it is gone
  }
  if (!changed("charts", of)) return;
  $("charts").replaceChildren(
    chart("Transactions/s", of.transactions_per_second, rate, 1),
    chart("Clients waiting", of.waiting, count, 1, true),
    chart("Query p99", of.query_p99_seconds, time, 0));
}

function serverBar(p) {
  const room = Math.max(p.size + p.reserve, p.servers.active + p.servers.idle + p.servers.opening, 1);
  const bar = svg("svg", {class: "bar", viewBox: "0 0 " + room + " 1", preserveAspectRatio: "none", "aria-hidden": "true"});
  let x = 0;
  for (const kind of ["active", "idle", "opening"]) {
    if (p.servers[kind]) bar.append(svg("rect", {class: kind, x, y: 0, width: p.servers[kind], height: 1}));
    x += p.servers[kind];
  }
  return bar;
}
function poolRow(p) {
  const s = p.servers, m = p.last_minute;
  const urgent = p.max_wait_seconds >= 5 ? " hot" : p.max_wait_seconds >= 1 ? " warm" : "";
  const words = s.active + " active, " + s.idle + " idle" + (s.opening ? ", " + s.opening + " opening" : "") + (s.closing ? ", " + s.closing + " closing" : "") + " of " + p.size + (p.reserve ? " + " + p.reserve : "");
  return [
    head(bdi(p.database), "/", bdi(p.user), el("small", {text: p.mode + " mode"})),
    cell("n", count(p.clients_active)), cell("n" + urgent, count(p.clients_waiting)),
    cell("n" + urgent, p.clients_waiting ? time(p.max_wait_seconds) : dash),
    cell("servers", serverBar(p), el("span", {text: words}), ...(p.last_error ? [el("small", {class: "hot", text: p.last_error})] : [])),
    cell("n", rate(m.transactions_per_second)), cell("n", time(m.query_p50_seconds)), cell("n", time(m.query_p99_seconds)),
    cell("n", time(m.wait_p50_seconds)), cell("n", time(m.wait_p99_seconds)),
  ];
}

const protection = (p) => p.version
  ? head(p.version, el("small", {text: p.cipher}))
  : head(badge(p.local ? "none" : "attention", p.local ? "unix socket" : "no TLS"));
const handshakes = (h) => "Handshakes since the start: " + count(h.ok || 0) + " succeeded, " + count(h.failed || 0) + " failed, " + count(h.left || 0) + " left";
const verified = {
  "verify-full": "chain and host name (verify-full)", "verify-ca": "chain (verify-ca)", "require": "nothing (require)",
  "disable": "nothing", "": "nothing",
};
const kinds = {certificate: "certificate", authority: "authority", crl: "CRL"};
function certificateRow(c) {
  const until = c.not_after ? new Date(c.not_after) : null;
  return [
    cell("", badge(c.state, c.state === "none" ? "no end" : c.state)), head(bdi(c.name), ...(c.alternative_names.length ? [el("small", {text: c.alternative_names.join(", ")})] : [])),
    cell("s", kinds[c.kind] || c.kind), cell("long", c.where.slice(0, 5).join(", ") + (c.where.length > 5 ? " and " + (c.where.length - 5) + " more" : ""), el("small", {class: "code", text: c.file})),
    cell("s", c.left, ...(until ? [el("small", {text: day(until) + " " + clock(until).slice(0, 5)})] : [])),
  ];
}
function errorRow(e) {
  const at = new Date(e.last), today = day(at) === day(new Date());
  return [
    cell("s", (today ? "" : day(at) + " ") + clock(at)),
    cell("long", el("span", {class: "code", text: e.severity + " " + e.code}), el("small", {text: e.message || "text not kept"})),
    cell("s", e.source), cell("", bdi(e.database)), cell("", bdi(e.user)), cell("n", count(e.times)),
  ];
}

function show(r) {
  verdict(r);
  icon(r.state);
  charts(r);
  table("pools", r.pools, "No pool yet: nobody has logged in.", poolRow);
  $("more").hidden = !r.more_pools;
  setText($("more"), plural(r.more_pools, "more pool") + " of less use: they are in the sums and in what is said above.");
  setText($("tls-clients").caption, handshakes(r.tls.client_handshakes));
  setText($("tls-servers").caption, handshakes(r.tls.server_handshakes));
  table("tls-clients", r.tls.clients, "No clients.", (p) => [protection(p), p.group || dash, cell("n", count(p.connections))]);
  table("tls-servers", r.tls.servers, "No servers.", (p) => [protection(p), verified[p.verified || ""] || p.verified, cell("n", count(p.connections))]);
  table("certificates", r.certificates, "None.", certificateRow);
  table("pins", r.pins, "No client was pinned.", (p) => [head(p.reason), cell("n", count(p.now)), cell("n", count(p.since_start))]);
  table("counts", r.errors.since_start, "None.", (e) => [head(cellCode(e.class)), e.source, cell("n", count(e.count))]);
  table("errors", r.errors.last, "None.", errorRow);
  $("app").hidden = false;
}
const cellCode = (text) => el("span", {class: "code", text});

// Contact. It asks, shows, and asks again; whatever goes wrong on the way counts
// as lost contact.
let seen = null; // when pgseal answered last
const opened = new Date();
let why = "", paused = false, turn = 0, timer = 0;

function contact() {
  const lost = why !== "" && !paused;
  document.body.classList.toggle("old", lost);
  $("lost").hidden = !lost;
  if (lost) {
    const since = seen || opened;
    setText($("lost"), "No contact with pgseal since " + clock(since) + ", for " + lasting((Date.now() - since) / 1000) + " (" + why + ")." + (seen ? " What is shown is as of then." : ""));
    icon("lost");
    announce("lost", "No contact with pgseal since " + clock(since));
    document.title = "No contact – pgseal";
  }
  $("contact").dataset.state = lost ? "trouble" : paused ? "attention" : seen ? "ok" : "none";
  setText($("contact"), lost ? "no contact" : paused ? "paused, as of " + (seen ? clock(seen) : dash) : seen ? "live, " + clock(seen) : "starting");
}
async function ask() {
  clearTimeout(timer);
  const mine = ++turn;
  const id = $("which").value;
  // Not by a relative address: one of a page that was asked for with a password
  // in its address would have that too, which fetch refuses.
  const url = location.origin + location.pathname + "status.json" + (id ? "?pool=" + id : "");
  let r = null, fault = "";
  try {
    const answer = await fetch(url, {cache: "no-store", signal: AbortSignal.timeout(patience)});
    if (answer.status === 401) throw new Error("it asks for the token: load the page again");
    if (!answer.ok) throw new Error("it answered " + answer.status);
    r = await answer.json();
  } catch (e) {
    fault = e.name === "TimeoutError" ? "it does not answer" : e instanceof TypeError ? "it can't be reached" : e.message;
  }
  if (mine !== turn) return; // a newer question is under way
  why = fault;
  if (r) {
    seen = new Date();
    drawn.icon = undefined;
    show(r);
  }
  contact();
  if (!paused) timer = setTimeout(ask, document.hidden ? 5 * every : every);
}
$("live").hidden = false;
$("pause").addEventListener("click", () => {
  paused = !paused;
  turn++; // an answer under way is not shown
  clearTimeout(timer);
  setText($("pause"), paused ? "Go on" : "Pause updates");
  contact();
  if (!paused) ask();
});
$("which").addEventListener("change", ask);
document.addEventListener("visibilitychange", () => { if (!document.hidden && !paused) ask(); });
setInterval(contact, 1000);
for (const t of document.querySelectorAll("#app table")) {
  t.setAttribute("role", "table"); // which some browsers forget where it is laid out otherwise
  for (const part of t.querySelectorAll("thead, tbody")) part.setAttribute("role", "rowgroup");
  for (const row of t.querySelectorAll("thead tr")) row.setAttribute("role", "row");
  for (const th of t.querySelectorAll("thead th")) th.setAttribute("role", "columnheader");
}
ask();
})();
