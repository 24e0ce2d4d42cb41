// `mycel up` as a new user meets it: the job, the mistakes, and what happens when its parts are killed.

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createClient } from "../../../sdk/client/index.ts";
import { natsServerBinary } from "../../support/nats.ts";

const ROOT = resolve(import.meta.dirname, "../../..");
let dir: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "mycel-up-"));
  await writeFile(
    join(dir, "a.ts"),
    "// TODO: more\nexport function f(x: number): number {\n  return x > 1 ? x : 1;\n}\n",
  );
  await writeFile(join(dir, "b.md"), "# b\n");
});

afterAll(async () => {
  await rm(dir, { recursive: true, force: true });
});

interface Up {
  readonly child: ChildProcess;
  readonly exited: Promise<number | null>;
  /** Everything that it wrote so far. */
  readonly text: () => string;
  /** Resolves when a line like this was written. */
  readonly line: (pattern: RegExp) => Promise<RegExpExecArray>;
}

async function up(name: string, args: readonly string[], further: Readonly<Record<string, string>> = {}): Promise<Up> {
  const given = { ...process.env, NATS_SERVER_BIN: await natsServerBinary(), NATS_URL: "", MYCEL_LISTEN: "" };
  const env = { ...given, ...further };
  const data = join(dir, "data", name);
  const child = spawn(process.execPath, [join(ROOT, "cli/main.ts"), "up", "--data", data, ...args], { env });
  let text = "";
  const heard = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (part: string) => {
      text += part;
      for (const hear of heard) hear();
    });
  }
  const exited = new Promise<number | null>((done) => {
    child.once("close", (code) => done(code));
  });
  return {
    child,
    exited,
    text: () => text,
    line: (pattern) =>
      new Promise((found, failed) => {
        const hear = (): void => {
          const match = pattern.exec(text);
          if (match !== null) found(match);
        };
        heard.add(hear);
        hear();
        void exited.then(() => failed(new Error(`it ended without ${pattern}:\n${text}`)));
      }),
  };
}

test("the job runs on any folder, says what it found, keeps its data to itself, and ends with 0", async () => {
  const data = join(dir, "data/job");
  // As an older version left it.
  await mkdir(join(data, "logs"), { recursive: true, mode: 0o755 });
  const { exited, text } = await up("job", ["--once", "--port", "0", "--agents", "1", "--path", dir]);
  expect(await exited).toBe(0);
  expect(text()).toMatch(/2 files/);
  expect(text()).toMatch(/TypeScript/);
  expect(text()).not.toMatch(/^ready/m);
  const folders = (await readdir(data, { withFileTypes: true })).filter((entry) => entry.isDirectory());
  expect(folders.map(({ name }) => name)).toEqual(expect.arrayContaining(["logs", "nats", "index", "traces"]));
  for (const { name } of folders) expect((await stat(join(data, name))).mode & 0o077, name).toBe(0);
});

test("a taken port is one clear line and exit code 2, and nothing stays behind", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((listening) => server.once("listening", listening));
  const { port } = server.address() as { port: number };
  const { exited, text } = await up("taken", ["--no-job", "--port", String(port)]);
  expect(await exited).toBe(2);
  const complaints = text()
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("nats-server "));
  expect(complaints).toHaveLength(1);
  expect(complaints[0]).toBe(
    `mycel: port ${port} on 127.0.0.1 is already in use; choose another with --port, or a free one with --port 0`,
  );
  server.close();
});

test.for([
  [["--path", "/no/such/folder"], "/no/such/folder"],
  [["--port", "70000"], "from 0 to 65535"],
  [["--listen", "nonsense"], "must be an address as host:port"],
  [["--config", "/no/such/file"], "/no/such/file cannot be read: there is no such file"],
  [["--agents", "many"], "from 0 to 64"],
  [["--sync", "sometimes"], "--sync sometimes must be always, or an interval such as 1s"],
  [["--once", "--agents", "0"], "--once stops when the job is done"],
  [["--data", process.execPath], "choose another folder with --data"],
  [["--fast"], "--fast"],
] as const)("%j is one clear line and exit code 2", async ([args, words]) => {
  const { exited, text } = await up("mistake", args);
  expect(await exited).toBe(2);
  expect(text()).toContain(words);
  expect(text()).not.toMatch(/^\s+at /m);
});

