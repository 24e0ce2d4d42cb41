import { describe, expect, test } from "vitest";
import { ConfigError } from "../../../lib/config/config-error.ts";
import { agentTtlMsOf, maxWaitMsOf, readConfig } from "../../../services/coordinator/config.ts";

describe("the environment of a coordinator", () => {
  test("may be empty", () => {
    expect(readConfig({})).toMatchObject({
      host: "127.0.0.1",
      port: 8080,
      natsUrls: ["nats://127.0.0.1:4222"],
      agentNatsUrls: ["nats://127.0.0.1:4222"],
      replicas: 1,
      retentionMs: 7 * 86_400_000,
      leaseMs: 30_000,
      queueDepthLimit: 10_000,
    });
  });

  test.for([
    ["MYCEL_LISTEN", "8080x", "must be an address as host:port"],
    ["MYCEL_LISTEN", "127.0.0.1:70000", "must be an address as host:port"],
    ["MYCEL_REPLICAS", "2", "1, 3 or 5"],
    ["MYCEL_REPLICAS", "three", "whole number"],
    ["MYCEL_LEASE", "10", "duration from 500ms"],
    ["MYCEL_LEASE", "soon", "duration"],
    ["MYCEL_QUEUE_LIMIT", "0", "from 1"],
    ["MYCEL_MAX_BYTES", "1.5", "whole number"],
    ["MYCEL_RETENTION", "59s", "duration from 1m"],
    ["MYCEL_OUTBOUND_ALLOW", "10.0.0.0/8, http://x", 'MYCEL_OUTBOUND_ALLOW (outbound.allow) has "http://x"'],
  ])("%s=%s is refused in one line that says what is allowed", ([name, value, text]) => {
    const read = (): unknown => readConfig({ [name!]: value });
    expect(read).toThrow(ConfigError);
    expect(read).toThrow(text);
    expect(read).toThrow(expect.objectContaining({ message: expect.not.stringContaining("\n") }));
  });

  test.for([
    ["127.0.0.1:8080", ["127.0.0.1", 8080]],
    ["[::1]:9", ["::1", 9]],
    ["localhost:0", ["localhost", 0]],
    [":8080", ["127.0.0.1", 8080]],
    ["8080", ["127.0.0.1", 8080]],
  ] as const)("%s is an address", ([text, parts]) => {
    const { host, port } = readConfig({ MYCEL_LISTEN: text });
    expect([host, port]).toEqual(parts);
  });

  test.for([
    ["500ms", 500],
    ["2s", 2_000],
    ["1.5m", 90_000],
    ["750", 750],
  ] as const)("a lease of %s is %i ms", ([text, ms]) => {
    expect(readConfig({ MYCEL_LEASE: text }).leaseMs).toBe(ms);
  });

  test("whatever waits ends before its log does", () => {
    for (const retention of ["2m", "1h", "7d", "30d"]) {
      const config = readConfig({ MYCEL_RETENTION: retention });
      expect(maxWaitMsOf(config)).toBeLessThan(config.retentionMs);
    }
  });

  test("an agent may miss several heartbeats before it counts as lost", () => {
    expect(agentTtlMsOf(readConfig({}))).toBe(30_000);
    expect(agentTtlMsOf(readConfig({ MYCEL_HEARTBEAT: "100" }))).toBe(2_000);
  });
});
