// The live tail of the explorer: the only thing here that needs a script. What
// records say goes into text nodes and attributes only, never into markup.
"use strict";
(() => {
  const button = document.getElementById("live");
  if (!button) return;
  const status = document.getElementById("live-status");
  const body = document.getElementById(button.dataset.table).tBodies[0];
  const most = 500; // rows on the page; older ones give way
  const outcomes = { success: ["ok", "✓"], failure: ["bad", "✗"], denied: ["denied", "⊘"], pending: ["open", "…"] };
  let source = null;
  let count = 0;
  let trimmed = false;

  const element = (name, cls, text) => {
    const e = document.createElement(name);
    if (cls) e.className = cls;
    if (text) e.textContent = text;
    return e;
  };
  // The same pictures as the server's for characters that would disguise themselves.
  const hidden = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]|[\u{e0000}-\u{e007f}]/gu;
  const visible = (s) => s.replace(hidden, (c) => {
    const n = c.codePointAt(0);
    if (n < 0x20) return String.fromCodePoint(0x2400 + n);
    if (n === 0x7f) return "\u2421";
    return "⟨U+" + n.toString(16).toUpperCase().padStart(4, "0") + "⟩";
  });
  const clip = (s, n) => {
    const chars = Array.from(s || "");
    return visible(chars.length > n ? chars.slice(0, n - 1).join("") + "…" : chars.join(""));
  };
  const words = (...parts) => parts.filter((p, i) => p && p !== parts[i - 1]).join(" ");
  const millis = (ms) => {
    if (!(ms > 0)) return "–";
    if (ms < 1) return (ms * 1000).toFixed(0) + " µs";
    if (ms < 100) return ms.toFixed(1) + " ms";
    if (ms < 1000) return ms.toFixed(0) + " ms";
    if (ms < 60000) return (ms / 1000).toFixed(2) + " s";
    return ms < 3600000 ? (ms / 60000).toFixed(1) + " min" : (ms / 3600000).toFixed(1) + " h";
  };
  // As in the server's tables: the name only where the id is too long to be read.
  const who = (a) => a.email || (a.name && new TextEncoder().encode(a.id || "").length > 32 ? a.name : a.id || a.name || a.type);
  const cell = (cls, child) => {
    const td = element("td", cls);
    td.setAttribute("role", "cell");
    if (child) td.append(child);
    return td;
  };
  const text = (s, most, title) => {
    const b = element("bdi", "", clip(s, most));
    if (title) b.title = clip(title, 400);
    return b;
  };

  const row = (r) => {
    const tr = element("tr", "new");
    tr.setAttribute("role", "row");
    const time = element("time", "", r.occurred_at.slice(0, 19).replace("T", " "));
    time.dateTime = r.occurred_at;
    time.title = r.occurred_at;
    const [cls, sign] = outcomes[r.outcome] || ["open", "?"];
    const outcome = element("span", "outcome " + cls);
    const mark = element("span", "", sign);
    mark.setAttribute("aria-hidden", "true");
    outcome.append(mark, " " + clip(r.outcome, 20));
    const action = element("th");
    action.scope = "row";
    action.setAttribute("role", "rowheader");
    const link = element("a");
    link.href = "/records/" + encodeURIComponent(r.id) + "?" + new URLSearchParams({ namespace: r.namespace || "", tenant: r.tenant || "" });
    link.append(text(r.action, 60));
    action.append(link);
    if (r.kind && r.kind !== "event") action.append(" ", element("span", "kind", clip(r.kind, 12)));
    const a = r.actor || {}, res = r.resource || {}, tool = r.tool || {};
    tr.append(
      cell("time", time), cell("", outcome), action,
      cell("", text(who(a), 48, words(a.id, a.name, a.email, a.type))),
      cell("", text(words(res.type, res.name || res.id), 64, words(res.type, res.id, res.name))),
      cell("", text(tool.name, 28)),
      cell("", text([r.namespace, r.tenant].filter(Boolean).join(" / "), 40)),
      cell("num", millis(r.duration_ms)),
    );
    return tr;
  };

  const say = (what) => {
    const came = count === 0 ? "" : count === 1 ? " 1 new record." : ` ${count} new records.`;
    status.textContent = what + came + (trimmed ? " Older rows were removed from this page." : "");
  };
  const stop = (why) => {
    if (source) source.close();
    source = null;
    button.setAttribute("aria-pressed", "false");
    button.textContent = "Follow live";
    say(why);
  };
  const start = () => {
    source = new EventSource(button.dataset.stream);
    button.setAttribute("aria-pressed", "true");
    button.textContent = "Following: stop";
    say("Connecting.");
    source.onopen = () => say("Live: waiting for records.");
    source.onerror = () => {
      if (source && source.readyState === EventSource.CLOSED) stop("The live tail ended: the server refused it.");
      else say("The connection was lost; trying again.");
    };
    source.addEventListener("record", (e) => {
      const r = JSON.parse(e.data);
      count++;
      const nothing = document.getElementById("nothing");
      if (nothing) nothing.remove();
      body.prepend(row(r));
      while (body.rows.length > most) {
        body.rows[body.rows.length - 1].remove();
        trimmed = true;
      }
      say("Live.");
    });
  };
  button.hidden = false;
  button.addEventListener("click", () => {
    const on = !source;
    if (on) start();
    else stop("Stopped.");
    history.replaceState(null, "", on ? "#live" : location.pathname + location.search);
  });
  addEventListener("pagehide", () => source && source.close());
  if (location.hash === "#live") start();
})();
