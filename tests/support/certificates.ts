// Owns the certificates of tests: an authority and what it issues, in a folder that is gone at the end of the scope.
import { X509Certificate } from "node:crypto";
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type CertificateWish,
  createAuthority,
  createRevocationList,
  issueCertificate,
  type KeyedCertificate,
} from "../../lib/tls/certificate-authority.ts";

/** A certificate and its key, as files and as texts. */
export interface CertificateFiles extends KeyedCertificate {
  readonly certFile: string;
  readonly keyFile: string;
}

/** What to issue; for `localhost` and the loopback addresses, to both ends, for a day, if nothing else is said. */
export type TestWish = Partial<CertificateWish> & {
  /** The date of issue; now if left out. */
  readonly nowMs?: number;
};

/** An authority of one test. */
export interface TestAuthority extends AsyncDisposable {
  readonly dir: string;
  readonly cert: string;
  readonly caFile: string;
  /** Issues a certificate into `<file>.crt` and `<file>.key`, over whatever is there. */
  issue(file: string, wish?: TestWish): Promise<CertificateFiles>;
  /** Writes the list of revoked certificates, and returns its path. */
  revoke(...certs: readonly string[]): Promise<string>;
}

/** The hosts by which this machine reaches itself. */
export const LOOPBACK: readonly string[] = ["localhost", "127.0.0.1", "::1"];

/** Opens an authority. */
export async function openTestAuthority(name: string = "test authority"): Promise<TestAuthority> {
  const dir = await mkdtemp(join(tmpdir(), "mycel-test-tls-"));
  const authority = await createAuthority(name, 365, Date.now());
  const caFile = join(dir, "ca.crt");
  await writeFile(caFile, authority.cert);
  return {
    dir,
    cert: authority.cert,
    caFile,
    async issue(file, { nowMs = Date.now(), ...wish } = {}) {
      const whole = { name: file, hosts: LOOPBACK, uris: [], use: "both", days: 1, ...wish } as const;
      const issued = await issueCertificate(authority, whole, nowMs);
      const files = { certFile: join(dir, `${file}.crt`), keyFile: join(dir, `${file}.key`) };
      await put(files.keyFile, issued.key);
      await put(files.certFile, issued.cert);
      return { ...issued, ...files };
    },
    async revoke(...certs) {
      const file = join(dir, "ca.crl");
      const revoked = certs.map((cert) => ({
        serialNumber: new X509Certificate(cert).serialNumber,
        revokedMs: Date.now(),
      }));
      await put(file, await createRevocationList(authority, revoked, 1, Date.now()));
      return file;
    },
    [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }),
  };
}

async function put(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text);
  await rename(`${path}.new`, path);
}
