// The outputs of an attempt, and what the broker may answer to them.
import { expect, test } from "vitest";
import type { Link } from "../../../sdk/agent/link.ts";
import { Outputs } from "../../../sdk/agent/outputs.ts";

/** What JetStream answers to a publish into a stream that is full, as nats-server 2.15 does. */
const FULL = { error: { code: 503, err_code: 10077, description: "maximum bytes exceeded" }, stream: "O", seq: 0 };

test("a batch that a full stream refuses is sent again until it is stored", async () => {
  const answers: object[] = [FULL, FULL, { stream: "O", seq: 42 }];
  const ids: string[] = [];
  const request: Link["request"] = async (_subject, _body, { headers }) => {
    ids.push(headers?.["Nats-Msg-Id"] ?? "");
    const answer = answers.shift();
    return await Promise.resolve({ json: () => answer } as Awaited<ReturnType<Link["request"]>>);
  };
  const outputs = new Outputs({
    link: { request },
    clock: { now: () => 0, monotonicMs: () => 0 },
    subject: "out.default.t.a.1",
    runId: "run",
    coalesceMs: 1,
    publishTimeoutMs: 1_000,
    mayPublish: () => true,
  });
  outputs.open();
  await outputs.push({ kind: "progress", fraction: 0.5, message: "half" });

  expect(await outputs.finish()).toBe(true);
  expect(outputs.lastSequence).toBe(42);
  expect(ids).toEqual(["run/1", "run/1", "run/1"]);
});
