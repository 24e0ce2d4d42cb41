// Every task of the stock agent through a real mesh: as JSON and as Protobuf, with what it refuses, what it streams, and canceled.
import { spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, open, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DescMessage, fromJson, toJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createClient, type MycelClient, type TaskEvent, TaskFailedError } from "../../../sdk/client/index.ts";
import {
  CodeAnalysisInputSchema,
  CodeAnalysisOutputSchema,
  DataTransformInputSchema,
  DataTransformOutputSchema,
  EchoChunkSchema,
  EchoInputSchema,
  EchoOutputSchema,
  FileProcessingInputSchema,
  FileProcessingOutputSchema,
  MonitoringInputSchema,
  MonitoringOutputSchema,
  MonitoringSampleSchema,
  packMessage,
  unpackMessage,
} from "mycel/tasks";
import { openStockMesh, type StockMesh } from "../../support/stock-mesh.ts";

const SOURCE = "export function run(code: string) {\n  return eval(code);\n}\n";

let folder: string;
let stock: StockMesh;
let client: MycelClient;

beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), "mycel-stock-")));
  await writeFile(join(folder, "a.ts"), SOURCE);
  stock = await openStockMesh({ agentEnv: { MYCEL_ALLOWED_ROOTS: folder, MYCEL_CONCURRENCY: "2" } });
  client = createClient({ url: stock.url });
});

