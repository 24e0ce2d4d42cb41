// What the guard lets nobody reach: every spelling of a private address, names that lead there, redirects, rebinding.
import { expect, test } from "vitest";
import type { OutboundError } from "../../../lib/outbound/outbound-error.ts";
import { createOutbound, type Outbound } from "../../../lib/outbound/outbound.ts";
import { openWebServer, type WebServer } from "../../support/web-server.ts";

async function refusal(outbound: Outbound, url: string, maxRedirects = 0): Promise<string> {
  return outbound.request({ url, maxRedirects }).then(
    ({ status }) => `answered ${status}`,
    (error: OutboundError) => `${error.code}: ${error.message}`,
  );
}

async function openInside(): Promise<WebServer> {
  return openWebServer((_request, response) => response.end("inside"));
}

test.for<[string, string]>([
  ["http://127.0.0.1", "address 127.0.0.1 (loopback)"],
  ["http://127.0.0.1.", "address 127.0.0.1 (loopback)"],
  ["http://2130706433", "address 127.0.0.1 (loopback)"],
  ["http://0177.0.0.1", "address 127.0.0.1 (loopback)"],
  ["http://017700000001", "address 127.0.0.1 (loopback)"],
  ["http://0x7f.0.0.1", "address 127.0.0.1 (loopback)"],
  ["http://0x7f000001", "address 127.0.0.1 (loopback)"],
  ["http://127.1", "address 127.0.0.1 (loopback)"],
  ["http://0", "address 0.0.0.0 (unspecified)"],
  ["http://[::1]", "address ::1 (loopback)"],
  ["http://[::]", "address :: (unspecified)"],
  ["http://[::ffff:127.0.0.1]", "address 127.0.0.1 (loopback)"],
  ["http://[::ffff:7f00:1]", "address 127.0.0.1 (loopback)"],
  ["http://[::127.0.0.1]", "address ::7f00:1 (tunnelled)"],
  ["http://[64:ff9b::127.0.0.1]", "address 64:ff9b::7f00:1 (loopback)"],
  ["http://[64:ff9b::7f00:1]", "address 64:ff9b::7f00:1 (loopback)"],
  ["http://[2002:7f00:1::]", "address 2002:7f00:1:: (tunnelled)"],
])("%s is refused before anything is connected", async ([origin, subject]) => {
  await using inside = await openInside();
  const line = `ADDRESS_REFUSED: ${subject} is refused: it is not public; the operator can allow it with MYCEL_OUTBOUND_ALLOW`;
  expect(await refusal(createOutbound(), `${origin}:${inside.port}/`)).toBe(line);
  expect(() => createOutbound().checkUrl(`${origin}:${inside.port}/`)).toThrow(line.split(": ").slice(1).join(": "));
  expect(inside.connections()).toBe(0);
});

test.for(["http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/", "http://100.100.100.200/"])(
  "the metadata service %s is refused even where its network is allowed",
  async (url) => {
    const outbound = createOutbound({ allowPrivate: ["0.0.0.0/0", "::/0"] });
    expect(await refusal(outbound, url)).toMatch(/^ADDRESS_REFUSED: address \S+ \(cloud metadata\) is refused/);
  },
);

// With a dot at its end, not every system knows the name.
test.for(["localhost", "localhost.", "LOCALHOST"])("the name %s leads nowhere", async (name) => {
  await using inside = await openInside();
  expect(await refusal(createOutbound(), `http://${name}:${inside.port}/`)).toMatch(
    /^ADDRESS_REFUSED: host localhost\.? has the address \S+ \(loopback\), which is refused|^HOST_NOT_FOUND: host localhost\. /,
  );
  expect(inside.connections()).toBe(0);
});

test("a name is refused whole if one of its addresses is", async () => {
  await using inside = await openInside();
  const outbound = createOutbound({ lookup: async () => ["8.8.8.8", "2606:4700::1", "127.0.0.1"] });
  expect(await refusal(outbound, `http://mixed.test:${inside.port}/`)).toContain(
    "host mixed.test has the address 127.0.0.1 (loopback)",
  );
  expect(inside.connections()).toBe(0);
});

test("a name service that gives no address is told of", async () => {
  const asked = (answer: readonly string[]): Outbound => createOutbound({ lookup: async () => answer });
  expect(await refusal(asked(["elsewhere"]), "http://a.test/")).toBe(
    "DNS_FAILED: the name service gave no address for a.test",
  );
  expect(await refusal(asked([]), "http://a.test/")).toBe("HOST_NOT_FOUND: host a.test has no address");
  expect(await refusal(createOutbound(), "http://a.invalid/")).toBe("HOST_NOT_FOUND: host a.invalid was not found");
});

