// What the mesh's own credentials are not good for: a coordinator hears what the broker, agents and other coordinators say, and can put words
// into none of their mouths; whoever pushes accounts can do nothing else.
import { readFile } from "node:fs/promises";
import { credsAuthenticator, type NatsConnection } from "@nats-io/nats-core";
import { connect } from "@nats-io/transport-node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type CoordinatorTrust, readCoordinatorTrust } from "../../../lib/nats/trust/trust-folder.ts";
import { openTestNats, type TestNats } from "../../support/nats.ts";
import { testTrust } from "../../support/trust.ts";

let nats: TestNats;
let trust: CoordinatorTrust;
beforeAll(async () => {
  const made = await testTrust();
  nats = await openTestNats({ trust: made });
  trust = await readCoordinatorTrust(made.coordinatorDir);
});
afterAll(async () => {
  await nats[Symbol.asyncDispose]();
});

async function open(file: string): Promise<NatsConnection> {
  return await connect({
    servers: nats.url,
    authenticator: credsAuthenticator(await readFile(file)),
    reconnect: false,
  });
}

/** What the broker says to what a connection does. */
async function refusal(file: string, act: (connection: NatsConnection) => void): Promise<string> {
  await using connection = await open(file);
  const said: string[] = [];
  void (async () => {
    for await (const status of connection.status()) if (status.type === "error") said.push(status.error.message);
  })();
  act(connection);
  // The refusal comes before the answer to the first; who reads it has done so by the second.
  await connection.flush();
  await connection.flush();
  return said.join();
}

test.for([
  // What an agent would have said, or the broker.
  "mycel.agent.acme.worker.report",
  "mycel.agent.acme.worker.heartbeat",
  "live.acme.task.e",
  "hooked.acme.task",
  "audited.acme.writer",
  "$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.MYCEL_TASKS",
  "_AGENT_INBOX.acme.worker.x",
  "$SYS.REQ.CLAIMS.UPDATE",
  "anything.else",
])("a coordinator can't publish to %s", async (subject) => {
  const said = await refusal(trust.credentialsFile, (connection) => connection.publish(subject, "x"));
  expect(said).toContain(`Permissions Violation for Publish to "${subject}"`);
});

test.for([">", "out.>", "task.>", "timer.>", "$KV.>", "$JS.API.>", "$JS.ACK.>", "mycel.signal.>", "$SYS.>", "_R_.>"])(
  "a coordinator can't listen to %s",
  async (subject) => {
    const said = await refusal(trust.credentialsFile, (connection) => void connection.subscribe(subject));
    expect(said).toContain(`Permissions Violation for Subscription to "${subject}"`);
  },
);

test.for([
  "$SYS.REQ.SERVER.PING",
  "$SYS.REQ.ACCOUNT.PING.CONNZ",
  "$SYS.REQ.SERVER.PING.KICK",
  "$SYS.REQ.CLAIMS.DELETE",
  "$SYS.REQ.CLAIMS.LIST",
  "$SYS.REQ.CLAIMS.PACK",
  "$JS.API.STREAM.DELETE.MYCEL_TASKS",
])("whoever pushes accounts can't ask for %s", async (subject) => {
  const said = await refusal(trust.systemFile, (connection) => connection.publish(subject, "", { reply: "_INBOX.x" }));
  expect(said).toContain(`Permissions Violation for Publish to "${subject}"`);
});

test.for(["$SYS.>", "$SYS.ACCOUNT.*.CONNECT", ">"])("whoever pushes accounts can't listen to %s", async (subject) => {
  const said = await refusal(trust.systemFile, (connection) => void connection.subscribe(subject));
  expect(said).toContain(`Permissions Violation for Subscription to "${subject}"`);
});
