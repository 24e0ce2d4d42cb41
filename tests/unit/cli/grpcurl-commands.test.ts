// Every command that makes a call can print it instead, with no mesh anywhere.
import { PassThrough } from "node:stream";
import type { Command } from "commander";
import { expect, test } from "vitest";
import { createTerminal } from "../../../cli/output/terminal.ts";
import { createProgram, runProgram } from "../../../cli/program.ts";
import type { CliContext } from "../../../cli/context.ts";

const CERTS = ["init", "issue", "renew", "revoke", "show"].map((name) => `certs ${name}`);

/** Commands that make no call. */
const SILENT = [
  "up",
  "config show",
  "config check",
  "config docs",
  "completion",
  "complete",
  "trust init",
  "trust renew",
  ...CERTS,
];

/** Arguments of commands that take not just anything, or need some of those that they may go without. */
const ARGUMENTS: Readonly<Record<string, readonly string[]>> = {
  "blob put": ["package.json"],
  "webhooks redeliver": ["msg_1"],
  "keys create": ["--role", "reader"],
  "token issue": ["task-1"],
};

/** Commands that make several calls, with the methods in their order. */
const SEVERAL: Readonly<Record<string, readonly string[]>> = {
  status: [
    "grpc.health.v1.Health/Check",
    "mycel.v1.AgentService/ListAgents",
    "mycel.v1.AgentService/CountTasks",
    "mycel.v1.QueueService/ListQueues",
    "mycel.v1.AgentService/ListDeadLetters",
    "mycel.v1.MetricsService/GetMetrics",
  ],
  doctor: [
    "grpc.health.v1.Health/Check",
    "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "mycel.v1.AgentService/ListAgents",
    "mycel.v1.AgentService/RunTask",
  ],
};

const COMMANDS = leaves(createProgram(fakeContext().context, "1.2.3")).filter(([path]) => !SILENT.includes(path));

test.for(COMMANDS)("mycel %s prints its calls and nothing else", async ([path, command]) => {
  const { context, out, err } = fakeContext();
  const words = ARGUMENTS[path] ?? command.registeredArguments.filter(({ required }) => required).map(() => "x");
  await runProgram(context, "1.2.3", [...path.split(" "), ...words, "--grpcurl"]);
  const lines = out().trimEnd().split("\n");
  const methods = lines.flatMap(
    (line) => /^grpcurl -plaintext .* 127\.0\.0\.1:9 (\S+)( <<'END')?$/.exec(line)?.[1] ?? [],
  );
  expect(methods.length, out()).toBeGreaterThan(0);
  expect(err()).toBe("");
  if (SEVERAL[path] !== undefined) expect(methods).toEqual(SEVERAL[path]);
  // What is no call is the input of one.
  if (!out().includes("<<'END'")) expect(methods).toHaveLength(lines.length);
});

test.for(["up", "completion bash", "certs init certs-not-made"])("mycel %s has nothing to print", async (path) => {
  const run = runProgram(fakeContext().context, "1.2.3", [...path.split(" "), "--grpcurl"]);
  await expect(run).rejects.toMatchObject({ name: "UsageError" });
});

test("what is wrong with the call itself is said", async () => {
  const run = runProgram(fakeContext().context, "1.2.3", ["submit", "echo", "{bad", "--grpcurl"]);
  await expect(run).rejects.toThrow(/^the input is not JSON/);
});

function leaves(command: Command, path: readonly string[] = []): [string, Command][] {
  const own = path.length > 0 && command.commands.length === 0 ? [[path.join(" "), command] as [string, Command]] : [];
  return [...own, ...command.commands.flatMap((sub) => leaves(sub, [...path, sub.name()]))];
}

function fakeContext(): { context: CliContext; out: () => string; err: () => string } {
  const [out, err] = [new PassThrough(), new PassThrough()];
  const text = (stream: PassThrough): string => String(stream.read() ?? "");
  const context: CliContext = {
    out: createTerminal(out, true),
    err: createTerminal(err, true),
    stdin: new PassThrough(),
    env: { MYCEL_URL: "http://127.0.0.1:9" },
    interrupted: new AbortController().signal,
  };
  const [outText, errText] = [once(() => text(out)), once(() => text(err))];
  return { context, out: outText, err: errText };
}

function once(read: () => string): () => string {
  let known: string | undefined;
  return () => (known ??= read());
}
