// Checks of the agents: who is there, and whether a task makes its way to one and back.
import type { MycelClient, TaskRun } from "../../sdk/client/index.ts";
import { formatDuration } from "../duration.ts";
import type { Found } from "./check.ts";

const ROUND_TRIP_TIMEOUT_MS = 10_000;
const ECHO = "echo";
const INFERENCE = "inference";

/** Who is there to work. */
export async function checkAgents(client: MycelClient): Promise<Found> {
  const agents = await Array.fromAsync(client.agents());
  if (agents.length === 0) {
    return {
      state: "skipped",
      text: "none registered: tasks will wait",
      advice: 'Start one: "mycel up" runs the stock agent.',
    };
  }
  const types = new Set(agents.flatMap(({ capabilities }) => capabilities.map(({ type }) => type)));
  return { state: "ok", text: `${agents.length} registered, for ${[...types].sort().join(", ")}` };
}

/** Whether language models can be asked, and if not, what the agents say about it. */
export async function checkInference(client: MycelClient): Promise<Found> {
  const agents = await Array.fromAsync(client.agents());
  const able = agents.filter(({ capabilities }) => capabilities.some(({ type }) => type === INFERENCE));
  // The stock agent's label tells which providers it has, or why it has none.
  const said = new Set((able.length > 0 ? able : agents).flatMap(({ labels }) => labels[INFERENCE] ?? []));
  const details = [...said].sort().join("; ");
  if (able.length > 0) {
    const count = `${able.length} of ${agents.length} agents`;
    return { state: "ok", text: details === "" ? count : `${count}: ${details}` };
  }
  return {
    state: "skipped",
    text: details === "" ? "no agent offers it" : `no agent offers it: ${details}`,
    advice: "Start an agent with OPENAI_API_KEY, ANTHROPIC_API_KEY, OLLAMA_HOST or MYCEL_INFERENCE_URL set.",
  };
}

/** Whether a task makes its way to an agent and back. */
export async function checkEcho(client: MycelClient, interrupted: AbortSignal): Promise<Found> {
  const [agent] = await Array.fromAsync(client.agents({ type: ECHO }));
  if (agent === undefined) return { state: "skipped", text: `not tried: no agent can do "${ECHO}"` };
  const started = performance.now();
  const signal = AbortSignal.any([interrupted, AbortSignal.timeout(ROUND_TRIP_TIMEOUT_MS)]);
  const run = runEcho(client, signal);
  try {
    await run.result();
  } catch (error) {
    if (!signal.aborted || interrupted.aborted) throw error;
    const advice = "An agent is registered but gave no result: see its log, and mycel list --type echo.";
    return { state: "broken", text: `no result within ${formatDuration(ROUND_TRIP_TIMEOUT_MS)}`, advice };
  }
  const { taskId } = await run.submitted;
  return { state: "ok", text: `task ${taskId} came back in ${formatDuration(performance.now() - started)}` };
}

/** Submits the task that makes the round trip. */
export function runEcho(client: MycelClient, signal: AbortSignal): TaskRun {
  const input = { message: "mycel doctor" };
  return client.run(ECHO, input, { kinds: ["state"], scheduleToCloseMs: ROUND_TRIP_TIMEOUT_MS, signal });
}
