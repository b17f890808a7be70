// The checks of ../check-the-page, which starts the nodes and says in the environment where they are.
"use strict";

const { chromium } = require("playwright-core");
const fs = require("node:fs");
const http = require("node:http");
const path = require("node:path");
const checkCluster = require("./cluster.cjs");

const { URL: url, OTHER: other, CLIENT: client, SECRET: secret, ADMINISTRATOR: administrator, FOURTH: fourth, SHOTS: shots, CHROMIUM: executablePath } = process.env;
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const VIEWS = [
  { name: "desk-light", width: 1280, height: 900, scheme: "light" },
  { name: "desk-dark", width: 1280, height: 900, scheme: "dark" },
  { name: "phone-light", width: 390, height: 844, scheme: "light" },
  { name: "phone-dark", width: 390, height: 844, scheme: "dark" },
];
const SHOT_BYTES_MAX = 300_000;
const PATIENCE_MS = 30_000;

const faults = [];
const expect = (holds, what) => {
  console.log(`${holds ? "ok  " : "FAIL"}  ${what}`);
  if (!holds) faults.push(what);
};

const heard = require("./heard.cjs")(expect);

const token = async () => {
  const response = await fetch(url + "/api/v2/auth/token", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ client_id: client, secret }),
  });
  return (await response.json()).access_token;
};

const ASSETS = [
  ["pub/sample-bg-01.webm", 4_820_000],
  ["pub/placeholder-1920.jpg", 1_100_000],
  ["pub/loader-ui.min.js", 84_000],
  ["pub/inter-var.woff2", 218_000],
  ["pub/a name with spaces & an ümlaut.txt", 12],
];

const publish = async (bearer) => {
  for (const [at, bytes] of ASSETS) {
    const form = new FormData();
    form.append("path", at);
    form.append("file", new Blob([Buffer.alloc(bytes, at)]), path.basename(at));
    const response = await fetch(url + "/api/v2/assets/upload", { method: "POST", headers: { authorization: "Bearer " + bearer }, body: form });
    if (response.status !== 201) throw new Error(`upload of ${at}: ${response.status} ${await response.text()}`);
  }
};

// Requests of all kinds until it is told to stop. Says how many.
const load = () => {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 16 });
  let running = true;
  let done = 0;
  const paths = ["/assets/pub/loader-ui.min.js", "/pub/inter-var.woff2", "/assets/pub/placeholder-1920.jpg", "/pub/none", "/api/v2/status", "/restricted/x"];
  const one = (at) =>
    new Promise((resolve) => {
      const request = http.get(url + paths[at % paths.length], { agent }, (response) => {
        response.resume();
        response.on("close", resolve);
      });
      request.on("error", resolve);
    });
  const worker = async () => {
    while (running) await one(done++);
  };
  const workers = Array.from({ length: 12 }, worker);
  return async () => {
    running = false;
    await Promise.all(workers);
    agent.destroy();
    return done;
  };
};

const until = async (what, holds) => {
  const end = Date.now() + PATIENCE_MS;
  let held = await holds();
  while (!held && Date.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    held = await holds();
  }
  expect(held, what);
};

const text = (page, selector) => page.locator(selector).first().innerText();

const findings = async (page, view) => {
  await page.evaluate(axe);
  const result = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations", "incomplete"] }));
  // What is cut off at the edge of what scrolls within itself is looked at again with that scrolled to its other end.
  const again = await page.evaluate(async () => {
    const scrollers = [...document.querySelectorAll(".scroll, nav ul")];
    for (const scroller of scrollers) scroller.scrollLeft = scroller.scrollWidth;
    const seen = await globalThis.axe.run(document, { runOnly: ["color-contrast"] });
    for (const scroller of scrollers) scroller.scrollLeft = 0;
    return seen;
  });
  const targets = ({ incomplete }) => new Set(incomplete.flatMap(({ nodes }) => nodes.map((node) => node.target.join(" "))));
  const twice = targets(again);
  result.violations.push(...again.violations);
  for (const finding of result.incomplete) finding.nodes = finding.nodes.filter((node) => finding.id !== "color-contrast" || twice.has(node.target.join(" ")));
  result.incomplete = result.incomplete.filter(({ nodes }) => nodes.length > 0);
  const told = ({ id, impact, help, nodes }) => `${impact} ${id}: ${help}\n        ${nodes.slice(0, 4).map((node) => node.target.join(" ") + "  " + (node.any[0]?.message ?? "")).join("\n        ")}`;
  for (const finding of result.violations) console.log("      " + told(finding));
  for (const finding of result.incomplete) console.log("      (to be looked at) " + told(finding));
  const serious = result.violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  expect(serious.length === 0, `${view}: no serious finding of axe (${result.passes.length} rules passed, ${result.violations.length} findings, ${result.incomplete.length} to be looked at)`);
};

