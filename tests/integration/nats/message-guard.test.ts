// One message can't make a connection deaf, whatever its callback does with it.

import type { NatsConnection } from "@nats-io/nats-core";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openNats } from "../../../lib/nats/connection.ts";
import { openRawNats, type RawNats } from "../../fuzz/raw-nats.ts";
import { openTestNats, type TestNats } from "../../support/nats.ts";

let nats: TestNats;
let anybody: RawNats;
let connection: NatsConnection;
let thrown: unknown[];
beforeEach(async () => {
  nats = await openTestNats();
  anybody = await openRawNats(nats.url);
  thrown = [];
  connection = await openNats({ servers: nats.url, name: "test", onThrown: (error) => thrown.push(error) });
});
afterEach(async () => {
  await connection.close();
  await anybody[Symbol.asyncDispose]();
  await nats[Symbol.asyncDispose]();
});

/** Resolves when the connection has answered. */
async function answer(): Promise<string> {
  return (await connection.request("asked", "", { timeout: 5_000 })).string();
}

test.for([
  ["name is none", "no name: x"],
  ["value goes over two lines", "A: x\ry"],
])("a message with a header whose %s is dropped without a word", async ([, field]) => {
  const codes: unknown[] = [];
  connection.subscribe("heard", { callback: (_, { headers }) => void codes.push(headers?.code) });
  connection.subscribe("asked", { callback: (_, message) => void message.respond("well") });
  await connection.flush();

  const header = Buffer.from(`NATS/1.0\r\n${field}\r\n\r\n`);
  await anybody.publish({ subject: "heard", body: new Uint8Array(), header });

  expect(await answer()).toBe("well");
  expect([codes, thrown]).toEqual([[], []]);
});

test("what a callback throws is told, and the next message is taken", async () => {
  const mistake = new TypeError("a mistake");
  connection.subscribe("heard", {
    callback: () => {
      throw mistake;
    },
  });
  connection.subscribe("asked", { callback: (_, message) => void message.respond("well") });
  await connection.flush();

  await anybody.publish({ subject: "heard", body: new Uint8Array() });

  expect(await answer()).toBe("well");
  expect(thrown).toEqual([mistake]);
});
