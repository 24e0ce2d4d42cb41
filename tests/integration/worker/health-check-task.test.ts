// The health-check task against real servers: what counts as available, why not, and the pace of many checks.
import { expect, test } from "vitest";
import { createOutbound } from "../../../lib/outbound/outbound.ts";
import { healthCheckTask } from "../../../services/worker/health-check/health-check-task.ts";
import { callCapability } from "../../support/handler-call.ts";
import { makeCertificate, openWebServer } from "../../support/web-server.ts";

const task = healthCheckTask(createOutbound({ allowPrivate: ["127.0.0.1"] }));

test("a target that answers is available", async () => {
  await using server = await openWebServer((_request, response) => response.end("all is well"));
  const { result, chunks, progress } = await callCapability(task, { target: server.url });
  const check = {
    index: 1,
    time: expect.stringMatching(/^\d{4}-.*Z$/),
    available: true,
    reason: "",
    message: "",
    status: 200,
    address: "127.0.0.1",
    url: `${server.url}/`,
    timings: {
      dnsMs: expect.any(Number),
      connectMs: expect.any(Number),
      firstByteMs: expect.any(Number),
      totalMs: expect.any(Number),
    },
  };
  expect(result).toEqual({
    check,
    checks: 1,
    availableChecks: 1,
    averageMs: expect.any(Number),
    maxMs: expect.any(Number),
  });
  expect(chunks).toEqual([check]);
  expect(progress).toEqual([{ fraction: 1, message: "1 of 1 available" }]);
});

test("a TCP target that takes the connection is available", async () => {
  await using server = await openWebServer(() => {});
  const { result } = await callCapability(task, { target: `tcp:127.0.0.1:${server.port}` });
  expect(result).toMatchObject({ check: { available: true, address: "127.0.0.1", url: "" }, availableChecks: 1 });
  expect((result as { check: object }).check).not.toHaveProperty("status");
  await server.closed();
});

test.for<[string, object, string, string]>([
  ["another status", {}, "STATUS", "the status is 500"],
  ["no status of the list", { statuses: [200] }, "STATUS", "the status is 500"],
  ["another body", { statuses: [500], bodyContains: "well" }, "BODY", 'the body does not contain "well"'],
])("a target with %s is not available", async ([, expected, reason, message]) => {
  await using server = await openWebServer((_request, response) => response.writeHead(500).end("all is lost"));
  const { result } = await callCapability(task, { target: server.url, expect: expected });
  expect(result).toMatchObject({
    check: { available: false, reason, message, status: 500 },
    availableChecks: 0,
  });
  expect(result).not.toHaveProperty("averageMs");
});

test("a target that meets every expectation is available", async () => {
  await using server = await openWebServer((_request, response) => response.writeHead(500).end("all is lost"));
  const expected = { statuses: [500], bodyContains: "is lost", maxLatencyMs: 60_000 };
  const { result } = await callCapability(task, { target: server.url, expect: expected });
  expect(result).toMatchObject({ check: { available: true } });
});

test("a target that is slower than expected is not available", async () => {
  await using server = await openWebServer((_request, response) => void setTimeout(() => response.end(), 30));
  const { result } = await callCapability(task, { target: server.url, expect: { maxLatencyMs: 10 } });
  expect(result).toMatchObject({
    check: {
      available: false,
      reason: "LATENCY",
      message: expect.stringMatching(/^the check took [\d.]+ ms, longer than 10 ms$/),
      status: 200,
    },
  });
});

test.for<[string, string, string]>([
  ["a name that does not exist", "http://a.invalid/", "HOST_NOT_FOUND"],
  ["nobody who listens", "http://127.0.0.1:1/", "CONNECT_FAILED"],
  ["a TCP port that nobody listens at", "tcp:127.0.0.1:1", "CONNECT_FAILED"],
])("%s is a result and no failure", async ([, target, reason]) => {
  const { result, failure } = await callCapability(task, { target });
  expect(failure).toBeUndefined();
  expect(result).toMatchObject({ check: { available: false, reason, message: expect.stringMatching(/./) }, checks: 1 });
});

test("a target that hangs is a result after the timeout, with the parts that it came to", async () => {
  await using server = await openWebServer(() => {});
  const { result } = await callCapability(task, { target: server.url, timeoutMs: 500 });
  expect(result).toMatchObject({
    check: {
      available: false,
      reason: "TIMEOUT",
      address: "127.0.0.1",
      timings: { connectMs: expect.any(Number), totalMs: expect.any(Number) },
    },
  });
});

test.for(["http://127.0.0.2/", "http://169.254.169.254/", "tcp:127.0.0.2:22", "http://[::ffff:7f00:2]/"])(
  "%s is refused and no result",
  async (target) => {
    const { outcome } = await callCapability(task, { target });
    expect(outcome).toMatchObject({ kind: "fail", failure: { reason: "ADDRESS_REFUSED", retryable: false } });
  },
);