const sideways = async (page, view) => {
  const wide = await page.evaluate(() => {
    const width = document.documentElement.clientWidth;
    const inScroller = (element) => element.closest(".scroll, nav ul, output");
    const beyond = [...document.querySelectorAll("body *")].filter((element) => !inScroller(element) && element.getBoundingClientRect().right > width + 1);
    return { scrolls: document.documentElement.scrollWidth > width, beyond: beyond.slice(0, 5).map((element) => `${element.tagName}.${element.className}`) };
  });
  expect(!wide.scrolls, `${view}: nothing scrolls sideways ${wide.beyond.join(" ")}`);
};

const shot = async (page, name, clip) => {
  const file = path.join(shots, name + ".png");
  await page.screenshot({ path: file, ...clip });
  const { size } = fs.statSync(file);
  expect(size < SHOT_BYTES_MAX, `${name}.png has ${Math.round(size / 1000)} KB`);
};

const look = async (browser, view) => {
  const context = await browser.newContext({ viewport: { width: view.width, height: view.height }, colorScheme: view.scheme });
  const page = await context.newPage();
  const errors = [];
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("request", (request) => request.url().startsWith(url) || errors.push("asks elsewhere: " + request.url()));
  await page.goto(url + "/");
  await until(`${view.name}: it is live`, async () => (await text(page, "#live-state")) === "Live");
  await sideways(page, view.name);
  await findings(page, view.name);
  await heard(page, view.name, { live: 1 });
  await page.evaluate(() => window.scrollTo(0, 0));
  await shot(page, view.name);
  for (const section of ["assets", "api", "clients", "log"]) {
    await page.locator("#" + section).evaluate((element) => window.scrollTo({ top: element.offsetTop, behavior: "instant" }));
    await page.waitForTimeout(300);
    if (process.env.SECTIONS) await page.screenshot({ path: path.join(process.env.SECTIONS, `${view.name}-${section}.png`) });
  }
  await page.evaluate(() => document.querySelectorAll("details").forEach((details) => (details.open = true)));
  await sideways(page, view.name + ", all open");
  await findings(page, view.name + ", all open");
  if (process.env.SECTIONS) await page.screenshot({ path: path.join(process.env.SECTIONS, `${view.name}-whole.png`), fullPage: true });
  expect(errors.length === 0, `${view.name}: no error in the console ${errors.join("; ")}`);
  await context.close();
};

const figures = async (browser) => {
  const page = await (await browser.newContext({ viewport: { width: 1280, height: 900 } })).newPage();
  await page.goto(url + "/");
  await until("figures: it is live", async () => (await text(page, "#live-state")) === "Live");
  await page.evaluate(() => {
    globalThis.said = 0;
    new MutationObserver((changes) => (globalThis.said += changes.length)).observe(document.getElementById("live-state"), { childList: true, characterData: true, subtree: true });
  });
  const ids = ["bandwidth", "requests", "latency", "hits"];
  const value = (id) => text(page, `#card-${id} .value`);
  const before = Object.fromEntries(await Promise.all(ids.map(async (id) => [id, await value(id)])));
  const stop = load();
  await until("figures: requests and bandwidth move", async () => (await value("requests")) !== before.requests && (await value("bandwidth")) !== before.bandwidth);
  await until("figures: hits and latency are there", async () => (await value("hits")) !== "—" && (await value("latency")) !== "—");
  await until("figures: the log has what was asked for, by class", async () => {
    const rows = await text(page, "#log-rows");
    return rows.includes("/pub/*") && rows.includes("/api/*") && rows.includes("4xx") && rows.includes("HIT");
  });
  const rows = await text(page, "#log-rows");
  expect(!/restricted|127\.0\.0\.1|cl_/.test(rows), "figures: the public log has no restricted paths, addresses or clients");
  const seen = new Set();
  for (let at = 0; at < 8; at++) {
    seen.add(await value("bandwidth"));
    await page.waitForTimeout(700);
  }
  console.log("      bandwidth as it went: " + [...seen].join(", "));
  expect(seen.size > 1, "figures: they go on moving");
  expect((await page.evaluate(() => globalThis.said)) === 0, "figures: a screen reader is told nothing while the page is just live");
  await shot(page, "under-load");
  console.log(`      ${await stop()} requests`);
  await page.close();
};