test("a name that changes its address after the check is reached where it was checked", async () => {
  await using allowed = await openWebServer((_request, response) => response.end("allowed"), { host: "127.0.0.2" });
  await using inside = await openWebServer((_request, response) => response.end("inside"), { port: allowed.port });
  const answers = ["127.0.0.2"];
  let lookups = 0;
  const outbound = createOutbound({
    allowPrivate: ["127.0.0.2"],
    lookup: async () => {
      lookups += 1;
      return [answers.shift() ?? "127.0.0.1"];
    },
  });
  const { body, facts } = await outbound.request({ url: `http://rebind.test:${allowed.port}/` });
  expect([Buffer.from(body).toString(), facts.address, lookups]).toEqual(["allowed", "127.0.0.2", 1]);
  expect(await refusal(outbound, `http://rebind.test:${allowed.port}/`)).toContain("127.0.0.1 (loopback)");
  expect(inside.connections()).toBe(0);
});

test("a name that changes its address between two hops is checked anew", async () => {
  await using inside = await openInside();
  await using allowed = await openWebServer(
    (_request, response) => response.writeHead(307, { location: `http://rebind.test:${inside.port}/` }).end(),
    { host: "127.0.0.2" },
  );
  const answers = ["127.0.0.2"];
  const outbound = createOutbound({
    allowPrivate: ["127.0.0.2"],
    lookup: async () => [answers.shift() ?? "127.0.0.1"],
  });
  expect(await refusal(outbound, `http://rebind.test:${allowed.port}/`, 3)).toContain("127.0.0.1 (loopback)");
  expect(inside.connections()).toBe(0);
});

test.for<[string, string]>([
  ["a plain address", "http://127.0.0.1"],
  ["a number", "http://2130706433"],
  ["a mapped address", "http://[::ffff:7f00:1]"],
  ["no scheme", "//127.0.0.1"],
])("a redirect to %s inside is refused", async ([, origin]) => {
  await using inside = await openInside();
  await using allowed = await openWebServer(
    (_request, response) => response.writeHead(302, { location: `${origin}:${inside.port}/` }).end("go"),
    { host: "127.0.0.2" },
  );
  const outbound = createOutbound({ allowPrivate: ["127.0.0.2"] });
  expect(await refusal(outbound, allowed.url, 5)).toContain("ADDRESS_REFUSED: address 127.0.0.1 (loopback)");
  expect(inside.connections()).toBe(0);
});

test("a redirect that is not followed is a response like any other", async () => {
  await using server = await openWebServer((_request, response) =>
    response.writeHead(302, { location: "http://169.254.169.254/" }).end("go"),
  );
  const { status, headers, redirects } = await createOutbound({ allowPrivate: ["127.0.0.1"] }).request({
    url: server.url,
  });
  expect([status, headers["location"], redirects]).toEqual([302, "http://169.254.169.254/", []]);
});

test("a TCP check is refused as a request is", async () => {
  await using inside = await openInside();
  const outbound = createOutbound();
  const probe = (host: string): Promise<string> =>
    outbound.probe({ host, port: inside.port }).then(
      () => "connected",
      (error: OutboundError) => error.code,
    );
  expect(await Promise.all(["127.0.0.1", "0x7f.1", "::ffff:127.0.0.1", "localhost"].map(probe))).toEqual(
    Array.from({ length: 4 }, () => "ADDRESS_REFUSED"),
  );
  expect(inside.connections()).toBe(0);
});

test("what the operator allows is reached by address, range and name", async () => {
  await using inside = await openInside();
  const status = async (allowed: string, host: string): Promise<string> =>
    refusal(createOutbound({ allowPrivate: [allowed] }), `http://${host}:${inside.port}/`);
  expect(await status("127.0.0.0/8", "127.0.0.1")).toBe("answered 200");
  expect(await status("127.0.0.1", "2130706433")).toBe("answered 200");
  expect(await status("localhost", "localhost")).toBe("answered 200");
  expect(await status("localhost", "127.0.0.1")).toContain("ADDRESS_REFUSED");
  expect(inside.connections()).toBe(3);
});

test("another address of a name is tried when one takes no connection", async () => {
  await using server = await openInside();
  const outbound = createOutbound({
    allowPrivate: ["127.0.0.0/8", "::1"],
    lookup: async () => ["127.0.0.3", "::1", "127.0.0.1"],
  });
  const { facts } = await outbound.request({ url: `http://many.test:${server.port}/` });
  expect(facts.address).toBe("127.0.0.1");
});
