// Tries calls of the API from the page. The token is read from its field for each call and is kept nowhere.
"use strict";

(() => {
  const SHOWN_BYTES = 20000;
  const token = document.getElementById("try-token");
  if (!token) return;

  const request = (form) => {
    let path = form.dataset.path;
    const query = new URLSearchParams();
    const headers = {};
    let body;
    for (const field of form.querySelectorAll("[data-in]")) {
      const place = field.dataset.in;
      if (place === "path") path = path.replace("{" + field.name + "}", encodeURIComponent(field.value));
      if (place === "query" && field.value) query.set(field.name, field.value);
      if (place === "body") {
        body = field.value;
        headers["Content-Type"] = "application/json";
      }
      if (place === "form") {
        body = body || new FormData();
        const value = field.type === "file" ? field.files[0] : field.value;
        if (value) body.append(field.name, value);
      }
    }
    if (token.value) headers.Authorization = "Bearer " + token.value.trim();
    const search = query.toString();
    return [path + (search ? "?" + search : ""), { method: form.dataset.method, headers, body, credentials: "omit", cache: "no-store" }];
  };

  // A stream has no end: it is shown as it comes, until it is long enough, or the call is made again.
  const read = async (response, form) => {
    const type = response.headers.get("content-type") || "";
    if (!type.startsWith("text/event-stream") || !response.ok) return response.text();
    const output = form.querySelector("output");
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    if (form.stop) form.stop();
    form.stop = () => reader.cancel();
    while (text.length < SHOWN_BYTES) {
      const { done, value } = await reader.read();
      if (done) break;
      text += value;
      output.textContent = text;
    }
    reader.cancel();
    return text;
  };

  const answer = async (form) => {
    const began = performance.now();
    const response = await fetch(...request(form));
    const text = await read(response, form);
    const took = Math.round(performance.now() - began);
    let shown = text;
    try {
      shown = JSON.stringify(JSON.parse(text), null, 2);
    } catch {
      // Not every answer is JSON.
    }
    const head = `${response.status} ${response.statusText}  (${took} ms)\n`;
    const lines = ["x-request-id", "x-ncore-revision", "retry-after", "etag"].filter((name) => response.headers.has(name));
    return head + lines.map((name) => `${name}: ${response.headers.get(name)}\n`).join("") + "\n" + shown.slice(0, SHOWN_BYTES);
  };

  token.closest(".try-token").hidden = false;
  for (const form of document.querySelectorAll("form.try")) {
    form.hidden = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const output = form.querySelector("output");
      output.textContent = "…";
      try {
        output.textContent = await answer(form);
      } catch (error) {
        output.textContent = "There was no answer: " + error.message;
      }
    });
  }
})();
