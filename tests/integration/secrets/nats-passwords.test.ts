// A password in a URL of NATS is told by no error: of a library's users, who hide nothing themselves, it would end up in the log.
import { expect, test } from "vitest";
import { NatsUnavailableError, openNats } from "../../../lib/nats/connection.ts";
import { defineAgent, runAgent } from "../../../sdk/agent/index.ts";
import { openTestNats } from "../../support/nats.ts";
import { startProcess } from "../../support/processes.ts";

const withPassword = (url: string): string => url.replace("nats://", "nats://me:hunter2hunter2@");

test("that there is no server is told without the password", async () => {
  const failed = await openNats({ servers: withPassword("nats://127.0.0.1:1"), name: "t" }).catch(
    (error: unknown) => error,
  );
  expect(failed).toBeInstanceOf(NatsUnavailableError);
  expect((failed as Error).message).toBe("no NATS server answers at nats://[redacted]@127.0.0.1:1");
});

test("an agent that cannot reach it is told so without the password", async () => {
  await using nats = await openTestNats();
  await using coordinator = await startProcess("services/coordinator/main.ts", {
    NATS_URL: nats.url,
    MYCEL_AGENT_NATS_URL: withPassword("nats://127.0.0.1:1"),
    MYCEL_LISTEN: "127.0.0.1:0",
  });
  const definition = defineAgent({ name: "a", capabilities: { echo: (input) => Promise.resolve(input) } });
  const options = { url: String(coordinator.ready["url"]), handleSignals: false, connectTimeoutMs: 6_000 };
  await expect(runAgent(definition, options)).rejects.toMatchObject({
    code: "NATS_UNREACHABLE",
    message: expect.stringMatching(/nats:\/\/\[redacted\]@127\.0\.0\.1:1: (?!.*hunter2)/) as string,
  });
});
