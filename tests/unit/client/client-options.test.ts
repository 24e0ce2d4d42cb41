// What a client says about options that are wrong.
import { expect, test } from "vitest";
import { type ClientOptions, MycelError, createClient } from "../../../sdk/client/index.ts";

test.for<[ClientOptions, string]>([
  [{}, "url or urls must be given, and only one of them"],
  [{ url: "http://a", urls: ["http://b"] }, "url or urls must be given, and only one of them"],
  [{ urls: [] }, "urls must name at least one coordinator"],
  [{ url: "localhost:8080" }, 'url must be like http://127.0.0.1:8080, got "localhost:8080"'],
  [{ url: "http://a", timeoutMs: 0 }, "timeoutMs must be from 1 to 86400000, got 0"],
  [{ url: "http://a", timeoutMs: Number.NaN }, "timeoutMs must be from 1 to 86400000, got NaN"],
  [{ url: "http://a", retry: { attempts: 0 } }, "retry.attempts must be from 1 to Infinity, got 0"],
  [{ url: "http://a", retry: { initialMs: 0 } }, "retry.initialMs must be from 1 to 60000, got 0"],
  [
    { url: "http://a", retry: { initialMs: 500, maximumMs: 499 } },
    "retry.maximumMs must be from 500 to 600000, got 499",
  ],
  [{ url: "http://a", compress: 0 }, "compress must be from 1 to 16777216, got 0"],
  [{ url: "http://a", breaker: { failures: 0 } }, "breaker.failures must be from 1 to 1000000, got 0"],
  [{ url: "http://a", breaker: { failures: 1.5 } }, "breaker.failures must be a whole number, got 1.5"],
  [
    { url: "http://a", breaker: { failureRatio: 1 } },
    "breaker.failureRatio must be between 0 and 1, both excluded, got 1",
  ],
  [{ url: "http://a", breaker: { patienceMs: -1 } }, "breaker.patienceMs must be from 0 to 600000, got -1"],
  [{ url: "http://a", breaker: { openMs: 0 } }, "breaker.openMs must be from 1 to 3600000, got 0"],
  [{ url: "http://a", breaker: { probeMs: 50 } }, "breaker.probeMs must be 0 or from 100 to 600000, got 50"],
  [{ url: "http://a", headers: { "x a": "1" } }, 'headers must be such as HTTP can carry, "x a" is not'],
  [{ url: "http://a", headers: { "x-a": "1\n2" } }, 'headers must be such as HTTP can carry, "x-a" is not'],
  [
    { url: "http://a", headers: { "x-a": "€" }, transport: "connect" },
    'headers must be such as HTTP can carry, "x-a" is not',
  ],
  [{ url: "http://a", transport: "soap" as never }, 'transport must be "grpc", "connect" or "grpc-web", got "soap"'],
])("refuses %o", ([options, message]) => {
  let thrown: unknown;
  try {
    createClient(options);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(MycelError);
  expect(thrown).toMatchObject({ code: "invalid_argument", reason: "INVALID_OPTION", message });
});

test("connects to nobody before the first call", async () => {
  await using client = createClient({ url: "http://127.0.0.1:1" });
  await expect(client.submit("", 1)).rejects.toMatchObject({ message: "type must not be empty" });
  await expect(client.submit("echo", 1, { delayMs: 1, startTime: new Date() })).rejects.toThrow(
    "delayMs and startTime exclude each other",
  );
  await expect(client.submit("echo", 1, { priority: "urgent" as never })).rejects.toThrow(
    'priority must be one of low, normal, high, critical, got "urgent"',
  );
});
