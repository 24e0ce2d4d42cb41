// `mycel webhooks` and `mycel submit --webhook` as real processes against a real mesh, and the same through the SDK.
import { afterAll, beforeAll, expect, test } from "vitest";
import { createClient } from "../../../sdk/client/index.ts";
import { runCli } from "../../support/cli.ts";
import { openMesh, type TestMesh } from "../../support/processes.ts";
import { openWebhookReceiver, type WebhookReceiver } from "../../support/webhook-receiver.ts";
import { soon } from "../../support/soon.ts";

let mesh: TestMesh;
let receiver: WebhookReceiver;
beforeAll(async () => {
  mesh = await openMesh({ env: { MYCEL_OUTBOUND_ALLOW: "127.0.0.1" } });
  receiver = await openWebhookReceiver();
  await mesh.startAgent("worker");
});
afterAll(async () => {
  await receiver[Symbol.asyncDispose]();
  await mesh[Symbol.asyncDispose]();
});

async function mycel(...args: readonly string[]) {
  return await runCli(mesh.urls[0]!, args);
}

async function json<T>(...args: readonly string[]): Promise<T> {
  const { code, stdout, stderr } = await mycel(...args, "--json");
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return JSON.parse(stdout) as T;
}

test("the life of an endpoint and of its deliveries by the command line", async () => {
  const created = await mycel("webhooks", "create", receiver.url, "--id", "billing", "--description", "for bills");
  expect(created.code).toBe(0);
  const [, secret = ""] = /secret\s+(whsec_\S+)/.exec(created.stdout) ?? [];
  expect(secret).not.toBe("");
  receiver.secrets = [secret];

  const tested = await mycel("webhooks", "test", "billing");
  expect(tested).toMatchObject({ code: 0, stdout: expect.stringMatching(/answer\s+204 in \d+ms/) });

  const submitted = await mycel("submit", "work", "--id", "t1", "--webhook", "billing", "--webhook-all-states");
  expect(submitted).toMatchObject({ code: 0, stdout: "t1\n" });
  await soon(() => receiver.received.at(-1)?.event.type).toBe("task.completed");
  const { deliveries } = await json<{ deliveries: { deliveryId: string; state: string }[] }>(
    "webhooks",
    "deliveries",
    "--task",
    "t1",
  );
  const last = deliveries[0]!;
  expect(last.deliveryId).toBe(receiver.received.at(-1)?.id);

  const count = receiver.received.length;
  expect((await mycel("webhooks", "redeliver", last.deliveryId)).code).toBe(0);
  const received = await receiver.until(count + 1);
  expect(received.at(-1)?.text).toBe(received.at(-2)?.text);
  const shown = await mycel("webhooks", "deliveries", last.deliveryId);
  expect(shown.stdout).toContain("task.completed");
  expect(shown.stdout).toContain('"taskId":"t1"');
  const table = await mycel("webhooks", "deliveries", "--endpoint", "billing");
  expect(table.stdout).toContain(last.deliveryId);

  expect((await mycel("webhooks", "disable", "billing")).code).toBe(0);
  const listed = await mycel("webhooks", "list");
  expect(listed.stdout).toMatch(/billing\s.*disabled/);
  expect(listed.stdout).not.toContain(secret.slice(6));
  await mycel("submit", "work", "--id", "withheld", "--webhook", "billing");
  const withheld = async () =>
    (await mycel("webhooks", "deliveries", "--task", "withheld", "--state", "failed")).stdout.includes(
      "endpoint disabled",
    );
  await soon(withheld).toBe(true);
  expect((await mycel("webhooks", "enable", "billing")).code).toBe(0);
  expect(await mycel("webhooks", "redeliver", "--failed", "billing")).toEqual({
    code: 0,
    stdout: "",
    stderr: "started anew: 1\n",
  });
  await soon(() => receiver.received.at(-1)?.event.data.taskId).toBe("withheld");

  const rotated = await json<{ secret: string }>("webhooks", "rotate", "billing", "--overlap", "1h");
  receiver.secrets = [secret, rotated.secret];
  receiver.answer = () => ({ status: 500, body: "no" });
  const failed = await mycel("webhooks", "test", "billing");
  expect(failed).toMatchObject({ code: 1, stderr: "" });
  expect(failed.stdout).toContain("500");
  expect(receiver.received.at(-1)?.verifiedBy).toEqual([0, 1]);

  expect((await mycel("webhooks", "delete", "billing")).code).toBe(0);
  expect(await mycel("webhooks", "list")).toMatchObject({ code: 0, stderr: "no webhook endpoints\n" });
});

test.for([
  [["webhooks", "create", "http://10.0.0.1/"], 2, /^mycel: url: .*not public.*\n$/],
  [["webhooks", "create", "nonsense"], 2, /^mycel: url: .*no URL\n$/],
  [["webhooks", "test", "nobody"], 1, /^mycel: no webhook endpoint "nobody"\n$/],
  [["webhooks", "rotate", "nobody", "--overlap", "8d"], 2, /^mycel: overlap: must be from 0 s to 604800 s.*\n$/],
  [["webhooks", "deliveries", "--state", "lost"], 2, /^mycel: .*pending, delivered, failed.*\n$/],
  [["submit", "work", "--webhook", "nobody"], 1, /^mycel: no webhook endpoint "nobody"\n$/],
  [["webhooks", "redeliver"], 2, /^mycel: name the deliveries .*\n$/],
  [["submit", "work", "--webhook-all-states"], 2, /^mycel: --webhook-all-states needs --webhook\n$/],
] as const)("mycel %j says in one line what is wrong", async ([args, code, line]) => {
  const ended = await mycel(...args);
  expect({ code: ended.code, stdout: ended.stdout }).toEqual({ code, stdout: "" });
  expect(ended.stderr).toMatch(line);
});

test("the SDK names an endpoint and reaches the service", async () => {
  await using client = createClient({ url: mesh.urls[0]! });
  receiver.answer = () => ({ status: 200 });
  const { secret } = await client.webhooks.createWebhookEndpoint({ endpointId: "sdk", url: receiver.url });
  receiver.secrets = [secret];
  const { taskId } = await client.submit("reverse", { text: "abc" }, { webhook: { endpointId: "sdk" } });
  await soon(() => receiver.received.at(-1)?.event).toMatchObject({ data: { taskId, result: "cba" } });
});
