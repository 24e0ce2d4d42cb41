// What is read of certificates, and of pins as people write them.
import { X509Certificate } from "node:crypto";
import { describe, expect, test } from "vitest";
import { createAuthority, issueCertificate } from "../../../lib/tls/certificate-authority.ts";
import { certificatesIn, factsOf, pinOf, readPin } from "../../../lib/tls/certificate-facts.ts";

const NOW_MS = Date.parse("2030-01-01T00:00:00Z");
const authority = await createAuthority("unit", 10, NOW_MS);
const issue = (wish: object): ReturnType<typeof issueCertificate> =>
  issueCertificate(authority, { name: "x", hosts: [], uris: [], use: "both", days: 1, ...wish }, NOW_MS);
const read = async (wish: object): Promise<ReturnType<typeof factsOf>> =>
  factsOf(new X509Certificate((await issue(wish)).cert));

describe("facts of a certificate", () => {
  test("are its names, its dates and its prints", async () => {
    const facts = await read({ name: "billing", hosts: ["example.org", "::1"], uris: ["spiffe://mesh/billing"] });
    expect(facts).toMatchObject({
      commonName: "billing",
      uris: ["spiffe://mesh/billing"],
      hosts: ["example.org", "0:0:0:0:0:0:0:1"],
      expiresMs: NOW_MS + 86_400_000,
    });
    expect(facts.fingerprint).toMatch(/^[\da-f]{64}$/);
    expect(facts.beginsMs).toBeLessThan(NOW_MS);
  });

  test.for(["a, b", "CN=admin", "a\\b", 'say "x"', "a+b=c", "#1", " a ", "x\nCN=admin"])(
    "name %j is what was asked for",
    async (name) => {
      expect((await read({ name })).commonName).toBe(name);
    },
  );

  test.for([
    ["spiffe://mesh/a,URI:spiffe://mesh/admin"],
    ["spiffe://mesh/a, URI:spiffe://mesh/admin"],
    ['spiffe://mesh/"a"', "spiffe://mesh/b"],
    ["spiffe://mesh/a\\u002c"],
  ])("URIs %j are what was asked for, and no more", async (uris) => {
    expect((await read({ uris })).uris).toEqual(uris);
  });

  test("an authority's certificate is over before what it issues", async () => {
    expect((await read({ days: 1_000 })).expiresMs).toBe(NOW_MS + 10 * 86_400_000);
    await expect(
      issueCertificate(authority, { name: "x", hosts: [], uris: [], use: "both", days: 1 }, NOW_MS + 11 * 86_400_000),
    ).rejects.toThrow("the authority's certificate is over since 2030-01-11T00:00:00.000Z");
  });

  test("a chain is read in its order", async () => {
    const { cert } = await issue({});
    expect(certificatesIn(cert + authority.cert).map(({ subject }) => subject)).toEqual(["CN=x", "CN=unit"]);
    expect(certificatesIn("nothing")).toEqual([]);
  });
});

describe("pins", () => {
  test("outlive a renewal that keeps the key, and no other", async () => {
    const first = await issue({});
    const kept = await issue({ key: first.key });
    const other = await issue({});
    const pins = [first, kept, other].map(({ cert }) => pinOf(new X509Certificate(cert)));
    expect(pins[1]).toBe(pins[0]);
    expect(pins[2]).not.toBe(pins[0]);
  });

  test("are read as people write them", async () => {
    const pin = pinOf(new X509Certificate(authority.cert));
    const base64 = pin.slice("sha256/".length);
    const hex = Buffer.from(base64, "base64").toString("hex");
    for (const text of [pin, base64, `sha256//${base64}`, hex, hex.toUpperCase(), ` ${pin} `]) {
      expect(readPin(text)).toBe(pin);
    }
    for (const text of ["", "sha256/", base64.slice(0, -1), `${base64}A`, hex.slice(2), "sha1/AAAA", "z".repeat(64)]) {
      expect(readPin(text)).toBeUndefined();
    }
  });
});
