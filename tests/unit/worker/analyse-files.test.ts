// The work of a code-analysis task on real folders: confinement, aborting, odd files, the size of the output.
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, realpath, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { analyseFiles } from "../../../services/worker/code-analysis/analyse-files.ts";
import { AnalysisProcesses } from "../../../services/worker/code-analysis/analysis-processes.ts";
import { MAX_OUTPUT_BYTES, outputOf } from "../../../services/worker/code-analysis/analysis-output.ts";
import { totalsOf } from "../../../services/worker/code-analysis/analysis-totals.ts";
import type { AnalysisRefusedError } from "../../../services/worker/confined-root.ts";
import { analyseFile } from "../../../services/worker/code-analysis/file-analysis.ts";

const processes = new AnalysisProcesses(2);

async function aFolder(files: Record<string, string>): Promise<string> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), "mycel-analysis-")));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  return folder;
}

async function refusal(root: string, files: string[], allowedRoots: string[]): Promise<unknown> {
  return analyseFiles({ root, files }, { allowedRoots, processes }).then(
    () => "accepted",
    (error: AnalysisRefusedError) => [error.name, error.code, error.path],
  );
}

test("the files of a chunk are measured in the order they are asked for", async () => {
  const root = await aFolder({ "b.ts": "export const b = 1;\n", "a/a.md": "# A\n" });
  const seen: string[] = [];
  const output = await analyseFiles(
    { root, files: ["b.ts", "a/a.md"] },
    { processes, allowedRoots: [root], onFile: ({ path }, { done, total }) => seen.push(`${path} ${done}/${total}`) },
  );
  expect(output.files).toEqual([
    analyseFile({ path: "b.ts", content: Buffer.from("export const b = 1;\n") }),
    analyseFile({ path: "a/a.md", content: Buffer.from("# A\n") }),
  ]);
  expect(output.totals).toEqual(totalsOf(output.files));
  expect(output.detail).toBe("full");
  expect(seen).toEqual(["b.ts 1/2", "a/a.md 2/2"]);
});

test("a root that is or lies in an allowed root is accepted", async () => {
  const root = await aFolder({ "in/a.ts": "" });
  for (const allowed of [root, `${root}/`, join(root, "in"), "/"]) {
    expect(await refusal(join(root, "in"), ["a.ts"], ["/nowhere/at/all", allowed])).toBe("accepted");
  }
});

test("a root outside of the allowed roots is refused", async () => {
  const root = await aFolder({ "in/a.ts": "", "in-too/a.ts": "" });
  const inside = join(root, "in");
  for (const asked of [
    root,
    dirname(root),
    "/",
    join(root, "in-too"),
    join(inside, "..", "in-too"),
    join(root, "gone"),
  ]) {
    expect(await refusal(asked, ["a.ts"], [inside])).toEqual(["AnalysisRefusedError", "ROOT_NOT_ALLOWED", asked]);
  }
});

test("no allowed root allows nothing", async () => {
  const root = await aFolder({ "a.ts": "" });
  expect(await refusal(root, ["a.ts"], [])).toEqual(["AnalysisRefusedError", "ROOT_NOT_ALLOWED", root]);
});

test("an allowed root that is not there is told apart from a forbidden one", async () => {
  const root = await aFolder({});
  const gone = join(root, "gone");
  expect(await refusal(gone, ["a.ts"], [root])).toEqual(["AnalysisRefusedError", "ROOT_NOT_FOUND", gone]);
});

test("a root that is a link counts as what it points to", async () => {
  const root = await aFolder({ "in/a.ts": "", "out/a.ts": "" });
  await symlink(join(root, "out"), join(root, "in/link"));
  await symlink(join(root, "in"), join(root, "alias"));
  const inside = join(root, "in");
  expect(await refusal(join(inside, "link"), ["a.ts"], [inside])).toEqual([
    "AnalysisRefusedError",
    "ROOT_NOT_ALLOWED",
    join(inside, "link"),
  ]);
  expect(await refusal(join(root, "alias"), ["a.ts"], [inside])).toBe("accepted");
  expect(await refusal(inside, ["a.ts"], [join(root, "alias")])).toBe("accepted");
});

test("a file that leaves the root, by its name or by a link, is refused", async () => {
  const root = await aFolder({ "in/a.ts": "", "in/sub/b.ts": "", "secret.ts": "const key = 1;" });
  const inside = join(root, "in");
  await symlink(join(root, "secret.ts"), join(inside, "link.ts"));
  await symlink(root, join(inside, "up"));
  await symlink("../../secret.ts", join(inside, "sub/relative.ts"));
  for (const path of ["../secret.ts", "sub/../../secret.ts", "link.ts", "up/secret.ts", "sub/relative.ts"]) {
    expect(await refusal(inside, ["a.ts", path], [root])).toEqual(["AnalysisRefusedError", "PATH_OUTSIDE_ROOT", path]);
  }
});

