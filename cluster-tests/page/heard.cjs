// What a screen reader is given of a page: the tree of accessibility, as Chromium has it.
"use strict";

const CONTROLS = new Set(["button", "link", "textbox", "combobox", "checkbox", "radio", "searchbox", "spinbutton", "slider", "DisclosureTriangle"]);
const LANDMARKS = ["banner", "main", "navigation", "contentinfo"];
const LOUD = new Set(["alert", "alertdialog", "timer", "marquee"]);

module.exports = (expect) => async (page, view, { live }) => {
  const session = await page.context().newCDPSession(page);
  const { nodes } = await session.send("Accessibility.getFullAXTree");
  await session.detach();
  const shown = nodes.filter((node) => !node.ignored);
  const role = (node) => node.role?.value;
  const name = (node) => (node.name?.value ?? "").trim();
  const property = (node, wanted) => node.properties?.find((property) => property.name === wanted)?.value?.value;

  const levels = shown.filter((node) => role(node) === "heading").map((node) => property(node, "level"));
  const jumps = levels.filter((level, at) => level > (at === 0 ? 2 : levels[at - 1] + 1));
  const ones = levels.filter((level) => level === 1).length;
  expect(ones === 1 && jumps.length === 0 && levels.length > 5, `${view}, heard: one heading of the first level, and none is left out (${levels.join("")})`);

  const missing = LANDMARKS.filter((landmark) => !shown.some((node) => role(node) === landmark));
  expect(missing.length === 0, `${view}, heard: landmarks ${missing.length ? "without " + missing.join(", ") : LANDMARKS.join(", ")}`);
  const regions = shown.filter((node) => ["region", "navigation", "table"].includes(role(node)));
  const unnamed = regions.filter((node) => name(node) === "");
  expect(regions.length > 5 && unnamed.length === 0, `${view}, heard: ${regions.length} regions, ways and tables, each with a name`);

  const controls = shown.filter((node) => CONTROLS.has(role(node)));
  const nameless = controls.filter((node) => name(node) === "");
  expect(controls.length > 5 && nameless.length === 0, `${view}, heard: ${controls.length} controls, each with a name ${nameless.map(role).join(" ")}`);

  const speaking = shown.filter((node) => property(node, "live") && property(node, "live") !== "off" && property(node, "root") === undefined);
  const roots = speaking.filter((node) => role(node) === "status" || role(node) === "log" || LOUD.has(role(node)));
  const loud = speaking.filter((node) => property(node, "live") !== "polite" || LOUD.has(role(node)));
  expect(roots.length === live && loud.length === 0, `${view}, heard: ${roots.length} live regions, all of them polite`);

  const images = shown.filter((node) => ["image", "img", "graphics-document"].includes(role(node)) && name(node) === "");
  expect(images.length === 0, `${view}, heard: no picture without words`);
};
