// Keeps the page up to date from the stream at /live. Everything that it writes is text, and the server has written the same text into
// the page: without this script the page is whole, and as old as its time says.
"use strict";

(() => {
  const state = document.getElementById("live-state");
  const pause = document.getElementById("pause");
  let source = null;
  let paused = false;
  let last = "";

  const set = (element, text) => {
    if (element && element.textContent !== text) element.textContent = text;
  };

  const element = (name, className, text) => {
    const made = document.createElement(name);
    if (className) made.className = className;
    made.textContent = text;
    return made;
  };

  const time = (row) => {
    const made = element("time", "", row.time);
    made.dateTime = row.machine;
    return made;
  };

  const eventRow = (row) => {
    const item = document.createElement("li");
    item.dataset.level = row.level;
    item.append(time(row), element("span", "level", row.level), element("span", "kind", row.kind), element("span", "about", row.about));
    return item;
  };

  const logRow = (row) => {
    const line = document.createElement("tr");
    const head = document.createElement("th");
    head.scope = "row";
    head.append(time(row));
    const status = element("span", "status", row.status);
    status.dataset.class = row.class;
    const held = document.createElement("td");
    held.append(status);
    line.append(head, element("td", "path", row.path), held, ...row.cells.map((cell) => element("td", "number", cell)));
    return line;
  };

  // Rows are made anew only if they are others: what a reader has selected, or a screen reader stands at, stays.
  const replace = (id, rows, make) => {
    const list = document.getElementById(id);
    const seen = JSON.stringify(rows);
    if (!list || list.seen === seen) return;
    list.seen = seen;
    list.replaceChildren(...rows.map(make));
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
    replace("event-list", news.events, eventRow);
    replace("log-rows", news.log, logRow);
    const empty = document.getElementById("log-empty");
    if (empty) empty.hidden = news.log.length > 0;
    last = news.at;
  };

  // The line of state is announced by screen readers, so it changes only when the state does, and has no time in it while it is live.
  const say = (kind, text) => {
    state.dataset.state = kind;
    set(state, text);
  };

  const close = () => {
    if (source) source.close();
    source = null;
  };

  const open = () => {
    close();
    source = new EventSource("/live");
    source.addEventListener("message", (message) => {
      show(JSON.parse(message.data));
      say("live", "Live");
    });
    source.addEventListener("error", () => {
      const ended = source && source.readyState === EventSource.CLOSED;
      say("lost", (ended ? "Not live" : "Connecting again") + (last ? ", as of " + last + " UTC" : ""));
    });
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