test("a link that stays within the root is read", async () => {
  const root = await aFolder({ "a.ts": "const a = 1;\n" });
  await symlink("a.ts", join(root, "link.ts"));
  const { files } = await analyseFiles({ root, files: ["link.ts"] }, { processes, allowedRoots: [root] });
  expect(files).toMatchObject([{ path: "link.ts", kind: "parsed", bytes: 13 }]);
});

test("what cannot be read is an entry of its own and stops nothing", async () => {
  const root = await aFolder({ "folder/a.ts": "", "z.ts": "z();\n" });
  await symlink("loop", join(root, "loop"));
  const makePipe = "mkfifo";
  execFileSync(makePipe, [join(root, "pipe")]);
  const { files, totals } = await analyseFiles(
    { root, files: ["gone.ts", "folder", "loop", "pipe", "z.ts/x", "z.ts"] },
    { processes, allowedRoots: [root] },
  );
  expect(files.map((file) => (file.kind === "unreadable" ? file.reason : file.kind))).toEqual([
    "ENOENT",
    "NOT_A_FILE",
    "ELOOP",
    "NOT_A_FILE",
    "ENOTDIR",
    "parsed",
  ]);
  expect(totals).toMatchObject({ files: 6, parsed: 1, unreadable: 5, bytes: 5, lines: 1 });
});

test("a file above the limit is counted without being held in memory", async () => {
  const root = await aFolder({ "big.ts": "x\n".repeat(400_000), "edge.ts": "x\n".repeat(50) });
  const { files } = await analyseFiles(
    { root, files: ["big.ts", "edge.ts"] },
    { processes, allowedRoots: [root], maxFileBytes: 100 },
  );
  expect(files).toMatchObject([
    { kind: "skipped", bytes: 800_000, lines: { total: 400_000 } },
    { kind: "parsed", bytes: 100 },
  ]);
});

test("a huge binary file is not read to its end", async () => {
  const root = await aFolder({ "a.bin": "" });
  await truncate(join(root, "a.bin"), 8 * 1024 ** 3);
  const { files } = await analyseFiles({ root, files: ["a.bin"] }, { processes, allowedRoots: [root] });
  expect(files).toEqual([{ path: "a.bin", bytes: 8 * 1024 ** 3, language: "Other", kind: "binary" }]);
});

test("an abort ends the work before the next file, with its reason", async () => {
  const root = await aFolder({ "a.ts": "", "b.ts": "" });
  const controller = new AbortController();
  const reason = new Error("lease lost");
  const seen: string[] = [];
  const work = analyseFiles(
    { root, files: ["a.ts", "b.ts"] },
    {
      processes,
      allowedRoots: [root],
      signal: controller.signal,
      onFile: ({ path }) => {
        seen.push(path);
        controller.abort(reason);
      },
    },
  );
  await expect(work).rejects.toBe(reason);
  expect(seen).toEqual(["a.ts"]);
});

test("timers run between two files", async () => {
  const root = await aFolder({ "a.ts": "", "b.ts": "" });
  const order: string[] = [];
  await analyseFiles(
    { root, files: ["a.ts", "b.ts"] },
    {
      processes,
      allowedRoots: [root],
      onFile: ({ path }) => {
        order.push(path);
        setImmediate(() => order.push("event loop"));
      },
    },
  );
  expect(order.slice(0, 3)).toEqual(["a.ts", "event loop", "b.ts"]);
});

test("the output of the nastiest 25 files stays below its limit in full", () => {
  const wide = "\u{1F600}".repeat(200);
  const text = [
    ...Array.from({ length: 60 }, (_, index) => `import "${wide}${index}";`),
    ...Array.from({ length: 60 }, () => `o = { "${wide}": (a) => a ? 1 : 2 };`),
    "const broken;".repeat(50),
  ].join("\n");
  const path = `${"d/".repeat(100)}nasty.ts`;
  const files = Array.from({ length: 25 }, () => analyseFile({ path, content: Buffer.from(text) }));
  const output = outputOf(files);
  expect(output.detail).toBe("full");
  expect(Buffer.byteLength(JSON.stringify(output))).toBeLessThanOrEqual(MAX_OUTPUT_BYTES);
});

test("an output that would be too large loses its lists first, then its files, never its totals", () => {
  const text = "import 'a'; const f = (a) => a ? 1 : 2;\n".repeat(5);
  const files = (count: number, length: number) =>
    Array.from({ length: count }, (_, index) =>
      analyseFile({ path: `${index}${"x".repeat(length)}.ts`, content: Buffer.from(text) }),
    );
  for (const [count, length, detail] of [
    [100, 10, "full"],
    [400, 10, "counts"],
    [500, 1_000, "totals"],
  ] as const) {
    const all = files(count, length);
    const output = outputOf(all);
    expect(output.detail).toBe(detail);
    expect(output.totals).toEqual(totalsOf(all));
    expect(output.files).toHaveLength(detail === "totals" ? 0 : count);
    expect(Buffer.byteLength(JSON.stringify(output))).toBeLessThanOrEqual(MAX_OUTPUT_BYTES);
  }
});
