// Makes certificates: an authority's own, those that it issues, and the list of those that it took back. ECDSA on P-256 throughout, which
// every peer of the mesh takes, browsers included. Keeps nothing: where keys and certificates lie is the caller's business.
import "reflect-metadata";
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  type webcrypto,
} from "node:crypto";
import { isIP } from "node:net";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type JsonGeneralNames,
  Name,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
  X509Crl,
  X509CrlGenerator,
  X509CrlReason,
} from "@peculiar/x509";

/** A certificate with its key, both in PEM. */
export interface KeyedCertificate {
  readonly cert: string;
  /** PKCS #8. */
  readonly key: string;
}

/** What a certificate may be shown as. */
export type CertificateUse = "client" | "server" | "both";

/** What to issue. */
export interface CertificateWish {
  /** The common name of its subject. */
  readonly name: string;
  /** Host names and IP addresses that a server may be reached by. */
  readonly hosts: readonly string[];
  /** URIs that say whose it is, e.g. SPIFFE ids. */
  readonly uris: readonly string[];
  readonly use: CertificateUse;
  /** How long it is good, in days. It ends with the authority's own at the latest. */
  readonly days: number;
  /** The key to certify, in PEM. A new one if left out. */
  readonly key?: string | undefined;
}

/** A certificate that was taken back. */
export interface RevokedCertificate {
  /** In hexadecimal. */
  readonly serialNumber: string;
  readonly revokedMs: number;
}

const SIGNATURE = { name: "ECDSA", hash: "SHA-256" };
const KEY_ALGORITHM = { name: "ECDSA", namedCurve: "P-256" };
const DAY_MS = 86_400_000;
// Peers whose clocks are a little behind take it at once.
const CLOCK_SKEW_MS = 300_000;

/** Makes an authority that signs nothing but end certificates and its list of revoked ones. */
export async function createAuthority(name: string, days: number, nowMs: number): Promise<KeyedCertificate> {
  const key = newKey();
  const publicKey = await publicKeyOf(key);
  const certificate = await X509CertificateGenerator.create({
    serialNumber: newSerialNumber(),
    subject: nameOf(name),
    issuer: nameOf(name),
    notBefore: new Date(nowMs - CLOCK_SKEW_MS),
    notAfter: new Date(nowMs + days * DAY_MS),
    publicKey,
    signingKey: await signingKeyOf(key),
    signingAlgorithm: SIGNATURE,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(publicKey),
    ],
  });
  return { cert: pemOf(certificate), key: exported(key) };
}

/**
 * Issues a certificate.
 *
 * @throws RangeError when a key is not one of ECDSA on P-256, or the authority's certificate is over.
 */
export async function issueCertificate(
  authority: KeyedCertificate,
  wish: CertificateWish,
  nowMs: number,
): Promise<KeyedCertificate> {
  const issuer = new X509Certificate(authority.cert);
  if (issuer.notAfter.getTime() <= nowMs) {
    throw new RangeError(`the authority's certificate is over since ${issuer.notAfter.toISOString()}`);
  }
  const key = wish.key === undefined ? newKey() : read(wish.key);
  const publicKey = await publicKeyOf(key);
  const certificate = await X509CertificateGenerator.create({
    serialNumber: newSerialNumber(),
    subject: nameOf(wish.name),
    issuer: issuer.subjectName,
    notBefore: new Date(nowMs - CLOCK_SKEW_MS),
    notAfter: new Date(Math.min(nowMs + wish.days * DAY_MS, issuer.notAfter.getTime())),
    publicKey,
    signingKey: await signingKeyOf(read(authority.key)),
    signingAlgorithm: SIGNATURE,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension(usagesOf(wish.use)),
      ...alternativeNames(wish),
      await SubjectKeyIdentifierExtension.create(publicKey),
      await AuthorityKeyIdentifierExtension.create(await issuer.publicKey.export()),
    ],
  });
  return { cert: pemOf(certificate), key: exported(key) };
}

