// When an error may say that nothing was begun, so that the same can safely be done otherwise.
import { Code } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { richError } from "../../../lib/rpc/rich-error.ts";
import { createClient, type MycelClient } from "../../../sdk/client/index.ts";
import { type Cue, openFakeCoordinator, unavailable } from "../../support/fake-coordinator.ts";

const full = (): Cue =>
  richError({ code: Code.ResourceExhausted, reason: "QUEUE_FULL", message: "full", retryDelayMs: 1 });

const CASES: readonly [what: string, cues: readonly Cue[], unaccepted: boolean][] = [
  ["was refused each time", [full(), full(), full()], true],
  ["came to servers that leave", [unavailable("DRAINING"), unavailable("DRAINING"), unavailable("DRAINING")], true],
  ["was lost with its connection", ["cut", "cut", "cut"], false],
  ["was lost, and then refused", ["cut", full(), full()], false],
  [
    "met a broker that was away, which may have stored it",
    [unavailable("BROKER_UNAVAILABLE", 1), full(), full()],
    false,
  ],
  ["was not answered in time", ["hang", "hang", "hang"], false],
];

const SUBMIT = (client: MycelClient): Promise<unknown> => client.submit("echo", 1);
const RUN = (client: MycelClient): Promise<unknown> => client.run("echo", 1, { timeoutMs: 500 }).result();

for (const [name, call, method] of [
  ["a submission", SUBMIT, "SubmitTask"],
  ["a run", RUN, "RunTask"],
] as const) {
  test.for(CASES)(`${name} that %s`, async ([, cues, unaccepted]) => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url, timeoutMs: 500, retry: { attempts: 3 } });
    mesh.failNext(method, ...cues);
    await expect(call(client)).rejects.toMatchObject({ name: "MycelError", unaccepted });
    // A fake that loses an answer has stored the task.
    if (unaccepted) expect(mesh.tasks.size).toBe(0);
  });

  test(`${name} that never left`, async () => {
    await using mesh = await openFakeCoordinator();
    await mesh.stop();
    await using client = createClient({ url: mesh.url, timeoutMs: 500, retry: { attempts: 3 } });
    await expect(call(client)).rejects.toMatchObject({ name: "MycelError", code: "unavailable", unaccepted: true });
  });
}
