// Bounds of the settings, and what a server's log is boiled down to.
import { describe, expect, test } from "vitest";

import { checkSettings, type NatsServerSettings } from "../../../lib/nats/server/server-config.ts";
import { explainServerLog } from "../../../lib/nats/server/server-log.ts";

describe("a setting out of range is refused by name, value and range", () => {
  test.for<[NatsServerSettings, string]>([
    [{ port: 0 }, "port 0 must be from 1 to 65535, or -1 for a free port"],
    [{ port: 65_536 }, "port 65536 must be"],
    [{ websocket: { port: 1.5 } }, "websocket.port 1.5 must be"],
    [{ syncInterval: "often" }, 'syncInterval "often" must be "always" or a duration such as "10s"'],
    [{ maxFileBytes: 0 }, "maxFileBytes 0 must be a whole number of bytes, at least 1"],
    [{ host: 'a"b' }, "must be a host name or an IP address"],
  ])("%j", ([settings, message]) => {
    expect(() => checkSettings(settings)).toThrow(message);
  });
});

describe("the cause of a failed start", () => {
  test.for([
    [
      "[1] 2026/11/21 03:52:28 [FTL] Error listening on port: listen tcp 127.0.0.1:4222: bind: address already in use",
      "could not listen on 127.0.0.1:4222: the address is already in use",
    ],
    ['nats-server: c.conf:2:44: unknown field "foo"\n', 'ended during its start: c.conf:2:44: unknown field "foo"'],
    [
      "[1] x [INF] Starting\n[1] x [FTL] Can't start JetStream: no space\n",
      "ended during its start: Can't start JetStream: no space",
    ],
    ["", "ended during its start without saying why"],
  ] as const)("%j", ([log, cause]) => {
    expect(explainServerLog(log)).toBe(cause);
  });
});