/**
 * Makes the list of the certificates that an authority took back, in PEM. Whoever checks by it refuses everything once it is over: make it
 * anew before that.
 */
export async function createRevocationList(
  authority: KeyedCertificate,
  revoked: readonly RevokedCertificate[],
  days: number,
  nowMs: number,
): Promise<string> {
  const issuer = new X509Certificate(authority.cert);
  const list = await X509CrlGenerator.create({
    issuer: issuer.subjectName,
    thisUpdate: new Date(nowMs - CLOCK_SKEW_MS),
    nextUpdate: new Date(nowMs + days * DAY_MS),
    entries: revoked.map(({ serialNumber, revokedMs }) => ({
      serialNumber,
      revocationDate: new Date(revokedMs),
      reason: X509CrlReason.cessationOfOperation,
    })),
    signingKey: await signingKeyOf(read(authority.key)),
    signingAlgorithm: SIGNATURE,
    extensions: [await AuthorityKeyIdentifierExtension.create(await issuer.publicKey.export())],
  });
  // The library writes another word there than OpenSSL reads.
  return `${list.toString("pem").replaceAll(/(?<=BEGIN |END )CRL/g, "X509 CRL")}\n`;
}

/** What a list says, in its order. Throws for what is none. */
export function readRevocationList(pem: string): RevokedCertificate[] {
  return new X509Crl(pem.replaceAll("X509 CRL", "CRL")).entries.map(({ serialNumber, revocationDate }) => ({
    serialNumber,
    revokedMs: revocationDate.getTime(),
  }));
}

function usagesOf(use: CertificateUse): ExtendedKeyUsage[] {
  switch (use) {
    case "client":
      return [ExtendedKeyUsage.clientAuth];
    case "server":
      return [ExtendedKeyUsage.serverAuth];
    case "both":
      return [ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth];
  }
}

function alternativeNames({ hosts, uris }: CertificateWish): SubjectAlternativeNameExtension[] {
  const names: JsonGeneralNames = [
    ...hosts.map((value) => ({ type: isIP(value) === 0 ? ("dns" as const) : ("ip" as const), value })),
    ...uris.map((value) => ({ type: "url" as const, value })),
  ];
  return names.length === 0 ? [] : [new SubjectAlternativeNameExtension(names)];
}

/** As it is: the library would read a plain text as RFC 4514 writes names. */
function nameOf(name: string): Name {
  return new Name([{ CN: [{ utf8String: name }] }]);
}

function newKey(): KeyObject {
  return generateKeyPairSync("ec", { namedCurve: KEY_ALGORITHM.namedCurve }).privateKey;
}

function read(pem: string): KeyObject {
  const key = createPrivateKey(pem);
  if (key.asymmetricKeyDetails?.namedCurve !== "prime256v1") {
    throw new RangeError(`the key must be one of ECDSA on P-256, is ${key.asymmetricKeyType ?? "of an unknown kind"}`);
  }
  return key;
}

function exported(key: KeyObject): string {
  return key.export({ type: "pkcs8", format: "pem" }).toString();
}

async function signingKeyOf(key: KeyObject): Promise<webcrypto.CryptoKey> {
  const bytes = key.export({ type: "pkcs8", format: "der" });
  return await crypto.subtle.importKey("pkcs8", bytes, KEY_ALGORITHM, false, ["sign"]);
}

async function publicKeyOf(key: KeyObject): Promise<webcrypto.CryptoKey> {
  const bytes = createPublicKey(key).export({ type: "spki", format: "der" });
  return await crypto.subtle.importKey("spki", bytes, KEY_ALGORITHM, true, ["verify"]);
}

/** 127 bits, positive. */
function newSerialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString("hex");
}

function pemOf(certificate: X509Certificate): string {
  return `${certificate.toString("pem")}\n`;
}
