// Opens a report in Chromium as people would (light, dark, on a telephone, printed) and prints what it saw as JSON.
// usage: node browse.cjs CHROMIUM PAGE.html [FOLDER for screenshots]
const path = require("node:path");
const { createRequire } = require("node:module");
const fromHere = createRequire(path.join(__dirname, ".work", "package.json"));
const puppeteer = fromHere("puppeteer-core");
const axeSource = require("node:fs").readFileSync(fromHere.resolve("axe-core/axe.min.js"), "utf8");

const [chromium, page_, shots] = process.argv.slice(2);
const ways = {
  light: { width: 1200, height: 900, scheme: "light", media: "screen" },
  dark: { width: 1200, height: 900, scheme: "dark", media: "screen" },
  narrow: { width: 360, height: 800, scheme: "light", media: "screen" },
  print: { width: 760, height: 1000, scheme: "dark", media: "print" },
};

// What a person would see: boxes, colours and headings, none of it by the page's own script.
function seen() {
  const box = (element) => {
    const { x, y, width, height } = element.getBoundingClientRect();
    return { x, y, width, height };
  };
  const all = (selector) => [...document.querySelectorAll(selector)];
  return {
    scrollWidth: document.documentElement.scrollWidth,
    clientWidth: document.documentElement.clientWidth,
    background: getComputedStyle(document.body).backgroundColor,
    headings: all("h1,h2,h3,h4").map((each) => [Number(each.tagName[1]), each.textContent.trim()]),
    verdict: box(document.querySelector(".word")),
    bars: all("svg.bar").map((each) => ({ ...box(each), title: each.querySelector("title").textContent })),
    points: all("svg.bar .point").map((each) => box(each)),
    charts: all("svg.chart").map((each) => ({ ...box(each), dots: each.querySelectorAll(".dot").length, lines: each.querySelectorAll("path.ecdf").length })),
    complete: box(document.querySelector("#findings ~ details table")),
    rows: document.querySelectorAll("#findings ~ details tbody tr").length,
    hidden: all(".forest").map((each) => each.scrollWidth - each.parentElement.clientWidth),
    scripts: document.scripts.length,
  };
}

(async () => {
  const browser = await puppeteer.launch({
    executablePath: chromium,
    headless: true,
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--force-color-profile=srgb", "--hide-scrollbars"],
  });
  const result = {};
  try {
    for (const [name, way] of Object.entries(ways)) {
      const page = await browser.newPage();
      const requests = [];
      const complaints = [];
      page.on("request", (request) => requests.push(request.url()));
      page.on("console", (message) => complaints.push(message.text()));
      page.on("pageerror", (error) => complaints.push(String(error)));
      await page.setViewport({ width: way.width, height: way.height });
      const protocol = await page.createCDPSession(); // both at once: each of puppeteer's two calls undoes the other
      await protocol.send("Emulation.setEmulatedMedia", {
        media: way.media,
        features: [{ name: "prefers-color-scheme", value: way.scheme }],
      });
      await page.goto("file://" + path.resolve(page_), { waitUntil: "load" });
      const found = await page.evaluate(seen);
      if (shots) {
        await page.screenshot({ path: path.join(shots, `report-${name}.png`), fullPage: true });
      }
      found.requests = [...requests];
      found.complaints = [...complaints];
      if (name === "print") {
        found.pdf = Buffer.from(await page.pdf({ format: "A4", preferCSSPageSize: true, path: shots && path.join(shots, "report.pdf") })).length;
      } else {
        // With every fold open, so that what is hidden is checked too. axe runs in a world of its own.
        await page.evaluate(() => document.querySelectorAll("details").forEach((each) => (each.open = true)));
        await page.evaluate(axeSource);
        found.opened = { scrollWidth: await page.evaluate(() => document.documentElement.scrollWidth) };
        const axe = await page.evaluate(() => axe.run(document, { resultTypes: ["violations", "incomplete"] }));
        found.violations = axe.violations.map((each) => [each.id, each.help, each.nodes.map((node) => node.html).slice(0, 5)]);
        found.rules = axe.passes.length;
      }
      result[name] = found;
      await page.close();
    }
    result.version = await browser.version();
  } finally {
    await browser.close();
  }
  process.stdout.write(JSON.stringify(result) + "\n");
})().catch((error) => {
  process.stderr.write(String(error.stack || error) + "\n");
  process.exit(1);
});
