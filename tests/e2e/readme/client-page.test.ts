// What docs/client.md shows is what the code does: its example runs as it stands, and its rules and defaults are those of the code.
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { resolveOptions } from "../../../sdk/client/client-options.ts";
import { defaultRules } from "../../../sdk/router/index.ts";
import { fixedPort } from "../../support/fixed-port.ts";
import { openMesh } from "../../support/processes.ts";

const ROOT = resolve(import.meta.dirname, "../../..");
const PAGE = readFileSync(resolve(ROOT, "docs/client.md"), "utf8");
const EXAMPLE = "examples/local-or-remote.ts";
const run = promisify(execFile);

async function printed(url: string): Promise<string> {
  const env = { ...process.env, MYCEL_URL: url };
  return (await run(process.execPath, [EXAMPLE], { cwd: ROOT, env })).stdout;
}

test("the page shows the example, which counts without a mesh and says why", async () => {
  expect(PAGE).toContain(readFileSync(resolve(ROOT, EXAMPLE), "utf8").trim());
  const url = `http://127.0.0.1:${await fixedPort()}`;
  const because = `"count-words" runs in this process by rule unhealthy: no coordinator serves (cannot connect to ${url}: connection refused)`;
  expect(await printed(url)).toBe(`words: 6\n${because}\n`);
  expect(PAGE).toContain(because.replace(url, "http://127.0.0.1:8080"));
});

test("the example counts here too when no agent of the mesh offers it", async () => {
  await using mesh = await openMesh();
  expect(await printed(mesh.urls[0]!)).toBe(
    'words: 6\n"count-words" runs in this process by rule overloaded: no agent of the mesh offers it\n',
  );
});

test("the page lists the default rules in their order", () => {
  const names = defaultRules().map(({ name }) => name);
  const listed = [...PAGE.matchAll(/^\| `([a-z-]+)` \| `\{/gm)].map(([, name]) => name);
  expect(listed).toEqual(names);
});

test("the page tells the client's defaults", () => {
  const { breaker, backoff, timeoutMs, maximumTries } = resolveOptions({ url: "http://a" });
  const shown = (record: object): string =>
    Object.entries(record)
      .filter(([, value]) => typeof value === "number")
      .map(([name, value]) => `${name}: ${String(value).replace(/\B(?=(?:\d{3})+$)/g, "_")}`)
      .join(", ");
  expect(PAGE).toContain(`breaker: { ${shown(breaker!)} }`);
  expect(PAGE).toContain(`retry: { attempts: ${maximumTries}, ${shown(backoff)} }`);
  expect(PAGE).toContain(shown({ timeoutMs }));
});
