// Keeps a page up to date from its stream: that of this node, or that of the cluster. Everything that it writes is text, and the server has
// written the same text into the page: without this script the page is whole, and as old as its time says.
"use strict";

(() => {
  const RETRY_MS = 3000;
  const { live: address, key } = document.body.dataset;
  const state = document.getElementById("live-state");
  const pause = document.getElementById("pause");
  let stream = null;
  let paused = false;
  let last = "";

  const set = (element, text) => {
    if (element && element.textContent !== text) element.textContent = text;
  };

  const element = (name, className, ...inner) => {
    const made = document.createElement(name);
    if (className) made.className = className;
    made.append(...inner);
    return made;
  };

  const time = (row) => {
    const made = element("time", "", row.time);
    made.dateTime = row.machine;
    return made;
  };

  const head = (...inner) => {
    const made = element("th", "", ...inner);
    made.scope = "row";
    return made;
  };

  const status = (text, kind) => {
    const made = element("span", "status", text);
    if (kind) made.dataset.class = kind;
    return made;
  };

  const numbers = (cells) => cells.map((cell) => element("td", "number", cell));

  const eventRow = (row) => {
    const item = element("li", "", time(row), element("span", "level", row.level), element("span", "kind", row.kind), element("span", "about", row.about));
    if (row.by) item.append(element("span", "by", element("span", "visually-hidden", "seen by "), row.by));
    item.dataset.level = row.level;
    return item;
  };

  const logRow = (row) => element("tr", "", head(time(row)), element("td", "path", row.path), element("td", "", status(row.status, row.class)), ...numbers(row.cells));

  const accessRow = (row) => {
    const path = element("td", "path", element("b", "", row.method), " " + row.path);
    path.title = row.path;
    const kept = element("td", "", status(row.status, row.class));
    const plain = (text) => element("td", "", text);
    return element("tr", "", head(time(row)), plain(row.node), path, kept, plain(row.cache), ...numbers(row.cells), plain(row.remote), plain(row.client));
  };

  const nodeRow = (row) => {
    const link = element("a", "", row.name);
    link.href = row.url;
    const under = (text) => element("span", "under", text);
    const cells = numbers(row.cells);
    cells[0].append(under(row.lag));
    const line = element("tr", "", head(link, under(row.region)), element("td", "", row.role), element("td", "", status(row.status), under(row.age)), ...cells);
    line.dataset.level = row.level;
    return line;
  };

  // Rows are made anew only if they are others: what a reader has selected, or a screen reader stands at, stays.
  const replace = (id, rows, make) => {
    const list = document.getElementById(id);
    if (!list || !rows) return;
    const seen = rows.map((row) => JSON.stringify(row));
    const before = list.seen ?? [];
    list.seen = seen;
    if (list.children.length !== seen.length) {
      list.replaceChildren(...rows.map(make));
      return;
    }
    rows.forEach((row, at) => seen[at] !== before[at] && swap(list.children[at], make(row)));
  };

  // What has the focus in a row has it in the new one.
  const swap = (old, made) => {
    const had = old.contains(document.activeElement);
    old.replaceWith(made);
    if (had) made.querySelector("a")?.focus({ preventScroll: true });
  };

  const show = (news) => {
    for (const card of news.cards) {
      const box = document.getElementById("card-" + card.id);
      if (!box) continue;
      set(box.querySelector(".value"), card.value);
      set(box.querySelector(".unit"), card.unit);
      set(box.querySelector(".note"), card.note);
      const path = box.querySelector("path");
      if (path) path.setAttribute("d", card.line);
    }
    set(document.getElementById("fact-storage"), news.storage);
    set(document.getElementById("voices"), news.voices);
    if (news.unheard !== undefined) set(document.getElementById("unheard"), news.unheard && "Not heard, so that their requests are missing here: " + news.unheard + ".");
    replace("event-list", news.events, eventRow);
    replace("log-rows", news.log, logRow);
    replace("node-rows", news.nodes, nodeRow);
    replace("access-rows", news.access, accessRow);
    const empty = (id, rows) => (document.getElementById(id).hidden = rows.length > 0);
    empty("events-empty", news.events);
    empty("log-empty", news.log ?? news.access);
    last = news.at;
  };

  // The line of state is announced by screen readers, so it changes only when the state does, and has no time in it while it is live.
  const say = (kind, text) => {
    state.dataset.state = kind;
    set(state, text);
  };

  const lost = (text) => say("lost", text + (last ? ", as of " + last + " UTC" : ""));

  const close = () => {
    if (stream) stream.abort();
    stream = null;
  };

  // One message: lines that end with an empty one. False if it is the last.
  const take = (message) => {
    const field = (name) => message.split("\n").find((line) => line.startsWith(name + ": "))?.slice(name.length + 2);
    if (field("event") === "ended") return false;
    const data = field("data");
    if (data) {
      show(JSON.parse(data));
      say("live", "Live");
    }
    return true;
  };

  // Resolves when the stream has ended: with what is to be said, or with nothing if it is to be asked for again. It is no EventSource
  // because that cannot show the key of the page.
  const read = async (signal) => {
    const response = await fetch(address, { signal, headers: key ? { "x-ncore-page": key } : {} });
    if (response.status === 401 || response.status === 403) return "Signed out";
    if (!response.ok) return "";
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return "";
      const messages = (rest + value).split("\n\n");
      rest = messages.pop();
      if (!messages.every(take)) return "Signed out";
    }
  };

  const open = async () => {
    close();
    const own = new AbortController();
    stream = own;
    while (stream === own) {
      const ended = await read(own.signal).catch(() => "");
      if (stream !== own) return;
      if (ended) {
        lost(ended);
        close();
        return;
      }
      lost("Connecting again");
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  };

  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    if (paused) {
      close();
      say("paused", "Paused at " + last + " UTC");
    } else {
      open();
    }
  });

  // A page that nobody looks at costs the node nothing.
  document.addEventListener("visibilitychange", () => {
    if (paused) return;
    if (document.hidden) close();
    else open();
  });

  if (!document.hidden) open();
})();
