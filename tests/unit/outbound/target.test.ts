// Which URLs an outbound request may name, and that every spelling of an address is that address.
import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { OutboundError } from "../../../lib/outbound/outbound-error.ts";
import { readHostPort, readUrl } from "../../../lib/outbound/target.ts";

function refusal(read: () => unknown): string {
  try {
    read();
  } catch (error) {
    return `${(error as OutboundError).code}: ${(error as Error).message}`;
  }
  return "accepted";
}

test.for<[string, string, string | undefined, number]>([
  ["http://example.org", "example.org", undefined, 80],
  ["https://example.org", "example.org", undefined, 443],
  ["https://EXAMPLE.org:8443/x#y", "example.org", undefined, 8443],
  ["http://example.org.", "example.org.", undefined, 80],
  ["http://localhost:1", "localhost", undefined, 1],
  ["http://bücher.example:65535", "xn--bcher-kva.example", undefined, 65535],
  ["http://127.0.0.1", "127.0.0.1", "127.0.0.1", 80],
  ["http://127.0.0.1./", "127.0.0.1", "127.0.0.1", 80],
  ["http://2130706433/", "127.0.0.1", "127.0.0.1", 80],
  ["http://0177.0.0.1/", "127.0.0.1", "127.0.0.1", 80],
  ["http://017700000001/", "127.0.0.1", "127.0.0.1", 80],
  ["http://0x7f000001/", "127.0.0.1", "127.0.0.1", 80],
  ["http://0x7f.0.0.1/", "127.0.0.1", "127.0.0.1", 80],
  ["http://127.1/", "127.0.0.1", "127.0.0.1", 80],
  ["http://127.0.1/", "127.0.0.1", "127.0.0.1", 80],
  ["http://0/", "0.0.0.0", "0.0.0.0", 80],
  ["http://%31%32%37.0.0.1/", "127.0.0.1", "127.0.0.1", 80],
  ["http://１２７。0。0。1/", "127.0.0.1", "127.0.0.1", 80],
  ["http:\\\\127.0.0.1\\x", "127.0.0.1", "127.0.0.1", 80],
  ["http://[::1]:8080/", "::1", "::1", 8080],
  ["http://[::ffff:127.0.0.1]/", "::ffff:7f00:1", "127.0.0.1", 80],
  ["http://[::ffff:7f00:1]/", "::ffff:7f00:1", "127.0.0.1", 80],
  ["http://[0:0:0:0:0:ffff:7f00:1]/", "::ffff:7f00:1", "127.0.0.1", 80],
])("%s leads to %s", ([text, host, literal, port]) => {
  const target = readUrl(text);
  expect([target.host, target.literal?.text, target.port]).toEqual([host, literal, port]);
});

test.for<[string, string]>([
  ["", 'INVALID_URL: "" is no URL'],
  ["example.org", 'INVALID_URL: "example.org" is no URL'],
  ["/path", 'INVALID_URL: "/path" is no URL'],
  ["http://", 'INVALID_URL: "http://" is no URL'],
  ["ftp://example.org", 'INVALID_URL: the URL\'s scheme is "ftp", must be http or https'],
  ["file:///etc/passwd", 'INVALID_URL: the URL\'s scheme is "file", must be http or https'],
  ["javascript:alert(1)", 'INVALID_URL: the URL\'s scheme is "javascript", must be http or https'],
  ["http://u:secret@example.org", "INVALID_URL: the URL carries a user name or password; send an authorization header"],
  ["http://u@example.org", "INVALID_URL: the URL carries a user name or password; send an authorization header"],
  ["http://u:secret@:80", 'INVALID_URL: "http://…@:80" is no URL'],
  ["http:\\\\u:secret@:80", 'INVALID_URL: "http://…@:80" is no URL'],
  ["http://u:se@cret@[/", 'INVALID_URL: "http://…@[/" is no URL'],
  ["http://example.org:0", "INVALID_URL: the port is 0, must be from 1 to 65535"],
  ["http://example.org:65536", 'INVALID_URL: "http://example.org:65536" is no URL'],
  ["http://[fe80::1%25eth0]/", 'INVALID_URL: "http://[fe80::1%25eth0]/" is no URL'],
  ["http://1.2.3.4.5/", 'INVALID_URL: "http://1.2.3.4.5/" is no URL'],
  ["http://./", 'INVALID_URL: "." is no host'],
])("%j is refused", ([text, line]) => {
  expect(refusal(() => readUrl(text))).toBe(line);
});

test("a URL of more than 8,192 characters is refused", () => {
  const url = (length: number): string => "http://example.org/".padEnd(length, "x");
  expect(refusal(() => readUrl(url(8_192)))).toBe("accepted");
  expect(refusal(() => readUrl(url(8_193)))).toBe("INVALID_URL: the URL has 8193 characters, at most 8192 are allowed");
});

test("the fragment stays at home", () => {
  expect(readUrl("http://example.org/a?b#secret").url.href).toBe("http://example.org/a?b");
});

test.for<[string, number, string]>([
  ["example.org", 22, "example.org"],
  ["::1", 22, "::1"],
  ["0x7f.1", 22, "127.0.0.1"],
])("host %s with port %i is accepted", ([host, port, read]) => {
  expect(readHostPort(host, port)).toMatchObject({ host: read, port, secure: false });
});

test.for<[string, number]>([
  ["", 1],
  ["a/b", 1],
  ["a:2", 1],
  ["a@b", 1],
  ["a b", 1],
  ["a?b", 1],
  ["example.org", 0],
  ["example.org", 65_536],
  ["example.org", 1.5],
])("host %j with port %d is refused", ([host, port]) => {
  expect(refusal(() => readHostPort(host, port))).toMatch(/^INVALID_URL: /);
});

test("every spelling of an IPv4 address in a URL is that address", () => {
  const byte = fc.nat(255);
  const spell = fc.constantFrom(
    (n: number) => String(n),
    (n: number) => `0${n.toString(8)}`,
    (n: number) => `0x${n.toString(16)}`,
  );
  fc.assert(
    fc.property(
      byte,
      byte,
      byte,
      byte,
      spell,
      spell,
      fc.integer({ min: 1, max: 4 }),
      (a, b, c, d, one, other, count) => {
        const bytes = [a, b, c, d];
        const rest = bytes.slice(count - 1).reduce((sum, part) => sum * 256 + part, 0);
        const spelt = [...bytes.slice(0, count - 1).map(one), other(rest)].join(".");
        expect([spelt, readUrl(`http://${spelt}/`).literal?.text]).toEqual([spelt, bytes.join(".")]);
      },
    ),
    { numRuns: 2_000 },
  );
});
