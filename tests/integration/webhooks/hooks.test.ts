// What is heard of hooks as they are written, on a real nats-server.
import { headers } from "@nats-io/nats-core";
import { expect, test } from "vitest";
import { type StoredHook, WebhookHooks } from "../../../lib/nats/webhook-hooks.ts";
import { WEBHOOK_HOOKED_FILTER, WEBHOOK_HOOKS_STREAM, webhookHookSubject } from "../../../lib/wire/subjects.ts";
import { openMeshLog, TENANT } from "../../support/mesh-log.ts";
import { soon } from "../../support/soon.ts";

test("what stands nowhere is no hook, whoever publishes it where hooks are heard", async () => {
  await using log = await openMeshLog();
  const hooks = new WebhookHooks(log);
  const heard: StoredHook[] = [];
  using _listening = hooks.listen((hook) => heard.push(hook));
  const subject = WEBHOOK_HOOKED_FILTER.replace("*.*", `${TENANT}.forged`);
  for (const [sequence, time] of [
    ["7", ""],
    ["7", "today"],
    ["Infinity", "2026-01-01T00:00:00Z"],
    ["1.5", "2026-01-01T00:00:00Z"],
  ] as const) {
    const header = headers();
    header.set("Nats-Stream", WEBHOOK_HOOKS_STREAM);
    header.set("Nats-Subject", webhookHookSubject(TENANT, "forged"));
    header.set("Nats-Sequence", sequence);
    if (time !== "") header.set("Nats-Time-Stamp", time);
    log.connection.publish(subject, "", { headers: header });
  }
  await hooks.put(TENANT, "real", 1_000);
  await soon(() => heard.map(({ taskId }) => taskId)).toContain("real");
  expect(heard).toMatchObject([{ tenant: TENANT, taskId: "real", sequence: 1 }]);
});
