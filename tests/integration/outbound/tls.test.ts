// TLS: what is told of a certificate, and that nothing is sent to whom it does not name.
import { expect, test } from "vitest";
import type { OutboundError } from "../../../lib/outbound/outbound-error.ts";
import { createOutbound, type Outbound } from "../../../lib/outbound/outbound.ts";
import { makeCertificate, openWebServer, type TestCertificate } from "../../support/web-server.ts";

const DAY_MS = 86_400_000;

function outboundWith(ca: readonly string[] | undefined): Outbound {
  return createOutbound({
    allowPrivate: ["127.0.0.0/8"],
    lookup: async () => ["127.0.0.1"],
    ...(ca === undefined ? {} : { ca }),
  });
}

test("a trusted certificate is told of, with the time of the handshake", async () => {
  const to = new Date(Math.floor((Date.now() + 10.5 * DAY_MS) / 1000) * 1000);
  const certificate = await makeCertificate({ to });
  await using server = await openWebServer((_request, response) => response.end("hi"), { certificate });
  for (const url of [server.url, `https://a.test:${server.port}/`, `https://A.test.:${server.port}/`]) {
    const { status, facts } = await outboundWith([certificate.cert]).request({ url });
    expect([url, status]).toEqual([url, 200]);
    expect(facts.tlsMs).toBeGreaterThan(0);
    expect(facts.certificate).toMatchObject({
      subject: "CN=a.test",
      issuer: "CN=a.test",
      validTo: to,
      daysLeft: 10,
      authorized: true,
      problem: "",
    });
  }
});

test.for<
  [string, string, (cert: TestCertificate) => readonly string[] | undefined, { from?: Date; to?: Date }, string]
>([
  ["nobody vouches for", "a.test", () => undefined, {}, "DEPTH_ZERO_SELF_SIGNED_CERT"],
  [
    "has expired",
    "a.test",
    ({ cert }) => [cert],
    { from: new Date("2001-01-01"), to: new Date("2002-01-01") },
    "CERT_HAS_EXPIRED",
  ],
  [
    "is not valid yet",
    "a.test",
    ({ cert }) => [cert],
    { from: new Date("2998-01-01"), to: new Date("2999-01-01") },
    "CERT_NOT_YET_VALID",
  ],
  ["names another host", "b.test", ({ cert }) => [cert], {}, "ERR_TLS_CERT_ALTNAME_INVALID"],
  ["names another address", "127.0.0.2", ({ cert }) => [cert], {}, "ERR_TLS_CERT_ALTNAME_INVALID"],
])(
  "a certificate that %s is refused and told of, and nothing is sent",
  async ([, host, trusted, validity, problem]) => {
    const certificate = await makeCertificate(validity);
    let requests = 0;
    await using server = await openWebServer(
      (_request, response) => {
        requests += 1;
        response.end();
      },
      { certificate, host: "0.0.0.0" },
    );
    const error = await outboundWith(trusted(certificate))
      .request({ url: `https://${host}:${server.port}/` })
      .catch((reason: unknown) => reason as OutboundError);
    expect(error).toMatchObject({
      code: "TLS_ERROR",
      message: `the certificate of ${host}:${server.port} is not trusted: ${problem}`,
      facts: { certificate: { subject: "CN=a.test", authorized: false, problem }, tlsMs: expect.any(Number) },
    });
    await server.closed();
    expect(requests).toBe(0);
  },
);

test("a certificate that is over has a negative number of days left", async () => {
  const certificate = await makeCertificate({ from: new Date("2001-01-01"), to: new Date(Date.now() - 1.5 * DAY_MS) });
  await using server = await openWebServer(() => {}, { certificate });
  const error = await outboundWith([certificate.cert])
    .request({ url: server.url })
    .catch((reason: unknown) => reason as OutboundError);
  expect(error).toMatchObject({ facts: { certificate: { daysLeft: -2 } } });
});

test("a server that does not speak TLS is told of", async () => {
  await using server = await openWebServer((_request, response) => response.end());
  await expect(outboundWith(undefined).request({ url: `https://127.0.0.1:${server.port}/` })).rejects.toMatchObject({
    code: "TLS_ERROR",
    message: expect.stringMatching(/^the TLS handshake with 127\.0\.0\.1:\d+ failed: \w+$/),
  });
});

test("no redirect leads from https to http", async () => {
  const certificate = await makeCertificate();
  await using plain = await openWebServer((_request, response) => response.end());
  await using server = await openWebServer(
    (_request, response) => response.writeHead(302, { location: plain.url }).end(),
    { certificate },
  );
  await expect(outboundWith([certificate.cert]).request({ url: server.url, maxRedirects: 1 })).rejects.toMatchObject({
    code: "REDIRECT_REFUSED",
    message: `the redirect of ${server.url} leads from https to http`,
  });
  expect(plain.connections()).toBe(0);
});
