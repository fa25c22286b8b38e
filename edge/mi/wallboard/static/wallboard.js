// Shows the pictures that the server sends. Everything is written as text, never as HTML, and no number stays when it is old:
// if the server calls them stale, or nothing has come for STALE_MS, dashes stand in their place and a banner says since when.
"use strict";

(() => {
  const STALE_MS = 3000;
  const RETRY_MS = 2000;
  const NONE = "–";
  const $ = (id) => document.getElementById(id);

  let zone = "Europe/London";
  let heardAt = 0;          // performance.now() of the last picture
  let last = null;          // the last picture
  let source = null;

  // ---- words -------------------------------------------------------------------------------------------------

  const two = (n) => String(n).padStart(2, "0");

  function duration(seconds) {
    if (seconds === null || seconds === undefined) return NONE;
    const s = Math.floor(seconds);
    if (s >= 86400) return `${Math.floor(s / 86400)} d ${Math.floor(s / 3600) % 24} h`;
    if (s >= 3600) return `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
    return `${Math.floor(s / 60)}:${two(s % 60)}`;
  }

  const count = (n) => (n === null || n === undefined ? NONE : String(n));
  const share = (x) => (x === null || x === undefined ? NONE : `${Math.floor(x * 1000) / 10} %`);

  function clock(text) {
    if (!text) return "an unknown time";
    const at = new Date(text);
    const today = new Intl.DateTimeFormat("en-GB", { timeZone: zone, dateStyle: "short" });
    const time = new Intl.DateTimeFormat("en-GB", { timeZone: zone, timeStyle: "medium" }).format(at);
    const now = last ? new Date(last.at) : new Date();
    return today.format(at) === today.format(now) ? time : `${today.format(at)} ${time}`;
  }

  const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

  // ---- elements that are kept, so that the focus of the keyboard stays where it is --------------------------

  function put(element, text, kind = "") {
    if (element.textContent !== text) element.textContent = text;
    if (element.dataset.kind !== kind) {
      if (element.dataset.kind) element.classList.remove(element.dataset.kind);
      if (kind) element.classList.add(kind);
      element.dataset.kind = kind;
    }
  }

  function children(parent, wanted, make) {
    while (parent.children.length > wanted) parent.lastElementChild.remove();
    while (parent.children.length < wanted) parent.append(make());
    return parent.children;
  }

  // cell: [text, class of its colour, class of its size, address it leads to]
  function table(body, rows) {
    const lines = children(body, rows.length, () => document.createElement("tr"));
    rows.forEach((cells, r) => {
      const line = lines[r];
      while (line.children.length > cells.length) line.lastElementChild.remove();
      cells.forEach(([text, kind = "", size = "", href = ""], c) => {
        let cell = line.children[c];
        if (!cell) {
          cell = document.createElement(c === 0 ? "th" : "td");
          if (c === 0) cell.scope = "row";
          line.append(cell);
        }
        const wide = size ? size.split(" ") : [];
        if (cell.dataset.size !== size) { cell.className = ""; cell.dataset.kind = ""; cell.classList.add(...wide); cell.dataset.size = size; }
        if (!href) {
          if (cell.firstElementChild) cell.replaceChildren();
          put(cell, text, kind);
          return;
        }
        let link = cell.firstElementChild;
        if (!link) { link = document.createElement("a"); cell.replaceChildren(link); }
        if (link.getAttribute("href") !== href) link.setAttribute("href", href);
        put(link, text, kind);
      });
    });
  }

  function pairs(list, items) {
    const wanted = items.reduce((n, item) => n + item.length, 0);
    const kinds = items.flatMap((item) => item.map((_, i) => (i === 0 ? "DT" : "DD")));
    if ([...list.children].some((e, i) => e.tagName !== kinds[i])) list.replaceChildren();
    while (list.children.length > wanted) list.lastElementChild.remove();
    while (list.children.length < wanted) list.append(document.createElement(kinds[list.children.length]));
    items.flat().forEach((cell, i) => {
      const [text, kind = ""] = Array.isArray(cell) ? cell : [cell];
      put(list.children[i], text, kind);
    });
  }

  // ---- the parts of the page ----------------------------------------------------------------------------------

  function waiting(numbers, targets) {
    const rows = numbers ? numbers.waiting : [{ class: "999" }, { class: "standard" }];
    table($("waiting-rows"), rows.map((row) => {
      const notes = [];
      if (row.ringing) notes.push(`${row.ringing} ringing`);
      if (row.fallback) notes.push(`${row.fallback} in the switch's own queue`);
      if (row.upgraded) notes.push(`${row.upgraded} upgraded 101`);
      const target = row.class === "999" ? targets.emergency : targets.routine;
      const over = target !== null && row.oldest_seconds !== null && row.oldest_seconds >= target;
      if (over) notes.unshift("▲ over target");
      const kind = over ? "bad" : "";
      return [
        [row.class === "standard" ? "101" : row.class],
        [count(row.waiting), row.waiting ? kind : "", "number"],
        [duration(row.oldest_seconds), kind, "time"],
        [notes.join(", "), kind, "note"],
      ];
    }));
  }

  function targetsOf(numbers) {
    const least = (tier) => (numbers ? numbers.service : [])
      .filter((row) => row.tier === tier)
      .reduce((found, row) => (found === null ? row.target_seconds : Math.min(found, row.target_seconds)), null);
    return { emergency: least("999"), routine: least("101") };
  }

  const AGENT_STATES = ["ready", "offered", "talking", "wrap-up", "not ready", "signed out"];

  function agents(numbers) {
    const rows = numbers ? numbers.agents : AGENT_STATES.map((state) => ({ state }));
    table($("agent-rows"), rows.map((row) => [
      [capital(row.state)],
      [count(row.count), "", "number"],
      [row.count === 0 || row.state === "signed out" ? "" : duration(row.longest_seconds)],
    ]));
  }

  function level(figure, goal) {
    if (figure === null || figure === undefined) return [NONE, "", "number"];
    return [`${share(figure)} ${figure >= goal ? "✓" : "▼"}`, figure >= goal ? "good" : "bad", "number"];
  }

  function service(numbers) {
    const rows = numbers ? numbers.service : [];
    table($("service-rows"), rows.map((row) => {
      const goal = row.target_share;
      return [
        [row.queue === row.tier ? row.tier : `${row.tier} ${row.queue}`.trim()],
        [`${Math.round(100 * goal)} % in ${row.target_seconds} s`, "", "optional"],
        level(row.now.share, goal),
        level(row.today.share, goal),
        [count(row.today.offered), "", "optional"],
        [count(row.today.answered), "", "optional"],
        [count(row.today.abandoned), "", "optional"],
        [count(row.today.sent_away), "", "optional"],
        [duration(row.today.mean_seconds), "", "optional"],
        [duration(row.today.longest_seconds), "", "optional"],
      ];
    }));
    $("service-none").hidden = Boolean(numbers);
  }

  function callbacks(numbers) {
    const now = numbers ? numbers.callbacks : {};
    const broken = now.out_of_turn > 0;
    let offering = NONE;
    if (numbers) {
      offering = now.paused ? "PAUSED" : now.offering.length ? now.offering.join(", ") : "not now";
      if (now.trunk_rests) offering += "; the trunk rests";
    }
    pairs($("callback-list"), [
      ["Waiting", count(now.waiting)],
      ["Oldest", duration(now.oldest_seconds)],
      ["Being rung", count(now.dialling)],
      ["Offered in", [offering, now.paused || now.trunk_rests ? "warn" : ""]],
      ["Promised today", count(now.promised_today)],
      ["Of those kept", count(now.kept_today)],
      ["Promises kept, ever", numbers ? `${now.kept} of ${now.made}` : NONE],
      ["Became tasks, ever", count(now.became_tasks)],
      ["Out of turn, ever", [numbers ? (broken ? `${now.out_of_turn} BROKEN` : "0 none broken") : NONE, broken ? "bad" : numbers ? "good" : ""]],
    ]);
  }

  function tasks(numbers) {
    const now = numbers ? numbers.tasks : {};
    pairs($("task-list"), [
      ["Open", [count(now.open), now.emergency ? "bad" : ""]],
      ["Oldest", duration(now.oldest_seconds)],
      ["From 999", [numbers ? (now.emergency ? `${now.emergency} ▲ first` : "0") : NONE, now.emergency ? "bad" : ""]],
      ["Nobody's yet", count(now.unassigned)],
      ...(numbers ? now.kinds.map((row) => [capital(row.kind), count(row.count)]) : []),
    ]);
  }

  function health(items) {
    pairs($("health-list"), items.map((item) => {
      const [word, kind] = item.ok === true ? ["✓ OK", "good"] : item.ok === false ? ["✗ LOOK", "bad"] : ["? unknown", "warn"];
      let text = item.text;
      if (item.since) text = text ? `${text} since ${clock(item.since)}` : clock(item.since);
      return [item.name, [word, kind], text];
    }));
  }

  function oneByOne(numbers) {
    const may = document.body.dataset.calls === "yes";
    $("calls").hidden = $("people").hidden = !may;
    if (!may) return;
    table($("call-rows"), (numbers ? numbers.calls : []).map((call) => [
      [call.kind, call.kind.includes("999") || call.kind.includes("upgraded") ? "bad" : ""],
      [call.queue], [call.state], [duration(call.seconds)], [call.agent || ""],
      [call.call_id, "", "", `/wallboard/calls/${encodeURIComponent(call.call_id)}`],
    ]));
    const shown = numbers ? numbers.calls.length : 0;
    put($("call-count"), numbers ? `${numbers.calls_open} open${shown < numbers.calls_open ? `, ${shown} shown` : ""}` : NONE);
    table($("people-rows"), (numbers ? numbers.people : []).map((one) => [
      [one.name ? `${one.agent} ${one.name}` : one.agent],
      [one.state + (one.reason ? ` (${one.reason})` : "") + (one.held ? " (on hold)" : "")],
      [duration(one.seconds)], [one.kind || ""],
    ]));
  }

  function notices(numbers) {
    const incident = $("incident");
    incident.hidden = !(numbers && numbers.incident_since);
    put(incident, numbers && numbers.incident_since ? `MAJOR INCIDENT since ${clock(numbers.incident_since)}` : "");
    const alarms = numbers ? numbers.alarms : [];
    const texts = alarms.map((alarm) => `ALARM ${clock(alarm.at)} ${alarm.kind}: ${alarm.detail}`);
    if (numbers && numbers.alarms_more) texts.push(`and ${numbers.alarms_more} more alarms of the last hour`);
    const lines = children($("alarms"), texts.length, () => document.createElement("li"));
    texts.forEach((text, i) => put(lines[i], text));
  }

  function stale(why, since) {
    const banner = $("stale");
    document.body.toggleAttribute("data-stale", why !== null);
    put($("live"), why === null ? "Live" : "Stale");
    if (why === null) { banner.hidden = true; put(banner, ""); return; }
    banner.hidden = false;
    put(banner, `STALE since ${clock(since)}: ${why}`);
  }

  function draw() {
    const cut = !last || performance.now() - heardAt > STALE_MS;
    const numbers = last && !cut ? last.numbers : null;
    if (cut) stale(last ? "nothing comes from the server any more" : "waiting for the server", last ? last.at : null);
    else stale(last.stale ? last.stale.why : null, last.stale ? last.stale.since : null);
    put($("time"), cut ? "--:--:--" : clock(last.at));
    notices(numbers);
    waiting(numbers, targetsOf(numbers));
    agents(numbers);
    service(numbers);
    callbacks(numbers);
    tasks(numbers);
    health(cut ? [{ name: "Connection", ok: false, text: "cut" }] : last.health);
    oneByOne(numbers);
  }

  // ---- the connection -----------------------------------------------------------------------------------------

  function connect() {
    if (source) source.close();
    source = new EventSource("/wallboard/stream");
    source.addEventListener("picture", (message) => {
      last = JSON.parse(message.data);
      zone = last.timezone;
      heardAt = performance.now();
      draw();
    });
    source.addEventListener("over", () => { source.close(); location.assign("/wallboard/sign-in"); });
    source.addEventListener("error", () => {
      if (source.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
      setTimeout(again, RETRY_MS);
    });
  }

  async function again() {
    try {
      const answer = await fetch("/wallboard/who", { cache: "no-store" });
      if (answer.status === 401) { location.assign("/wallboard/sign-in"); return; }
    } catch { /* the server is not there: try again */ }
    connect();
  }

  draw();
  connect();
  setInterval(() => { if (!last || performance.now() - heardAt > STALE_MS) draw(); }, 250);
})();
