// What clients of the soak do: each operation leaves nothing behind when it works, and says what ended otherwise.
import { createClient, type MycelClient } from "../../sdk/client/index.ts";

/** Where an operation runs. */
export interface Surroundings {
  /** The client that lives as long as its process. */
  readonly client: MycelClient;
  readonly urls: readonly string[];
}

/** How long an ended task is kept: short, so that the stores reach their steady size within minutes. */
const KEPT: { readonly resultTtlMs: number; readonly startToCloseMs: number } = {
  resultTtlMs: 10_000,
  startToCloseMs: 10_000,
};
const BLOB = new Uint8Array(300_000).fill(7);

type Operation = (around: Surroundings) => Promise<void>;

async function submitAndWait({ client }: Surroundings): Promise<void> {
  const { taskId } = await client.submit("work", { workMs: 5 }, KEPT);
  expectState((await client.outcome(taskId)).state, "completed");
}

async function runToTheEnd({ client }: Surroundings): Promise<void> {
  const run = client.run("work", { outputs: 5, workMs: 100 }, KEPT);
  let chunks = 0;
  for await (const event of run) if (event.kind === "chunk") chunks += 1;
  await run.result();
  // A lease that is lost begins anew, and its outputs come again.
  if (chunks < 5) throw new Error(`${chunks} chunks of 5`);
}

async function leaveEarly({ client }: Surroundings): Promise<void> {
  const run = client.run("work", { outputs: 5, workMs: 200 }, KEPT);
  for await (const event of run) if (event.kind === "chunk") break;
}

async function resumeElsewhere({ client, urls }: Surroundings): Promise<void> {
  const { taskId } = await client.submit("work", { outputs: 4, workMs: 200 }, KEPT);
  let cursor = "";
  for await (const event of client.watch(taskId)) {
    cursor = event.cursor;
    if (event.kind === "chunk") break;
  }
  await using other = createClient({ urls: urls.toReversed() });
  let last = "";
  for await (const event of other.watch(taskId, { cursor })) if (event.kind === "state") last = event.state;
  expectState(last, "completed");
}

async function cancel({ client }: Surroundings): Promise<void> {
  const { taskId } = await client.submit("patient", {}, KEPT);
  for await (const event of client.watch(taskId)) if (event.kind === "state" && event.state === "working") break;
  await client.cancel(taskId, "soak");
  expectState((await client.outcome(taskId)).state, "canceled");
}

async function failTwice({ client }: Surroundings): Promise<void> {
  const retry = { maximumAttempts: 2, initialIntervalMs: 200 };
  const { taskId } = await client.submit("fail", {}, { ...KEPT, retry });
  expectState((await client.outcome(taskId)).state, "failed");
}

async function delayed({ client }: Surroundings): Promise<void> {
  const { taskId } = await client.submit("work", {}, { ...KEPT, delayMs: 1_000 });
  expectState((await client.outcome(taskId)).state, "completed");
}

async function blob({ client }: Surroundings): Promise<void> {
  const stored = await client.uploadBlob(BLOB);
  let bytes = 0;
  for await (const piece of client.downloadBlob(stored)) bytes += piece.length;
  if (bytes !== BLOB.length) throw new Error(`${bytes} bytes of ${BLOB.length}`);
}

async function visit({ urls }: Surroundings): Promise<void> {
  await using client = createClient({ urls });
  const { taskId } = await client.submit("reverse", { text: "soak" }, KEPT);
  await client.status(taskId);
}

async function lookAround({ client }: Surroundings): Promise<void> {
  await client.count();
  for await (const task of client.list({}, { pageSize: 20 })) if (task.taskId !== "") break;
  for await (const agent of client.agents()) if (agent.agentId !== "") break;
}

async function watchFleet({ client }: Surroundings): Promise<void> {
  const end = AbortSignal.timeout(2_000);
  try {
    for await (const event of client.watchAgents({}, { signal: end })) if (event.kind === "lost") break;
  } catch (error) {
    if (!end.aborted) throw error;
  }
}

function expectState(found: string, expected: string): void {
  if (found !== expected) throw new Error(`a task ended ${found || "without a state"}, not ${expected}`);
}

/** Each operation with its share of all. */
export const OPERATIONS: readonly { readonly name: string; readonly share: number; readonly run: Operation }[] = [
  { name: "submit and wait", share: 40, run: submitAndWait },
  { name: "run and read to the end", share: 20, run: runToTheEnd },
  { name: "leave a stream early", share: 8, run: leaveEarly },
  { name: "resume on another replica", share: 6, run: resumeElsewhere },
  { name: "cancel", share: 6, run: cancel },
  { name: "fail and retry", share: 5, run: failTwice },
  { name: "delay", share: 4, run: delayed },
  { name: "blob up and down", share: 2, run: blob },
  { name: "a client's visit", share: 5, run: visit },
  { name: "lists and counts", share: 3, run: lookAround },
  { name: "watch the fleet", share: 1, run: watchFleet },
];
