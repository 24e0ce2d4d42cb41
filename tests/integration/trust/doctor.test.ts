// What `mycel doctor` says of a server that trusts somebody.
import { expect, test } from "vitest";
import { checkNats } from "../../../cli/doctor/machine.ts";
import { openTestNats } from "../../support/nats.ts";
import { makeIn, testTrust } from "../../support/trust.ts";

test("a server that asks who one is, is looked into with a coordinator's credentials only", async () => {
  const trust = await testTrust();
  await using nats = await openTestNats({ trust });
  const env = { NATS_URL: nats.url };
  expect(await checkNats(env)).toMatchObject({
    state: "skipped",
    text: expect.stringContaining("asks for credentials (MYCEL_NATS_TRUST)"),
  });
  expect(await checkNats({ ...env, MYCEL_NATS_TRUST: trust.coordinatorDir })).toMatchObject({ state: "ok" });
  const { coordinatorDir } = await makeIn(nats.dataDir);
  expect(await checkNats({ ...env, MYCEL_NATS_TRUST: coordinatorDir })).toMatchObject({
    state: "broken",
    advice: "Correct MYCEL_NATS_TRUST, or NATS_URL.",
  });
});
