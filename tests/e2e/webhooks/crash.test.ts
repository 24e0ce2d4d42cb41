// Coordinators die while tasks come in: every accepted task's end is delivered, each event under its one id, and in order.
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { createClient } from "../../../sdk/client/index.ts";
import { openMesh } from "../../support/processes.ts";
import { openWebhookReceiver } from "../../support/webhook-receiver.ts";
import { soon } from "../../support/soon.ts";

const TASKS = 200;

test("the ends of all accepted tasks are delivered though two of three coordinators are killed meanwhile", async () => {
  await using mesh = await openMesh({ coordinators: 3, env: { MYCEL_OUTBOUND_ALLOW: "127.0.0.1" } });
  await mesh.startAgent("worker", { MYCEL_CONCURRENCY: "16" });
  await using receiver = await openWebhookReceiver();
  await using client = createClient({ urls: mesh.urls });
  const { secret } = await client.webhooks.createWebhookEndpoint({ endpointId: "crash", url: receiver.url });
  receiver.secrets = [secret];
  // Some are not taken at first: what is left of them when the coordinator dies is the next one's.
  const refusedOnce = new Set<string>();
  receiver.answer = ({ id }) => {
    if (refusedOnce.has(id) || Number(id.split("_").at(-1)) % 5 > 0) return { status: 200 };
    refusedOnce.add(id);
    return { status: 503 };
  };

  const accepted: string[] = [];
  for (let i = 0; i < TASKS; i += 1) {
    if (i === TASKS / 4 || i === TASKS / 2) mesh.coordinators.shift()!.signal("SIGKILL");
    const webhook = { endpointId: "crash", allStates: i % 2 === 0 };
    const { taskId } = await client.submit("work", { workMs: i % 4 === 0 ? 60 : 0 }, { webhook });
    accepted.push(taskId);
    await sleep(5);
  }

  const ended = (): Set<string | undefined> =>
    new Set(
      receiver.received.filter(({ event }) => event.type === "task.completed").map(({ event }) => event.data.taskId),
    );
  await soon(() => ended().size, { timeout: 120_000 }).toBe(accepted.length);
  expect(ended()).toEqual(new Set(accepted));
  expect(receiver.refused).toEqual([]);
  const first = new Map(receiver.received.toReversed().map(({ id, text }) => [id, text]));
  for (const { id, text } of receiver.received) expect(text).toBe(first.get(id));
  for (const taskId of accepted) {
    const ids = receiver.received.filter(({ event }) => event.data.taskId === taskId).map(({ id }) => id);
    const places = [...new Set(ids)].map((id) => Number(id.split("_").at(-1)));
    // An event is not told before those before it were taken.
    expect(places).toEqual(places.toSorted((a, b) => a - b));
  }
  await soon(async () => (await client.webhooks.listWebhookDeliveries({ states: [1, 3] })).deliveries, {
    timeout: 60_000,
  }).toEqual([]);
}, 150_000);
