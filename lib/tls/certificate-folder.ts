// A folder with an authority and what it issued: `ca.crt` and `ca.key`, then `<name>.crt` and `<name>.key` of each, `ca.issued` with the
// serial number and name of all there ever were, and `ca.crl` once something was taken back. Keys are for the owner alone. What is there is never written over, unless that is what was asked for.
import { X509Certificate } from "node:crypto";
import { appendFile, chmod, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import {
  type CertificateUse,
  createAuthority,
  createRevocationList,
  issueCertificate,
  type KeyedCertificate,
  readRevocationList,
} from "./certificate-authority.ts";
import { certificatesIn, factsOf } from "./certificate-facts.ts";
import { serialOf } from "./revoked-serials.ts";
import { makeFolder } from "../files/make-folder.ts";

/** Something about the folder is not as it must be. The message is one line for a person. */
export class CertificateFolderError extends RangeError {
  override readonly name = "CertificateFolderError";
}

/** A certificate on the disk. */
export interface StoredCertificate {
  readonly certFile: string;
  readonly keyFile: string;
  readonly certificate: X509Certificate;
}

/** What to issue. */
export interface IssueOptions {
  /** The files' name, and the common name of the subject: 1 to 64 characters of `A-Z a-z 0-9 . _ -`, not `ca`. */
  readonly name: string;
  readonly hosts: readonly string[];
  readonly uris: readonly string[];
  readonly use: CertificateUse;
  readonly days: number;
}

/** How to renew. */
export interface RenewOptions {
  /** How long the new one is good; as long as the old one was, if left out. */
  readonly days?: number | undefined;
  /** Makes a new key, too: pins of the old one are no good any more then. */
  readonly newKey?: boolean;
}

const AUTHORITY = "ca";
const ISSUED = "ca.issued";
const KEY_MODE = 0o600;
const CERTIFICATE_MODE = 0o644;
const DAY_MS = 86_400_000;
const SERVER_USE = "1.3.6.1.5.5.7.3.1";
const CLIENT_USE = "1.3.6.1.5.5.7.3.2";

/** Makes an authority in a folder, which is made, too. Throws {@link CertificateFolderError} if there is one. */
export async function initFolder(dir: string, name: string, days: number): Promise<StoredCertificate> {
  await makeFolder(dir, { mode: 0o700 });
  return await store(dir, AUTHORITY, await createAuthority(name, days, Date.now()), "new");
}

/** Issues a certificate. Throws {@link CertificateFolderError} if there is one of that name, or no authority. */
export async function issueInto(dir: string, options: IssueOptions): Promise<StoredCertificate> {
  checkName(options.name);
  const authority = await authorityIn(dir);
  return await store(dir, options.name, await issueCertificate(authority, options, Date.now()), "new");
}

/**
 * Issues a certificate anew: the same names for the same use, and the same key unless told otherwise. Throws
 * {@link CertificateFolderError}.
 */
export async function renewIn(dir: string, name: string, options: RenewOptions): Promise<StoredCertificate> {
  checkName(name);
  const authority = await authorityIn(dir);
  const before = await readKeyed(dir, name);
  const [certificate] = certificatesIn(before.cert);
  if (certificate === undefined) throw new CertificateFolderError(`${join(dir, `${name}.crt`)} holds no certificate`);
  const { commonName, hosts, uris, beginsMs, expiresMs } = factsOf(certificate);
  const wish = {
    name: commonName,
    hosts,
    uris,
    use: useOf(certificate),
    days: options.days ?? Math.max(1, Math.round((expiresMs - beginsMs) / DAY_MS)),
    key: options.newKey === true ? undefined : before.key,
  };
  return await store(dir, name, await issueCertificate(authority, wish, Date.now()), "over");
}

/** Takes a certificate back, with those that it was renewed from: writes the authority's list with it. Returns the list's path. Throws {@link CertificateFolderError}. */
export async function revokeIn(dir: string, name: string, listDays: number): Promise<string> {
  checkName(name);
  const authority = await authorityIn(dir);
  const serials = await serialsOf(dir, name);
  if (serials.length === 0) throw new CertificateFolderError(`there is no certificate ${name} in ${dir}`);
  const file = join(dir, `${AUTHORITY}.crl`);
  const listed = await readFile(file, "utf8").then(readRevocationList, (error: unknown) => {
    if (isMissing(error)) return [];
    throw error;
  });
  const revoked = serials
    .filter((serialNumber) => !listed.some((one) => serialOf(one) === serialOf({ serialNumber })))
    .map((serialNumber) => ({ serialNumber, revokedMs: Date.now() }));
  const list = await createRevocationList(authority, [...listed, ...revoked], listDays, Date.now());
  await put(file, list, CERTIFICATE_MODE, "over");
  return file;
}

/** The names of what the folder's authority issued, in order. */
export async function namesIn(dir: string): Promise<string[]> {
  const files = new Set(await readdir(dir).catch(() => []));
  return [...files]
    .flatMap((file) => (file.endsWith(".crt") ? [file.slice(0, -".crt".length)] : []))
    .filter((name) => name !== AUTHORITY && files.has(`${name}.key`))
    .toSorted();
}

function checkName(name: string): void {
  if (!/^[A-Za-z\d][\w.-]{0,63}$/.test(name) || name === AUTHORITY) {
    throw new CertificateFolderError(
      `${JSON.stringify(name)} is no name: use 1 to 64 characters of A-Z a-z 0-9 . _ -, beginning with a letter or digit, and not "ca"`,
    );
  }
}

async function authorityIn(dir: string): Promise<KeyedCertificate> {
  return await readKeyed(dir, AUTHORITY, `there is no authority in ${dir}: make one with "mycel certs init ${dir}"`);
}

async function readKeyed(
  dir: string,
  name: string,
  missing: string = `there is no certificate ${name} in ${dir}`,
): Promise<KeyedCertificate> {
  try {
    const [cert, key] = await Promise.all(["crt", "key"].map((end) => readFile(join(dir, `${name}.${end}`), "utf8")));
    return { cert: cert ?? "", key: key ?? "" };
  } catch (error) {
    if (isMissing(error)) throw new CertificateFolderError(missing);
    throw new CertificateFolderError(error instanceof Error ? error.message : String(error));
  }
}

async function serialsOf(dir: string, name: string): Promise<string[]> {
  const book = await readFile(join(dir, ISSUED), "utf8").catch(() => "");
  return book.split("\n").flatMap((line) => {
    const [serial = "", whose] = line.split(" ");
    return whose === name ? [serial] : [];
  });
}

function useOf({ keyUsage }: X509Certificate): CertificateUse {
  const uses = new Set<string>(keyUsage);
  if (uses.has(SERVER_USE) && uses.has(CLIENT_USE)) return "both";
  return uses.has(CLIENT_USE) ? "client" : "server";
}

async function store(
  dir: string,
  name: string,
  { cert, key }: KeyedCertificate,
  how: "new" | "over",
): Promise<StoredCertificate> {
  const certFile = join(dir, `${name}.crt`);
  const keyFile = join(dir, `${name}.key`);
  if (how === "new") await refuseExisting(certFile);
  const certificate = new X509Certificate(cert);
  // First: what is not in the book could not be taken back.
  if (name !== AUTHORITY) await appendFile(join(dir, ISSUED), `${certificate.serialNumber} ${name}\n`);
  await put(keyFile, key, KEY_MODE, how);
  await put(certFile, cert, CERTIFICATE_MODE, how);
  return { certFile, keyFile, certificate };
}

async function refuseExisting(file: string): Promise<void> {
  const found = await readFile(file).then(
    () => true,
    (error: unknown) => !isMissing(error),
  );
  if (found) throw new CertificateFolderError(`${file} is there already`);
}

/** Whole or not at all: whoever reads it meanwhile gets the old one. */
async function put(file: string, text: string, mode: number, how: "new" | "over"): Promise<void> {
  const path = how === "new" ? file : `${file}.new`;
  if (how === "over") await rm(path, { force: true });
  try {
    const handle = await open(path, "wx", mode);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") {
      throw new CertificateFolderError(`${file} is there already`);
    }
    throw new CertificateFolderError(error instanceof Error ? error.message : String(error));
  }
  // Whatever the umask says.
  await chmod(path, mode);
  if (how === "over") await rename(path, file);
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}
