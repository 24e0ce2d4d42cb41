// How a listener's options are checked, and how its failures to open read.
import { expect, test } from "vitest";
import { ListenError } from "../../../lib/rpc/listener/listen-error.ts";
import { resolveLimits } from "../../../lib/rpc/listener/limits.ts";
import { openListener } from "../../../lib/rpc/listener/listener.ts";

test("the cap per peer follows the cap of all", () => {
  expect(resolveLimits({ maxConnections: 7 })).toMatchObject({ maxConnections: 7, maxConnectionsPerPeer: 7 });
});

test.for([
  ["maxConnections", 0],
  ["maxConnectionsPerPeer", 1.5],
  ["firstByteTimeoutMs", 0],
  ["headersTimeoutMs", Number.POSITIVE_INFINITY],
  ["maxHeaderBytes", 100],
  ["maxConcurrentStreams", Number.NaN],
  ["pingTimeoutMs", -1],
] as const)("%s = %d is refused with its range", ([name, value]) => {
  expect(() => resolveLimits({ [name]: value })).toThrow(
    new RegExp(`^${name} must be a whole number from \\d+ to \\d+, got ${value}$`),
  );
});

test("a whole request cannot have less time than its headers", () => {
  expect(() => resolveLimits({ requestTimeoutMs: 100, headersTimeoutMs: 200 })).toThrow(/at least headersTimeoutMs/);
});

test.for([-1, 65_536, 1.5])("port %d is refused", async (port) => {
  await expect(openListener({ handler: () => undefined, port })).rejects.toThrow(`got ${port}`);
});

test("a negative grace is refused and drains nothing", async () => {
  await using listener = await openListener({ handler: (_, response) => response.end() });
  await expect(listener.drain(-1)).rejects.toThrow("got -1");
  expect((await fetch(listener.url)).status).toBe(200);
});

test.for([
  ["EADDRINUSE", "PORT_TAKEN", "port 80 on ::1 is already in use"],
  ["EACCES", "PORT_PRIVILEGED", "no permission to listen on port 80 on ::1; ports below 1024 usually need privileges"],
  ["EADDRNOTAVAIL", "ADDRESS_UNAVAILABLE", "cannot listen on ::1: this machine does not have that address"],
  ["ENOTFOUND", "ADDRESS_UNAVAILABLE", "cannot listen on ::1: this machine does not have that address"],
  ["EMFILE", "LISTEN_FAILED", "cannot listen on port 80 on ::1: cause of EMFILE"],
])("%s becomes %s in one line", ([systemCode, code, message]) => {
  const cause = Object.assign(new Error(`cause of ${systemCode}`), { code: systemCode });
  expect(new ListenError("::1", 80, cause)).toMatchObject({
    name: "ListenError",
    code,
    message,
    host: "::1",
    port: 80,
  });
});
