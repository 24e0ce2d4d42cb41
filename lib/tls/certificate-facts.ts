// What a certificate says of itself, and the pin of its public key. Reads; trusts nothing.
import { createHash, X509Certificate } from "node:crypto";

/** What a certificate says. */
export interface CertificateFacts {
  /** The common name of its subject; empty if it has none. */
  readonly commonName: string;
  /** The URIs among its subject's alternative names, e.g. SPIFFE ids. */
  readonly uris: readonly string[];
  /** The host names and IP addresses among them. */
  readonly hosts: readonly string[];
  /** When it begins, by the wall clock, in milliseconds since 1970. */
  readonly beginsMs: number;
  /** When it ends. */
  readonly expiresMs: number;
  /** The SHA-256 of the whole certificate, in lower-case hexadecimal. */
  readonly fingerprint: string;
  /** The pin of its public key, see {@link pinOf}. */
  readonly pin: string;
}

/** Reads a certificate. */
export function factsOf(certificate: X509Certificate): CertificateFacts {
  const names = alternativeNames(certificate.subjectAltName ?? "");
  return {
    commonName: commonName(certificate.subject ?? ""),
    uris: names.filter(({ type }) => type === "URI").map(({ value }) => value),
    hosts: names.filter(({ type }) => type === "DNS" || type === "IP Address").map(({ value }) => value),
    beginsMs: certificate.validFromDate.getTime(),
    expiresMs: certificate.validToDate.getTime(),
    fingerprint: createHash("sha256").update(certificate.raw).digest("hex"),
    pin: pinOf(certificate),
  };
}

/** The pin of a certificate's public key: the SHA-256 of its SubjectPublicKeyInfo, in base64, as `sha256/…`. It outlives renewals that keep the key. */
export function pinOf(certificate: X509Certificate): string {
  const key = certificate.publicKey.export({ type: "spki", format: "der" });
  return `sha256/${createHash("sha256").update(key).digest("base64")}`;
}

/**
 * Reads a pin as people write it: base64 of 32 bytes with or without `sha256/` before it (`sha256//`, as curl writes it, too), or 64
 * hexadecimal digits. Undefined for anything else.
 */
export function readPin(text: string): string | undefined {
  const bare = text.trim().replace(/^sha256\/{1,2}/, "");
  const bytes = /^[\da-f]{64}$/i.test(bare) ? Buffer.from(bare, "hex") : Buffer.from(bare, "base64");
  const isBase64 = /^[A-Za-z\d+/]{43}=$/.test(bare);
  return bytes.length === 32 && (isBase64 || bare.length === 64) ? `sha256/${bytes.toString("base64")}` : undefined;
}

/** The certificates in a PEM text, in its order. Throws for one that can't be read. */
export function certificatesIn(pem: string): X509Certificate[] {
  return (pem.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? []).map(
    (text) => new X509Certificate(text),
  );
}

// Node writes one line a name, and escapes what could be taken for more. Of several, the last counts, as it is the most specific.
function commonName(subject: string): string {
  const last = subject.split("\n").findLast((line) => line.startsWith("CN=")) ?? "CN=";
  return last
    .slice(3)
    .replaceAll(/\\(?:([\dA-F]{2})|(.))/g, (_, hex: string | undefined, char: string | undefined) =>
      hex === undefined ? (char ?? "") : String.fromCharCode(Number.parseInt(hex, 16)),
    );
}

// Node writes the names one after the other, `TYPE:value`, and quotes a value as JSON does if it could be taken for more than one.
function alternativeNames(text: string): { readonly type: string; readonly value: string }[] {
  const found = text.matchAll(/(?:^|, )(?<type>[A-Za-z ]+):(?:(?<quoted>"(?:[^"\\]|\\.)*")|(?<plain>[^,]*))/g);
  return [...found].map(({ groups = {} }) => {
    const { type = "", quoted, plain = "" } = groups;
    return { type, value: quoted === undefined ? plain : String(JSON.parse(quoted)) };
  });
}