afterAll(async () => {
  await client[Symbol.asyncDispose]();
  await stock[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

interface Run {
  readonly events: readonly TaskEvent[];
  readonly chunks: readonly unknown[];
  readonly progress: readonly number[];
  readonly result: unknown;
}

async function run(type: string, input?: unknown): Promise<Run> {
  const started = client.run(type, input);
  const events = await Array.fromAsync(started);
  return {
    events,
    chunks: events.flatMap((event) => (event.kind === "chunk" ? [event.value] : [])),
    progress: events.flatMap((event) => (event.kind === "progress" ? [event.fraction] : [])),
    result: await started.result(),
  };
}

/** The reason and the message with which a task of this type and input fails, for good and at its first attempt. */
async function failureOf(type: string, input?: unknown): Promise<string> {
  const { taskId } = await client.submit(type, input);
  const { status, ...outcome } = await client.outcome(taskId);
  if (outcome.state === "completed" || outcome.failure === undefined) throw new Error(`${type} did not fail`);
  expect(status.attempt).toBe(1);
  expect(outcome.failure.message).not.toContain("\n");
  return `${outcome.failure.reason}: ${outcome.failure.message}`;
}

test("echo streams and returns in the form of its input", async () => {
  const asJson = await run("echo", { message: "hi", repeat: 2 });
  expect(asJson.result).toEqual({ message: "hi", outputs: 2 });
  expect(asJson.chunks).toEqual([
    { message: "hi", index: 1 },
    { message: "hi", index: 2 },
  ]);
  const typed = await run("echo", packMessage(EchoInputSchema, { message: "hi", repeat: 2 }));
  expect(unpackMessage(EchoOutputSchema, typed.result)).toMatchObject({ message: "hi", outputs: 2 });
  expect(typed.chunks.map((chunk) => unpackMessage(EchoChunkSchema, chunk).index)).toEqual([1, 2]);
});

test("data-transform sorts, filters and evaluates", async () => {
  const data = [
    { name: "b", price: 2 },
    { name: "a", price: 3 },
    { name: "c", price: 1 },
  ];
  const input = {
    data,
    operations: [{ filter: { path: "price", above: 1 } }, { sort: { by: "name" } }],
    expression: "$join(name, '-')",
  };
  expect((await run("data-transform", input)).result).toEqual({ result: "a-b" });
  const typed = await run(
    "data-transform",
    packMessage(DataTransformInputSchema, {
      data: { kind: { case: "stringValue", value: "abc" } },
      operations: [{ kind: { case: "reverse", value: {} } }],
    }),
  );
  expect(unpackMessage(DataTransformOutputSchema, typed.result).result?.kind.value).toBe("cba");
});

test("data too large to travel inline is transformed too, and so is what becomes of it", async () => {
  const data = Array.from({ length: 20_000 }, (_, i) => `text number ${i}`);
  const { result } = await run("data-transform", { data, operations: [{ reverse: {} }] });
  expect(result).toEqual({ result: data.toReversed() });
  const value = fromJson(ValueSchema, data);
  const typed = await run(
    "data-transform",
    packMessage(DataTransformInputSchema, { data: value, operations: [{ kind: { case: "reverse", value: {} } }] }),
  );
  const output = unpackMessage(DataTransformOutputSchema, typed.result);
  expect(toJson(ValueSchema, output.result!)).toEqual(data.toReversed());
});

test("code-analysis measures files, and streams what it finds in them", async () => {
  const input = { root: folder, files: ["a.ts", "gone.ts"], security: true };
  const { result, chunks, progress } = await run("code-analysis", input);
  const finding = { severity: "high", rule: "no-eval", file: "a.ts", line: 2, column: 10, message: expect.any(String) };
  expect(chunks).toEqual([{ file: "a.ts", findingCount: 1, findings: [finding] }]);
  expect(progress.at(-1)).toBe(1);
  expect(result).toMatchObject({
    detail: "full",
    files: [
      { kind: "parsed", path: "a.ts", lines: { total: 3, code: 3 }, functions: { count: 1 }, findings: [] },
      { kind: "unreadable", path: "gone.ts", bytes: -1, reason: "ENOENT" },
    ],
    totals: { files: 2, parsed: 1, languages: { TypeScript: { files: 1, lines: 3 } } },
    findings: [finding],
    findingCount: 1,
  });
  const typed = await run("code-analysis", packMessage(CodeAnalysisInputSchema, { root: folder, files: ["a.ts"] }));
  expect(unpackMessage(CodeAnalysisOutputSchema, typed.result)).toMatchObject({
    findingCount: 0,
    totals: { parsed: 1 },
  });
});

test("monitoring streams samples of the host, and returns the last", async () => {
  const { result, chunks, progress } = await run("monitoring", { samples: 3, intervalMs: 100 });
  expect(chunks).toHaveLength(3);
  expect(progress.at(-1)).toBe(1);
  expect(result).toMatchObject({ samples: 3, sample: chunks[2] });
  expect(chunks[2]).toMatchObject({
    index: 3,
    cpu: { percent: expect.any(Number) },
    memory: { totalBytes: expect.any(Number) },
  });
  const typed = await run("monitoring", packMessage(MonitoringInputSchema, { parts: ["load"] }));
  expect(unpackMessage(MonitoringOutputSchema, typed.result)).toMatchObject({ samples: 1, sample: { index: 1 } });
  expect(unpackMessage(MonitoringSampleSchema, typed.chunks[0]).load?.oneMinute).toBeTypeOf("number");
  expect((await run("monitoring")).result).toMatchObject({ samples: 1 });
});

test("file-processing reads a file of the agent's machine, a blob, and the input itself", async () => {
  const content = Buffer.concat(
    [Buffer.from("words of a text\n".repeat(300_000)), randomBytes(8).toString("hex")].map((part) => Buffer.from(part)),
  );
  const sha256 = createHash("sha256").update(content).digest("hex");
  await writeFile(join(folder, "large.txt"), content);
  const facts = {
    sizeBytes: content.length,
    type: { mediaType: "text/plain" },
    hashes: { sha256 },
    text: { lines: 300_001, words: 1_200_001 },
  };
  const ofPath = await run("file-processing", { path: join(folder, "large.txt") });
  expect(ofPath.result).toMatchObject(facts);
  expect(ofPath.progress.at(-1)).toBe(1);
  const blob = await client.uploadBlob(content, { contentType: "text/csv" });
  expect((await run("file-processing", { blobId: blob.blobId })).result).toMatchObject(facts);
  const typed = await run(
    "file-processing",
    packMessage(FileProcessingInputSchema, { source: { case: "blob", value: blob } }),
  );
  expect(unpackMessage(FileProcessingOutputSchema, typed.result)).toMatchObject(facts);
  expect((await run("file-processing", new Uint8Array(content))).result).toMatchObject(facts);
});

test.for<[type: string, input: () => unknown, failure: RegExp | string]>([
  [
    "echo",
    () => ({ messages: "hi", repeat: 0 }),
    "INVALID_INPUT: invalid input: messages: unknown field; the fields are message, repeat, delayMs; message: must be given; repeat: must be a whole number from 1 to 1000, is 0",
  ],
  [
    "data-transform",
    () => ({ data: 1, operations: [{ sort: { order: "up" } }], timeLimitMs: 0 }),
    "INVALID_INPUT: invalid input: operations[0].sort.order: unknown field; the fields are by, descending, locale, numeric; timeLimitMs: must be a whole number from 1 to 60000, is 0",
  ],
  [
    "data-transform",
    () => ({ data: 1, expression: "$nope()" }),
    /^TRANSFORM_FAILED: expression: Attempted to invoke a non-function/,
  ],
  [
    "code-analysis",
    () => ({ root: "src", files: ["../a"] }),
    "INVALID_INPUT: invalid input: root: must be an absolute folder; files[0]: must not leave root by ..",
  ],
  [
    "code-analysis",
    () => ({ root: "/etc", files: ["passwd"] }),
    "ROOT_NOT_ALLOWED: root /etc is outside the folders this agent may read",
  ],
  [
    "monitoring",
    () => ({ samples: -1, parts: ["gpu"] }),
    'INVALID_INPUT: invalid input: samples: must be a whole number from 0 to 100000, is -1; parts[0]: must be one of cpu, memory, swap, disks, load, network, is "gpu"',
  ],
  [
    "file-processing",
    () => ({ path: "a", hashes: ["sha3"] }),
    'INVALID_INPUT: invalid input: path: must be an absolute path; hashes[0]: must be one of sha256, sha512, sha1, md5, crc32, is "sha3"',
  ],
  [
    "file-processing",
    () => ({ path: "/etc/passwd" }),
    "PATH_NOT_ALLOWED: file /etc/passwd is outside the folders this agent may read",
  ],
  ["file-processing", () => ({ blobId: "nothing" }), "BLOB_NOT_FOUND: blob nothing is not in the mesh"],
  ...(
    [
      ["echo", EchoInputSchema],
      ["data-transform", DataTransformInputSchema],
      ["code-analysis", CodeAnalysisInputSchema],
      ["monitoring", MonitoringInputSchema],
      ["file-processing", FileProcessingInputSchema],
    ] as [string, DescMessage][]
  ).map(([type, { typeName }]): [string, () => unknown, string] => [
    type,
    () => packMessage(EchoOutputSchema, {}),
    `INVALID_INPUT: invalid input: must be a ${typeName}, is a mycel.tasks.v1.EchoOutput`,
  ]),
])("%s refuses in one line what it cannot take", async ([type, input, failure]) => {
  const told = await failureOf(type, input());
  if (typeof failure === "string") expect(told).toBe(failure);
  else expect(told).toMatch(failure);
});

const FOR_EVER = "($f := function($x){ $f($x + 1) }; $f(1))";

test.for<[type: string, input: () => Promise<unknown>]>([
  ["echo", async () => ({ message: "hi", repeat: 1_000, delayMs: 100 })],
  ["data-transform", async () => ({ data: 1, expression: FOR_EVER, timeLimitMs: 60_000 })],
  [
    "code-analysis",
    async () => {
      const text = SOURCE.repeat(20_000);
      const files = Array.from({ length: 60 }, (_, i) => `large-${i}.ts`);
      for (const file of files) await writeFile(join(folder, file), text);
      return { root: folder, files };
    },
  ],
  ["monitoring", async () => ({ samples: 0, intervalMs: 100 })],
  [
    "file-processing",
    async () => {
      const path = join(folder, "huge");
      await using file = await open(path, "w");
      await file.truncate(64 * 1024 ** 3);
      return { path };
    },
  ],
])("a %s that is canceled stops at once", async ([type, input]) => {
  const { taskId } = await client.submit(type, await input(), { startToCloseMs: 600_000 });
  for await (const event of client.watch(taskId)) if (event.kind === "state" && event.state === "working") break;
  // Said by a heartbeat, so that the 0 below is not the one from before.
  await expect.poll(() => runningIn(stock), { timeout: 10_000 }).toBe(1);
  await client.cancel(taskId);
  await expect(client.result(taskId)).rejects.toThrow(TaskFailedError);
  await expect.poll(() => runningIn(stock), { timeout: 10_000 }).toBe(0);
});

test("an agent that is killed leaves no transformation behind that goes on for ever", async () => {
  await using other = await openStockMesh();
  await using submitter = createClient({ url: other.url });
  await submitter.submit("data-transform", { data: 1, expression: FOR_EVER, timeLimitMs: 60_000 });
  const children = (): string[] => linesOf("pgrep", ["-P", String(other.agent.pid)]);
  await expect.poll(children).toHaveLength(1);
  const [child = ""] = children();
  other.agent.signal("SIGKILL");
  await other.agent.exited;
  // Gone, or dead and only not yet taken note of.
  await expect
    .poll(() => linesOf("ps", ["-o", "stat=", "-p", child]).filter((state) => !state.startsWith("Z")), {
      timeout: 10_000,
    })
    .toEqual([]);
});

function linesOf(command: string, args: readonly string[]): string[] {
  // They exit with 1 when there is nothing to tell.
  const { stdout } = spawnSync(command, args, { encoding: "utf8" });
  return stdout
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

/** How many attempts the agent says that it runs. */
async function runningIn({ url }: StockMesh): Promise<number> {
  await using watcher = createClient({ url });
  const [agent] = await Array.fromAsync(watcher.agents());
  return agent?.running ?? -1;
}
