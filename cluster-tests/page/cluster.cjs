// The page for administrators, with a real browser: signing in, both widths and themes, figures of different nodes under load to them, a
// node that is killed, and signing out.
"use strict";

const http = require("node:http");

const REQUESTS_PER_ROUND = 40;

// Requests to one node until it is told to stop.
const load = (url) => {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
  let running = true;
  const one = () =>
    new Promise((resolve) => {
      const request = http.get(url + "/assets/pub/loader-ui.min.js", { agent }, (response) => {
        response.resume();
        response.on("close", resolve);
      });
      request.on("error", resolve);
    });
  const worker = async () => {
    while (running) {
      for (let at = 0; at < REQUESTS_PER_ROUND; at++) await one();
    }
  };
  const workers = Array.from({ length: 6 }, worker);
  return async () => {
    running = false;
    await Promise.all(workers);
    agent.destroy();
  };
};

module.exports = async ({ browser, url, other, views, administrator, fourth, kill, tools }) => {
  const { expect, until, text, findings, sideways, shot, heard } = tools;
  const cells = (page, name) => page.locator("#node-rows tr", { hasText: name }).first().locator("td").allInnerTexts();
  // Role, status, revision, bandwidth, requests and so on.
  const requests = async (page, name) => (await cells(page, name))[4];

  const signIn = async (page) => {
    await page.goto(url + "/");
    await page.getByRole("link", { name: "Administrators" }).click();
    await page.getByLabel("Token of an administrator").fill(administrator);
    await page.keyboard.press("Enter");
    await page.waitForURL(url + "/cluster");
  };

  const signInPages = async () => {
    for (const view of views) {
      const context = await browser.newContext({ viewport: { width: view.width, height: view.height }, colorScheme: view.scheme, javaScriptEnabled: true });
      const page = await context.newPage();
      await page.goto(url + "/cluster");
      expect(page.url() === url + "/cluster/sign-in", `${view.name}: who is not signed in is led to signing in`);
      await page.getByLabel("Token of an administrator").fill("nca_wrong");
      await page.getByRole("button", { name: "Sign in" }).click();
      expect((await text(page, "#said")).includes("not the token"), `${view.name}: a wrong token is told`);
      await sideways(page, `${view.name}, signing in`);
      await findings(page, `${view.name}, signing in`);
      if (process.env.SECTIONS) await page.screenshot({ path: `${process.env.SECTIONS}/${view.name}-sign-in.png` });
      await context.close();
    }
  };

  const look = async (view) => {
    const context = await browser.newContext({ viewport: { width: view.width, height: view.height }, colorScheme: view.scheme });
    const page = await context.newPage();
    const errors = [];
    page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
    page.on("pageerror", (error) => errors.push(String(error)));
    page.on("request", (request) => request.url().startsWith(url) || errors.push("asks elsewhere: " + request.url()));
    await signIn(page);
    const cookies = await context.cookies();
    expect(cookies.length === 1 && cookies[0].httpOnly && cookies[0].sameSite === "Strict", `${view.name}: the session is in a cookie that no script can read`);
    await until(`${view.name}, cluster: it is live`, async () => (await text(page, "#live-state")) === "Live");
    await sideways(page, `${view.name}, cluster`);
    await findings(page, `${view.name}, cluster`);
    await page.evaluate(() => window.scrollTo(0, 0));
    await shot(page, `cluster-${view.name}`);
    if (process.env.SECTIONS) await page.screenshot({ path: `${process.env.SECTIONS}/cluster-${view.name}-whole.png`, fullPage: true });
    expect(errors.length === 0, `${view.name}, cluster: no error in the console ${errors.join("; ")}`);
    const out = page.getByRole("button", { name: "Sign out" });
    await out.focus();
    await page.keyboard.press("Enter");
    await page.waitForURL(url + "/");
    await page.goto(url + "/cluster");
    expect(page.url() === url + "/cluster/sign-in", `${view.name}: signing out, with the keyboard, ends it`);
    await context.close();
  };

  const figures = async () => {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
    const page = await context.newPage();
    await signIn(page);
    await until("cluster: it is live", async () => (await text(page, "#live-state")) === "Live");
    await until("cluster: four nodes answer", async () => (await text(page, "#voices")) === "All 4 nodes answer.");
    await page.evaluate(() => {
      globalThis.said = 0;
      const watch = (id) => new MutationObserver((changes) => (globalThis.said += changes.length)).observe(document.getElementById(id), { childList: true, characterData: true, subtree: true });
      ["live-state", "voices", "unheard"].forEach(watch);
      const box = (id) => document.getElementById(id).getBoundingClientRect();
      globalThis.tops = () => ["metrics", "nodes", "events", "assets", "clients"].map((id) => Math.round(box(id).top));
      globalThis.before = globalThis.tops();
    });
    const idle = { one: await requests(page, "eu-ams-1"), two: await requests(page, "us-nyc-1") };
    const stops = [load(url), load(other)];
    await until("cluster: the figures of two nodes move under load to them", async () => {
      const now = { one: await requests(page, "eu-ams-1"), two: await requests(page, "us-nyc-1") };
      return now.one !== idle.one && now.two !== idle.two && Number.parseFloat(now.two.replace(/\s/g, "")) > 1;
    });
    expect(["0", "<\u202f0.1", "0.1", "0.2"].includes(await requests(page, "sa-gru-1")) || Number.parseFloat(await requests(page, "sa-gru-1")) < 5, "cluster: and those of one without load do not");
    await until("cluster: the log has what was asked for at both", async () => {
      const rows = await text(page, "#access-rows");
      return rows.includes("eu-ams-1") && rows.includes("us-nyc-1") && rows.includes("127.0.0.1") && rows.includes("/assets/pub/loader-ui.min.js");
    });
    expect((await page.evaluate(() => globalThis.said)) === 0, "cluster: a screen reader is told nothing while all is well");
    const moved = await page.evaluate(() => JSON.stringify(globalThis.before) === JSON.stringify(globalThis.tops()));
    expect(moved, "cluster: nothing jumps when figures change");
    await shot(page, "cluster-under-load");
    for (const stop of stops) await stop();

    await kill(fourth);
    await until("cluster: a killed node is shown as not answering, with the age of its figures", async () => {
      const [, status] = await cells(page, "sa-gru-1");
      return status.includes("not answering") && status.includes("as of ");
    });
    expect((await text(page, "#voices")) === "3 of 4 nodes answer. Not heard: sa-gru-1.", "cluster: and named where a screen reader is told");
    await until("cluster: whose requests are missing is told", async () => (await text(page, "#unheard")).includes("sa-gru-1"));
    await findings(page, "cluster, a node away");
    await heard(page, "cluster", { live: 3 });
    await shot(page, "cluster-one-away");
    // Another window signs out, and this one hears of it.
    const second = await context.newPage();
    await second.goto(url + "/cluster");
    await second.getByRole("button", { name: "Sign out" }).click();
    await until("cluster: signing out ends the stream of an open page", async () => (await text(page, "#live-state")).startsWith("Signed out"));
    await context.close();
  };

  const withoutScript = async () => {
    const context = await browser.newContext({ viewport: { width: 390, height: 844 }, javaScriptEnabled: false });
    const page = await context.newPage();
    await signIn(page);
    expect((await text(page, "#node-rows")).includes("us-nyc-1"), "cluster, without a script: the nodes are there");
    expect(/^\d/.test(await text(page, "#card-connections .value")), "cluster, without a script: figures are there");
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.goto(url + "/cluster");
    expect(page.url() === url + "/cluster/sign-in", "cluster, without a script: signing out works");
    await context.close();
  };

  await withoutScript();
  for (const view of views) await look(view);
  await figures();
  await signInPages();
};