const keyboard = async (browser) => {
  const page = await (await browser.newContext({ viewport: { width: 1280, height: 900 } })).newPage();
  await page.goto(url + "/");
  await until("keyboard: it is live", async () => (await text(page, "#live-state")) === "Live");
  await page.keyboard.press("Tab");
  expect((await page.evaluate(() => document.activeElement.className)) === "skip", "keyboard: the first stop skips to the content");
  await page.keyboard.press("Enter");
  expect((await page.evaluate(() => location.hash)) === "#main", "keyboard: it leads there");
  await page.locator("#pause").focus();
  await page.keyboard.press("Enter");
  expect((await text(page, "#live-state")).startsWith("Paused"), "keyboard: the stream can be paused");
  await page.keyboard.press("Enter");
  await page.locator("#op-listAssets summary").focus();
  await page.keyboard.press("Enter");
  expect(await page.locator("#op-listAssets").evaluate((details) => details.open), "keyboard: an operation opens");
  const stops = [];
  await page.evaluate(() => window.scrollTo(0, 0));
  await page.locator(".skip").focus();
  for (let at = 0; at < 200; at++) {
    const stop = await page.evaluate(() => {
      const element = document.activeElement;
      const box = element.getBoundingClientRect();
      const style = getComputedStyle(element);
      return { name: element.tagName + "." + element.className, seen: box.width > 0 && style.outlineStyle !== "none", body: element === document.body };
    });
    if (stop.body) break;
    stops.push(stop);
    await page.keyboard.press("Tab");
  }
  const unseen = stops.filter((stop) => !stop.seen).map((stop) => stop.name);
  expect(stops.length > 30 && unseen.length === 0, `keyboard: ${stops.length} stops, each can be seen ${unseen.slice(0, 5).join(" ")}`);
  await page.close();
};

const calls = async (browser, bearer) => {
  const page = await (await browser.newContext({ viewport: { width: 1280, height: 900 } })).newPage();
  await page.goto(url + "/");
  await page.fill("#try-token", bearer);
  await page.locator("#op-listAssets summary").click();
  await page.fill("#op-listAssets [name=prefix]", "pub/");
  await page.locator("#op-listAssets button").click();
  await until("calls: the list is answered on the page", async () => (await text(page, "#op-listAssets output")).startsWith("200"));
  await page.locator("#op-followLogs summary").click();
  await page.locator("#op-followLogs button").click();
  await until("calls: the stream of the log is there", async () => {
    await fetch(url + "/pub/loader-ui.min.js");
    return (await text(page, "#op-followLogs output")).includes("loader-ui.min.js");
  });
  const links = await page.locator("#assets tbody a").evaluateAll((links) => links.map((link) => [link.href, link.textContent]));
  expect(links.length >= ASSETS.length, `links: ${links.length} assets are listed`);
  const wrong = [];
  for (const [href, shown] of links) {
    for (const target of [href, url + encodeURI(shown), other + encodeURI(shown)]) {
      const { status } = await fetch(target);
      if (status !== 200) wrong.push(`${target} ${status}`);
    }
  }
  expect(wrong.length === 0, `links: each leads to its asset, and so does what it shows, also at another node ${wrong.join(" ")}`);
  const targets = await page.locator("a[href^='#']").evaluateAll((links) => links.map((link) => link.getAttribute("href").slice(1)).filter((id) => !document.getElementById(id)));
  expect(targets.length === 0, `links: each within the page leads somewhere ${targets.join(" ")}`);
  await page.close();
};

const withoutScript = async (browser) => {
  const page = await (await browser.newContext({ viewport: { width: 390, height: 844 }, javaScriptEnabled: false })).newPage();
  await page.goto(url + "/");
  expect(/^\d/.test(await text(page, "#card-connections .value")), "without a script: figures are there");
  expect((await text(page, "#live-state")).startsWith("As of"), "without a script: it says how old they are");
  expect(!(await page.locator("#pause").isVisible()), "without a script: what needs one is not shown");
  await page.close();
};

// What a client used is known once the nodes have reported it.
const directory = async (browser) => {
  const page = await (await browser.newContext()).newPage();
  await until("directory: the bandwidth of the client is there", async () => {
    await page.goto(url + "/");
    return /client-a\.example\s+—\s+20\d\d-\d\d\s+[\d.]+ [MG]B\s+active/.test(await text(page, "#clients tbody"));
  });
  const rows = await text(page, "#clients tbody");
  expect(rows.includes("[1 more hidden]") && !/cdn|media|client-d/.test(rows), "directory: domains are masked, and few are shown");
  await page.close();
};

(async () => {
  const bearer = await token();
  await publish(bearer);
  const browser = await chromium.launch({
    executablePath,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"],
  });
  try {
    await figures(browser);
    await keyboard(browser);
    await calls(browser, bearer);
    await withoutScript(browser);
    await directory(browser);
    for (const view of VIEWS) await look(browser, view);
    const kill = async (pid) => process.kill(Number(pid), "SIGKILL");
    const tools = { expect, until, text, findings, sideways, shot, heard };
    await checkCluster({ browser, url, other, views: VIEWS, administrator, fourth, kill, tools });
  } finally {
    await browser.close();
  }
  console.log(faults.length === 0 ? "the page is as it should be" : `${faults.length} faults:\n  ${faults.join("\n  ")}`);
  process.exitCode = faults.length === 0 ? 0 : 1;
})();