test("a redirect to what is refused is refused", async () => {
  await using server = await openWebServer((_request, response) =>
    response.writeHead(302, { location: "http://169.254.169.254/" }).end(),
  );
  const { failure } = await callCapability(task, { target: server.url });
  expect(failure).toMatch(/^ADDRESS_REFUSED: address 169\.254\.169\.254 \(cloud metadata\) is refused/);
});

test("a certificate is told of, trusted or not, and held against the days that are expected", async () => {
  const days = (count: number): Date => new Date(Date.now() + count * 86_400_000);
  const certificate = await makeCertificate({ to: days(10.5) });
  await using server = await openWebServer((_request, response) => response.end(), { certificate });
  const trusting = healthCheckTask(createOutbound({ allowPrivate: ["127.0.0.1"], ca: [certificate.cert] }));
  const check = async (capability: typeof task, minCertificateDays: number): Promise<unknown> => {
    const { result } = await callCapability(capability, { target: server.url, expect: { minCertificateDays } });
    return (result as { check: unknown }).check;
  };
  expect(await check(trusting, 10)).toMatchObject({
    available: true,
    timings: { tlsMs: expect.any(Number) },
    certificate: { subject: "CN=a.test", daysLeft: 10, authorized: true, problem: "" },
  });
  expect(await check(trusting, 11)).toMatchObject({
    available: false,
    reason: "CERTIFICATE_EXPIRES",
    message: "the certificate is valid for 10 more days, less than 11",
  });
  expect(await check(task, 0)).toMatchObject({
    available: false,
    reason: "TLS_ERROR",
    message: `the certificate of 127.0.0.1:${server.port} is not trusted: DEPTH_ZERO_SELF_SIGNED_CERT`,
    certificate: { daysLeft: 10, authorized: false, problem: "DEPTH_ZERO_SELF_SIGNED_CERT" },
  });
});

test.for([
  ["00000101000000Z", "99999999999999Z", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"],
  ["20501301000000Z", "99991231235959Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"],
] as const)("a certificate from %s until %s is told as far as dates go", async ([from, until, validFrom, validTo]) => {
  const { cert, key } = await makeCertificate({ from: new Date("2050-01-01"), to: new Date("2051-01-01") });
  // As long as what it stands for; nobody vouches for the whole anyway.
  const forged = Buffer.from(cert.replaceAll(/-----[^-]+-----/g, ""), "base64")
    .toString("latin1")
    .replace("20500101000000Z", from)
    .replace("20510101000000Z", until);
  const certificate = {
    cert: `-----BEGIN CERTIFICATE-----\n${Buffer.from(forged, "latin1").toString("base64")}\n-----END CERTIFICATE-----\n`,
    key,
  };
  await using server = await openWebServer(() => {}, { certificate });
  const { result, failure } = await callCapability(task, { target: server.url });
  expect(failure).toBeUndefined();
  expect(result).toMatchObject({ check: { reason: "TLS_ERROR", certificate: { validFrom, validTo } } });
});

test("checks go on at their pace, each streamed, through good and bad times", async () => {
  let requests = 0;
  await using server = await openWebServer((_request, response) => {
    requests += 1;
    response.writeHead(requests === 2 ? 503 : 200).end();
  });
  const { result, chunks, progress } = await callCapability(task, { target: server.url, checks: 3, intervalMs: 100 });
  expect(chunks).toMatchObject([
    { index: 1, available: true },
    { index: 2, available: false, status: 503 },
    { index: 3, available: true },
  ]);
  expect(result).toMatchObject({ check: { index: 3 }, checks: 3, availableChecks: 2 });
  expect(progress.at(-1)).toEqual({ fraction: 1, message: "2 of 3 available" });
  const times = chunks.map((chunk) => Date.parse((chunk as { time: string }).time));
  expect(times[2]! - times[0]!).toBeGreaterThanOrEqual(190);
});

test("checks without an end stop when the task is canceled", async () => {
  const controller = new AbortController();
  await using server = await openWebServer((_request, response) => response.end());
  const { failure, chunks } = await callCapability(
    task,
    { target: server.url, checks: 0, intervalMs: 60_000 },
    { signal: controller.signal, onChunk: () => setImmediate(() => controller.abort(new Error("canceled"))) },
  );
  expect([failure, chunks.length]).toEqual(["HANDLER_ERROR: canceled", 1]);
});

test.for([
  ["never answers", 0, { check: { available: false, reason: "TIMEOUT" }, checks: 1, availableChecks: 0 }],
  ["answers no more", 1, { check: { index: 1, available: true }, checks: 1, availableChecks: 1 }],
] as const)("checks without an end of a target that %s end with a result in time", async ([, answers, result]) => {
  let requests = 0;
  await using server = await openWebServer((_request, response) => {
    requests += 1;
    if (requests <= answers) response.end();
  });
  const deadline = new Date(Date.now() + 2_000);
  const input = { target: server.url, checks: 0, intervalMs: 100, timeoutMs: 60_000 };
  const call = await callCapability(task, input, { deadline, signal: AbortSignal.timeout(4_000) });
  expect(call.failure).toBeUndefined();
  expect(call.result).toMatchObject(result);
  expect(call.chunks).toHaveLength(1);
});
