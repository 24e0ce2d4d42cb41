// What a server shows and believes in TLS handshakes, kept up to date with its files. What is broken never takes the place of what works.
// It must not end connections: a reload is for handshakes to come.
import { createPrivateKey, type X509Certificate } from "node:crypto";
import { createSecureContext, type SecureContextOptions } from "node:tls";
import type { Logger } from "../core/logger.ts";
import { certificatesIn, factsOf } from "./certificate-facts.ts";
import { nameOf, type PemSource, readPem } from "./pem-source.ts";
import { readRevoked, type RevokedSerials } from "./revoked-serials.ts";

/** How a server speaks TLS. */
export interface ServerTlsOptions {
  /** Its certificate, with those in between it and its authority if there are any. */
  readonly cert: PemSource;
  /** Its key, not encrypted. */
  readonly key: PemSource;
  /** The authorities whose client certificates are believed. The machine's own do not count. */
  readonly clientCa?: PemSource;
  /** The lists of revoked client certificates, one of each authority in `clientCa`. A list that is over lets nobody in. */
  readonly crl?: PemSource;
  /**
   * Whether clients show certificates: `off`, `optional` (one that is shown must be good) or `required`. Default `required` with a
   * `clientCa`, `off` without.
   */
  readonly clientCertificates?: "off" | "optional" | "required";
  /** The oldest version that is spoken. Default `TLSv1.3`. */
  readonly minVersion?: "TLSv1.2" | "TLSv1.3";
  /** How long a handshake may take, in milliseconds. From 1 to 600,000; default 10,000. */
  readonly handshakeTimeoutMs?: number;
  /** How often it is looked whether the files changed, in milliseconds. From 10 to 3,600,000; default 5,000. */
  readonly reloadIntervalMs?: number;
}

/** What is in force. */
export interface ServerMaterial {
  /** For Node's TLS servers. */
  readonly context: SecureContextOptions;
  readonly certificate: X509Certificate;
  /** The client certificates that were taken back. */
  readonly revoked: RevokedSerials;
}

/** A server's TLS. Disposing it ends the looking. */
export interface ServerCredentials extends Disposable {
  readonly clientCertificates: "off" | "optional" | "required";
  readonly handshakeTimeoutMs: number;
  readonly current: ServerMaterial;
  /** Calls back whenever there is something new in force. */
  onChange(listener: (material: ServerMaterial) => void): void;
  /** Looks at the files now. Resolves with whether something new is in force. Never rejects. */
  look(): Promise<boolean>;
}

const DAY_MS = 86_400_000;
const ALARMS_DAYS = [1, 7, 30];

/** Opens a server's TLS. Throws RangeError of one line when an option or a file is not as it must be. */
export async function openServerCredentials(options: ServerTlsOptions, logger: Logger): Promise<ServerCredentials> {
  const clientCertificates = options.clientCertificates ?? (options.clientCa === undefined ? "off" : "required");
  if (clientCertificates !== "off" && options.clientCa === undefined) {
    throw new RangeError(`client certificates are ${clientCertificates}, but no authority for them is named`);
  }
  if (clientCertificates === "off" && options.clientCa !== undefined) {
    throw new RangeError("client certificates are off, but an authority for them is named");
  }
  if (options.crl !== undefined && clientCertificates === "off") {
    throw new RangeError("a list of revoked certificates is named, but client certificates are off");
  }
  const handshakeTimeoutMs = within("handshakeTimeoutMs", options.handshakeTimeoutMs ?? 10_000, 1, 600_000);
  const reloadIntervalMs = within("reloadIntervalMs", options.reloadIntervalMs ?? 5_000, 10, 3_600_000);
  let texts = await readAll(options);
  let current = await materialOf(options, texts);
  let listeners: ((material: ServerMaterial) => void)[] = [];
  let doubted: string | undefined;
  let complained: string | undefined;
  let alarm = Infinity;

  const complain = (error: unknown): void => {
    const why = error instanceof Error ? error.message : String(error);
    // A pair of files is not replaced at one stroke: only what is still wrong at the next look is.
    if (doubted === why && complained !== why) {
      complained = why;
      logger.error({ reason: why }, "new TLS files are not good: the old ones stay in force");
    }
    doubted = why;
  };
  const look = async (): Promise<boolean> => {
    try {
      const found = await readAll(options);
      if (same(found, texts)) {
        doubted = undefined;
        complained = undefined;
        return false;
      }
      const material = await materialOf(options, found);
      texts = found;
      current = material;
      doubted = undefined;
      complained = undefined;
      alarm = Infinity;
      const { fingerprint, expiresMs } = factsOf(material.certificate);
      logger.info({ fingerprint, expires: new Date(expiresMs).toISOString() }, "TLS files reloaded");
      for (const listener of listeners) listener(material);
      return true;
    } catch (error) {
      complain(error);
      return false;
    }
  };
  const warnOfEnd = (): void => {
    const leftMs = current.certificate.validToDate.getTime() - Date.now();
    const due = leftMs <= 0 ? 0 : ALARMS_DAYS.find((days) => leftMs <= days * DAY_MS);
    if (due === undefined || due >= alarm) return;
    alarm = due;
    const fields = { certificate: nameOf(options.cert), expires: current.certificate.validToDate.toISOString() };
    logger.warn(fields, due === 0 ? "the TLS certificate is over" : "the TLS certificate ends soon");
  };

  warnOfEnd();
  let looking = false;
  const timer = setInterval(() => {
    if (looking) return;
    looking = true;
    void look().finally(() => {
      looking = false;
      warnOfEnd();
    });
  }, reloadIntervalMs);
  timer.unref();
  return {
    clientCertificates,
    handshakeTimeoutMs,
    get current() {
      return current;
    },
    onChange(listener) {
      listeners = [...listeners, listener];
    },
    look,
    [Symbol.dispose]() {
      clearInterval(timer);
      listeners = [];
    },
  };
}

