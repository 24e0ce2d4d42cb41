// The names that a mesh knows, for whoever presses Tab: few, soon, or none at all.
import type { Agent } from "../../gen/mycel/v1/agent_pb.ts";
import type { Task } from "../../gen/mycel/v1/task_pb.ts";
import { type AccessOptions, createClient, type MycelClient } from "../../sdk/client/index.ts";
import { stateWord } from "../output/task-view.ts";
import { OPEN_STATES } from "../status/mesh-survey.ts";
import type { Candidate, Kind } from "./candidates.ts";

/** How long somebody waits for a menu, in milliseconds. */
const TIMEOUT_MS = 1_000;

const MAX_NAMES = 100;

/** The names of a kind; none if the mesh does not answer in a moment. Never rejects. */
export async function namesOf(
  kind: Kind,
  urls: readonly string[],
  access: () => AccessOptions,
): Promise<readonly Candidate[]> {
  try {
    const limits = { timeoutMs: TIMEOUT_MS, connectTimeoutMs: TIMEOUT_MS, retry: { attempts: 1 } };
    await using client = createClient({ ...access(), urls, ...limits });
    return await ASK[kind](client);
  } catch {
    // A completion that complains is worse than none.
    return [];
  }
}

const ASK: Readonly<Record<Kind, (client: MycelClient) => Promise<Candidate[]>>> = {
  task: async (client) => await tasks(client.list({}, { pageSize: MAX_NAMES })),
  "open-task": async (client) => await tasks(client.list({ states: OPEN_STATES }, { pageSize: MAX_NAMES })),
  "dead-letter": async (client) => {
    const letters = await first(client.deadLetters({}, { pageSize: MAX_NAMES }));
    return letters.flatMap(({ task }) => (task === undefined ? [] : [taskCandidate(task)]));
  },
  type: async (client) =>
    [...(await client.capabilities()).values()].map(({ type, description }) => ({ value: type, description })),
  queue: async (client) => {
    const { queues } = await client.queues.listQueues({ pageSize: MAX_NAMES });
    return queues.map(({ name, waitingCount, pause }) => ({
      value: name,
      description: `${waitingCount} waiting${pause === undefined ? "" : ", paused"}`,
    }));
  },
  endpoint: async (client) => {
    const { endpoints } = await client.webhooks.listWebhookEndpoints({ pageSize: MAX_NAMES });
    return endpoints.map(({ endpointId, url }) => ({ value: endpointId, description: url }));
  },
  agent: async (client) => (await first(client.agents({}, { pageSize: MAX_NAMES }))).map(agentCandidate),
};

async function tasks(found: AsyncIterable<Task>): Promise<Candidate[]> {
  return (await first(found)).map(taskCandidate);
}

function taskCandidate({ taskId, type, status }: Task): Candidate {
  return { value: taskId, description: `${type}, ${stateWord(status).replace("_", " ")}` };
}

function agentCandidate({ agentId, name }: Agent): Candidate {
  return { value: agentId, description: name };
}

/** The first page, and no more. */
async function first<T>(all: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const one of all) {
    found.push(one);
    if (found.length === MAX_NAMES) break;
  }
  return found;
}
