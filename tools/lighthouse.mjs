// Lighthouse scores of the built site, median of five runs: node tools/lighthouse.mjs [page ...]
// Needs Node 20 and, the first time, the network for npx. CHROMIUM names the browser. For people; no test runs it.
import { execFile, execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join } from "node:path";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";

const SITE = "_build/html";
const RUNS = 5;
const CATEGORIES = ["performance", "accessibility", "best-practices", "seo"];
const TYPES = {
  ".html": "text/html; charset=utf-8", ".css": "text/css", ".js": "text/javascript", ".json": "application/json",
  ".svg": "image/svg+xml", ".png": "image/png", ".woff2": "font/woff2", ".ico": "image/x-icon",
};
const run = promisify(execFile);

if (!existsSync(join(SITE, "book/index.html"))) {
  console.error("There is no site yet: run make book first");
  process.exit(1);
}
const browser = execFileSync(".venv/bin/python", ["tools/chromium.py"], { encoding: "utf8" }).trim();

// Compresses what hosts compress, and keeps the result: the server must not be what is measured.
const packed = new Map();
const server = createServer((request, response) => {
  const path = join(SITE, decodeURIComponent(new URL(request.url, "http://site").pathname));
  if (!existsSync(path) || !statSync(path).isFile()) {
    response.writeHead(404).end();
    return;
  }
  const type = TYPES[extname(path)] ?? "application/octet-stream";
  const zip = /text|json|svg/.test(type);
  if (!packed.has(path)) packed.set(path, zip ? gzipSync(readFileSync(path)) : readFileSync(path));
  const head = { "Content-Type": type, "Cache-Control": "max-age=600" };
  response.writeHead(200, zip ? { ...head, "Content-Encoding": "gzip" } : head).end(packed.get(path));
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const address = `http://127.0.0.1:${server.address().port}/`;

const every = readdirSync(join(SITE, "book"), { recursive: true }).filter((name) => name.endsWith(".html"));
const pages = process.argv.length > 2 ? process.argv.slice(2) : every.map((name) => `book/${name}`).sort();
const median = (numbers) => numbers.sort((a, b) => a - b)[Math.floor(numbers.length / 2)];

console.log(["page".padEnd(44), "device ", ...CATEGORIES].join("  "));
for (const page of pages) {
  for (const device of ["desktop", "mobile"]) {
    const scores = CATEGORIES.map(() => []);
    for (let i = 0; i < RUNS; i++) {
      const { stdout } = await run("npx", [
        "--yes", "lighthouse@12", address + page, "--output=json", "--quiet", `--only-categories=${CATEGORIES}`,
        "--chrome-flags=--headless --no-sandbox --disable-gpu", ...(device === "desktop" ? ["--preset=desktop"] : []),
      ], { env: { ...process.env, CHROME_PATH: browser }, maxBuffer: 1 << 28 });
      const found = JSON.parse(stdout).categories;
      CATEGORIES.forEach((name, j) => scores[j].push(Math.round(100 * found[name].score)));
    }
    const cells = scores.map((numbers, j) => String(median(numbers)).padStart(CATEGORIES[j].length));
    console.log([page.padEnd(44), device.padEnd(7), ...cells].join("  "));
  }
}
server.close();