interface Texts {
  readonly cert: string;
  readonly key: string;
  readonly clientCa: string | undefined;
  readonly crl: string | undefined;
}

async function readAll({ cert, key, clientCa, crl }: ServerTlsOptions): Promise<Texts> {
  return {
    cert: await readPem("the TLS certificate", cert),
    key: await readPem("the TLS key", key),
    clientCa: clientCa === undefined ? undefined : await readPem("the authority of clients", clientCa),
    crl: crl === undefined ? undefined : await readPem("the list of revoked certificates", crl),
  };
}

function same(one: Texts, other: Texts): boolean {
  return one.cert === other.cert && one.key === other.key && one.clientCa === other.clientCa && one.crl === other.crl;
}

async function materialOf(options: ServerTlsOptions, { cert, key, clientCa, crl }: Texts): Promise<ServerMaterial> {
  const [certificate] = attempt(`${nameOf(options.cert)} holds no certificate`, () => certificatesIn(cert));
  if (certificate === undefined) throw new RangeError(`${nameOf(options.cert)} holds no certificate`);
  const privateKey = attempt(`${nameOf(options.key)} holds no key, or one that is encrypted`, () =>
    createPrivateKey(key),
  );
  if (!certificate.checkPrivateKey(privateKey)) {
    throw new RangeError(`the key in ${nameOf(options.key)} is not that of the certificate in ${nameOf(options.cert)}`);
  }
  if (clientCa !== undefined) {
    const authorities = attempt(`${nameOf(options.clientCa ?? "")} holds no certificate`, () =>
      certificatesIn(clientCa),
    );
    if (authorities.length === 0) throw new RangeError(`${nameOf(options.clientCa ?? "")} holds no certificate`);
  }
  const context: SecureContextOptions = {
    cert,
    key,
    minVersion: options.minVersion ?? "TLSv1.3",
    ...(clientCa === undefined ? {} : { ca: clientCa }),
    ...(crl === undefined ? {} : { crl: listsIn(crl) }),
  };
  attempt("the TLS files do not fit together", () => createSecureContext(context));
  return { context, certificate, revoked: crl === undefined ? new Set() : await readRevoked(listsIn(crl)) };
}

function listsIn(pem: string): string[] {
  return pem.match(/-----BEGIN X509 CRL-----[\s\S]*?-----END X509 CRL-----/g) ?? [pem];
}

function attempt<T>(problem: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new RangeError(problem, { cause: error });
  }
}

function within(name: string, value: number, from: number, to: number): number {
  if (!(value >= from && value <= to)) throw new RangeError(`${name} must be from ${from} to ${to}, got ${value}`);
  return value;
}
