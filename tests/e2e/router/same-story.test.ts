// The stock agent's handlers in an agent and in this process: whoever reads the events, results and failures cannot tell which it was.
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  createClient,
  type MycelClient,
  TaskFailedError,
  type TaskEvent,
  type TaskRun,
} from "../../../sdk/client/index.ts";
import { createRouter, type Router, type Where } from "../../../sdk/router/index.ts";
import { EchoInputSchema, packMessage } from "../../../sdk/tasks/index.ts";
import { stockAgent } from "../../../services/worker/stock-agent.ts";
import { openStockMesh, type StockMesh } from "../../support/stock-mesh.ts";

let stock: StockMesh;
let client: MycelClient;

beforeAll(async () => {
  stock = await openStockMesh();
  client = createClient({ url: stock.url });
});
afterAll(async () => {
  await client[Symbol.asyncDispose]();
  await stock[Symbol.asyncDispose]();
});

function routerTo(where: Where): Router {
  const { capabilities } = stockAgent({ name: "here", concurrency: 2, allowedRoots: [], allowPrivate: [] });
  return createRouter({
    client,
    handlers: capabilities,
    rules: [{ name: "test", when: { handler: true }, run: where }],
  });
}

/** What a reader sees, without who, when and under which id; an attempt that ends at once may not be told as working in the mesh. */
function shownOf(event: TaskEvent): unknown[] {
  switch (event.kind) {
    case "snapshot":
      return [[event.kind, event.task.type, event.task.input]];
    case "state":
      return event.state === "working" ? [] : [[event.state, event.status.attempt, event.result]];
    case "chunk":
      return [["chunk", event.attempt, event.value]];
    case "progress":
      return [];
    case "log":
      return [["log", event.level, event.text]];
  }
}

async function story(run: TaskRun): Promise<unknown> {
  const events: unknown[] = [];
  for await (const event of run) events.push(...shownOf(event));
  const result = await run.result().catch((error: unknown) => {
    if (!(error instanceof TaskFailedError)) throw error;
    const { state, reason, attempt, message, taskId } = error;
    return { state, reason, attempt, message: message.replace(taskId, "ID") };
  });
  return { events, result };
}

test.for<[string, string, unknown]>([
  ["a value", "echo", { message: "hello" }],
  ["a stream", "echo", { message: "again", repeat: 3, delayMs: 5 }],
  ["a message of Protobuf", "echo", packMessage(EchoInputSchema, { message: "typed", repeat: 2 })],
  ["bytes that are JSON", "echo", new TextEncoder().encode('{"message":"x"}')],
  ["an input that is wrong in two ways", "echo", { message: 7, repeat: 0 }],
  ["no input", "echo", undefined],
  ["a transformation", "data-transform", { operation: "sort", data: [3, 1, 2] }],
  [
    "an expression",
    "data-transform",
    { expression: "$sum(items.price)", data: { items: [{ price: 2 }, { price: 3 }] } },
  ],
  ["a path that is not allowed", "code-analysis", { root: "/etc" }],
  ["an address that is not public", "webhook", { url: "http://127.0.0.1:1/" }],
])("%s: %s tells the same story here and there", async ([, type, input]) => {
  const options = { retry: { maximumAttempts: 1 } };
  const [here, there] = await Promise.all([
    story(routerTo("local").run(type, input, options)),
    story(routerTo("mesh").run(type, input, options)),
  ]);
  expect(here).toEqual(there);
});