test("a configuration file serves every process, and what is wrong with it is told at once", async () => {
  const file = join(dir, "mycel.yaml");
  await writeFile(file, "coordinator: { listen: 127.0.0.1:0 }\nworker: { name: from-the-file, concurrency: 3 }\n");
  const mesh = await up("config", ["--no-job", "--agents", "1", "--config", file]);
  const [, url = ""] = await mesh.line(/^ready (\S+)/m);
  await using client = createClient({ url });
  const [agent] = await Array.fromAsync(client.agents());
  expect(agent).toMatchObject({ name: "from-the-file", concurrency: 3 });
  mesh.child.kill("SIGTERM");
  expect(await mesh.exited).toBe(0);
  await writeFile(file, "coordinator: { lisen: x }\nworker: { concurrency: 0 }\n");
  const wrong = await up("wrong", ["--no-job", "--config", file]);
  expect(await wrong.exited).toBe(2);
  expect(wrong.text()).toContain("unknown key coordinator.lisen; did you mean coordinator.listen?");
  expect(wrong.text()).toContain("worker.concurrency must be a whole number");
});

test("a mesh that asks who calls does the job for whoever has a key", async () => {
  const [file, keyFile] = [join(dir, "keyed.yaml"), join(dir, "operator-key")];
  await writeFile(keyFile, `mk_operator_${"k".repeat(40)}\n`, { mode: 0o600 });
  await writeFile(file, "access: { adminKey: file:operator-key }\n");
  const args = ["--once", "--port", "0", "--agents", "1", "--path", dir, "--config", file];
  const { exited, text } = await up("keyed", args, { MYCEL_API_KEY_FILE: keyFile });
  expect(await exited, text()).toBe(0);
  expect(text()).not.toContain("kkkk");
});

test("a folder without files to analyse is one clear line and exit code 2", async () => {
  const empty = join(dir, "empty");
  await mkdir(empty);
  const { exited, text } = await up("nothing", ["--once", "--path", empty]);
  expect(await exited).toBe(2);
  expect(text()).toBe(`mycel: there are no files to analyse in ${empty}\n`);
});

test("a second mesh on the same data says how to get around the first", async () => {
  const first = await up("shared", ["--no-job", "--port", "0", "--agents", "0"]);
  await first.line(/^ready /m);
  const second = await up("shared", ["--no-job", "--port", "0"]);
  expect(await second.exited).toBe(2);
  expect(second.text()).toMatch(
    /^mycel: \S+ is in use by a running nats-server \(process \d+\): .*--data DIR --port 0\n$/,
  );
  first.child.kill("SIGTERM");
  expect(await first.exited).toBe(0);
});

test.for([
  [[], "1s"],
  [["--sync", "always"], "always"],
] as const)("with %j stored tasks are forced to the disk: %s", async ([args, sync]) => {
  const name = `sync-${sync}`;
  const { child, exited, line } = await up(name, ["--no-job", "--port", "0", "--agents", "0", ...args]);
  await line(/^ready /m);
  const config = await readFile(join(dir, "data", name, "nats", "nats-server.conf"), "utf8");
  expect(config).toContain(`sync_interval: "${sync}"`);
  child.kill("SIGTERM");
  expect(await exited).toBe(0);
});

test("a signal while things come up ends it with 130 before the next step", async () => {
  const { child, exited, line, text } = await up("early", ["--port", "0", "--path", dir]);
  await line(/^nats-server /m);
  child.kill("SIGINT");
  expect(await exited).toBe(130);
  expect(text()).not.toMatch(/^(agents|job) /m);
});

test("what is killed comes back where it was, and a stream through it sees everything once", async () => {
  const started = await up("killed", ["--no-job", "--port", "0", "--agents", "1"]);
  const [, url = ""] = await started.line(/^ready (\S+)/m);
  await using client = createClient({ url });
  const run = client.run("echo", { message: "m", repeat: 40, delayMs: 100 });
  const parts = ["nats-server", "coordinator"];
  let chunks = 0;
  for await (const event of run) {
    if (event.kind !== "chunk") continue;
    chunks += 1;
    if (chunks % 15 === 5) kill(started.child.pid!, parts.shift());
  }
  expect(chunks).toBe(40);
  expect(await run.result()).toEqual({ message: "m", outputs: 40 });
  await started.line(/nats-server is back/);
  await started.line(/coordinator is back/);

  started.child.kill("SIGINT");
  expect(await started.exited).toBe(0);
  expect(existsSync(join(dir, "data", "killed", "nats"))).toBe(true);
});

/** Kills a child of a process by what its command line contains. */
function kill(parent: number, part: string | undefined): void {
  if (part === undefined) return;
  spawn("pkill", ["-9", "-P", String(parent), "-f", part]);
}
