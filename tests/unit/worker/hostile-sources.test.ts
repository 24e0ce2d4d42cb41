// Sources that are made to keep the parser busy: they are reported as not parsed, and neither the agent nor other files feel it.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { expect, onTestFinished, test } from "vitest";
import { analyseFiles } from "../../../services/worker/code-analysis/analyse-files.ts";
import { AnalysisProcesses } from "../../../services/worker/code-analysis/analysis-processes.ts";

const processes = new AnalysisProcesses(1);

// Each complaint of the parser holds its whole line; imports are compared with each other.
const HOSTILE: Readonly<Record<string, string>> = {
  "exports on one line": "export {a as b};".repeat(12_800),
  "new.target on one line": "new.target;".repeat(16_000),
  "many imports": Array.from({ length: 80_000 }, (_, index) => `import a${index} from "";\n`).join(""),
};

async function aFolder(files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "mycel-hostile-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  for (const [path, text] of Object.entries(files)) await writeFile(join(folder, path), text);
  return folder;
}

test.for(Object.entries(HOSTILE))("%s: not parsed, and the agent goes on meanwhile", async ([, hostile]) => {
  const root = await aFolder({ "hostile.jsx": hostile, "good.ts": "export const a = 1;\n" });
  let turns = 0;
  const timer = setInterval(() => (turns += 1), 10);
  onTestFinished(() => clearInterval(timer));
  const seen: [string, number][] = [];
  const output = await analyseFiles(
    { root, files: ["hostile.jsx", "good.ts"] },
    {
      allowedRoots: [root],
      processes,
      timeLimitMs: 500,
      onFile: ({ path }) => void seen.push([path, turns]),
    },
  );
  const message = "not parsed within 500 ms";
  expect(output.files).toMatchObject([
    { path: "hostile.jsx", kind: "text", bytes: hostile.length, todos: 0, findingCount: 1, findings: [{ message }] },
    { path: "good.ts", kind: "parsed", exports: 1 },
  ]);
  expect(output.findings).toEqual([{ file: "hostile.jsx", severity: "error", rule: "syntax", message }]);
  expect(seen).toEqual([
    ["hostile.jsx", expect.toSatisfy((count: number) => count > 5)],
    ["good.ts", expect.any(Number)],
  ]);
});

test("a cancel ends the parsing of a source", async () => {
  const root = await aFolder({ "hostile.jsx": HOSTILE["exports on one line"]! });
  const controller = new AbortController();
  const reason = new Error("canceled");
  const work = analyseFiles(
    { root, files: ["hostile.jsx"] },
    { allowedRoots: [root], processes, timeLimitMs: 600_000, signal: controller.signal },
  );
  // A process at work is the only thing of its kind that keeps the event loop alive.
  const timer = setInterval(() => {
    if (process.getActiveResourcesInfo().includes("ProcessWrap")) controller.abort(reason);
  }, 5);
  onTestFinished(() => clearInterval(timer));
  await expect(work).rejects.toBe(reason);
});
