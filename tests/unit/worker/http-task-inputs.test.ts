// What the tasks that go out over HTTP accept: every violation at once, in one line.
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ValueSchema } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { WebhookInputSchema } from "../../../gen/mycel/tasks/v1/webhook_pb.ts";
import { createOutbound } from "../../../lib/outbound/outbound.ts";
import { healthCheckTask } from "../../../services/worker/health-check/health-check-task.ts";
import { readCheckTarget } from "../../../services/worker/health-check/check-target.ts";
import { webhookTask } from "../../../services/worker/webhook/webhook-task.ts";
import { packMessage } from "../../../sdk/tasks/index.ts";
import { callCapability } from "../../support/handler-call.ts";

const outbound = createOutbound({ lookup: () => Promise.reject(new Error("no name is looked up here")) });
const url = "http://example.org/";
const METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, QUERY";

test.for<[string, unknown, string]>([
  ["nothing at all", undefined, "url: must be given"],
  ["no URL", { url: "example.org" }, 'url: "example.org" is no URL'],
  ["another scheme", { url: "ftp://example.org" }, 'url: the URL\'s scheme is "ftp", must be http or https'],
  [
    "credentials",
    { url: "http://u:p@example.org" },
    "url: the URL carries a user name or password; send an authorization header",
  ],
  ["a method", { url, method: "CONNECT" }, `method: must be one of ${METHODS}, is "CONNECT"`],
  ["headers of the connection", { url, headers: { Host: "x" } }, "headers.Host: is not for callers to set"],
  ["a header twice", { url, headers: { a: "b", A: "c" } }, "headers.A: is given twice"],
  [
    "a value with a line break",
    { url, headers: { a: "b\r\nc: d" } },
    "headers.a: has a character that HTTP does not carry",
  ],
  [
    "too many headers",
    { url, headers: Object.fromEntries(Array.from({ length: 65 }, (_, index) => [`a${index}`, "b"])) },
    "headers: must have at most 64 entries, has 65",
  ],
  ["a body of GET", { url, method: "GET", text: "x" }, "text: must be left out: a GET request has no body"],
  ["two bodies", { url, text: "x", json: 1 }, "text: cannot stand beside json: give only one of json, text, bytes"],
  [
    "numbers out of range",
    { url, timeoutMs: 0, maxResponseBytes: 10_000_001, maxRedirects: 21, expectedStatuses: [200, 99] },
    "timeoutMs: must be a whole number from 1 to 600000, is 0; " +
      "maxResponseBytes: must be a whole number from 0 to 10000000, is 10000001; " +
      "maxRedirects: must be a whole number from 0 to 20, is 21; " +
      "expectedStatuses[1]: must be a whole number from 100 to 599, is 99",
  ],
])("a webhook with %s is refused", async ([, input, line]) => {
  expect((await callCapability(webhookTask(outbound), input)).failure).toBe(`INVALID_INPUT: invalid input: ${line}`);
});

test.for<[string, MessageInitShape<typeof ValueSchema>]>([
  ["no number", { kind: { case: "numberValue", value: Number.NaN } }],
  ["no value", {}],
])("a webhook whose JSON body is %s, which only binary Protobuf can say, is refused", async ([, value]) => {
  const input = packMessage(WebhookInputSchema, { url, body: { case: "json", value } });
  expect((await callCapability(webhookTask(outbound), input)).failure).toBe(
    "INVALID_INPUT: invalid input: json: must be a JSON value",
  );
});

const target = "https://example.org/";

test.for<[string, unknown, string]>([
  ["nothing at all", {}, "target: must be given"],
  ["no target", { target: "example.org" }, 'target: "example.org" is no URL'],
  ["a port that is none", { target: "tcp:example.org:0" }, "target: the port is 0, must be from 1 to 65535"],
  ["no port", { target: "tcp:example.org" }, "target: the port is 0, must be from 1 to 65535"],
  ["no host", { target: "tcp::80" }, 'target: "" is no host'],
  ["a method", { target, method: "POST" }, 'method: must be one of GET, HEAD, OPTIONS, is "POST"'],
  [
    "numbers out of range",
    {
      target,
      timeoutMs: 60_001,
      maxRedirects: -1,
      checks: 100_001,
      intervalMs: 99,
      expect: { statuses: [600], maxLatencyMs: 0, minCertificateDays: 3_651, bodyContains: "x".repeat(1_025) },
    },
    "timeoutMs: must be a whole number from 1 to 60000, is 60001; " +
      "maxRedirects: must be a whole number from 0 to 20, is -1; " +
      "checks: must be a whole number from 0 to 100000, is 100001; " +
      "intervalMs: must be a whole number from 100 to 3600000, is 99; " +
      "expect.statuses[0]: must be a whole number from 100 to 599, is 600; " +
      "expect.bodyContains: must have at most 1024 characters, has 1025; " +
      "expect.maxLatencyMs: must be a whole number from 1 to 60000, is 0; " +
      "expect.minCertificateDays: must be a whole number from 0 to 3650, is 3651",
  ],
  [
    "what TCP does not have",
    {
      target: "tcp:example.org:22",
      method: "GET",
      headers: { a: "b" },
      maxRedirects: 0,
      expect: { statuses: [200], bodyContains: "x", minCertificateDays: 1 },
    },
    "method: must be left out: the target is tcp; headers: must be left out: the target is tcp; " +
      "maxRedirects: must be left out: the target is tcp; expect.statuses: must be left out: the target is tcp; " +
      "expect.bodyContains: must be left out: the target is tcp; " +
      "expect.minCertificateDays: must be left out: the target is not https",
  ],
  [
    "a certificate of http",
    { target: url, expect: { minCertificateDays: 1 } },
    "expect.minCertificateDays: must be left out: the target is not https",
  ],
  [
    "a body of HEAD",
    { target, method: "HEAD", expect: { bodyContains: "x" } },
    "expect.bodyContains: must be left out: the response to HEAD has no body",
  ],
])("a health check with %s is refused", async ([, input, line]) => {
  expect((await callCapability(healthCheckTask(outbound), input)).failure).toBe(
    `INVALID_INPUT: invalid input: ${line}`,
  );
});

test.for<[string, unknown]>([
  ["https://example.org/a?b", { kind: "http", url: "https://example.org/a?b", secure: true }],
  ["tcp:example.org:22", { kind: "tcp", host: "example.org", port: 22 }],
  ["tcp://example.org:22", { kind: "tcp", host: "example.org", port: 22 }],
  ["TCP://example.org:22/", { kind: "tcp", host: "example.org", port: 22 }],
  ["tcp:[::1]:22", { kind: "tcp", host: "::1", port: 22 }],
  ["tcp:10.0.0.1:65535", { kind: "tcp", host: "10.0.0.1", port: 65_535 }],
])("the target %s is read", ([text, read]) => {
  expect(readCheckTarget(text)).toEqual(read);
});
