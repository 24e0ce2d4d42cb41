// How this side of a TLS connection judges the other: authority, host name, pinned public keys; and what it shows of itself. Files are read
// anew for each connection, so that a renewed certificate is shown from the next one on.
import { X509Certificate } from "node:crypto";
import {
  checkServerIdentity,
  connect,
  createSecureContext,
  type PeerCertificate,
  type SecureContext,
  type TLSSocket,
} from "node:tls";
import { isIP } from "node:net";
import { pinOf, readPin } from "./certificate-facts.ts";
import { nameOf, type PemSource, readPemNow } from "./pem-source.ts";

/** How a client speaks TLS. */
export interface ClientTlsOptions {
  /** The authorities that are believed, instead of the machine's own: a PEM file, or PEM. */
  readonly ca?: PemSource;
  /** The certificate to show, with those in between it and its authority: a PEM file, or PEM. */
  readonly cert?: PemSource;
  /** Its key, not encrypted: a PEM file, or PEM. */
  readonly key?: PemSource;
  /** The name that the server's certificate must have. Default: the host of the URL. */
  readonly serverName?: string;
  /**
   * The public keys that the server may have, beside being trusted otherwise: the SHA-256 of its SubjectPublicKeyInfo in base64 or
   * hexadecimal, as `mycel certs show` prints them. Name two, so that one can be replaced. Default: any.
   */
  readonly pins?: readonly string[];
  /** The oldest version that is spoken. Default `TLSv1.3`. */
  readonly minVersion?: "TLSv1.2" | "TLSv1.3";
}

/** The server's public key is none of the pinned ones, though its certificate is good. */
export class PinMismatchError extends Error {
  override readonly name = "PinMismatchError";
  readonly code = "PIN_MISMATCH";
}

/** A client's TLS. */
export interface ClientTls {
  /** What Node needs for a connection now. Never throws: where the files are broken, what was read last is used. */
  connectOptions(): ClientConnectOptions;
  /** Opens a connection to the host and port of a URL. */
  dial(url: URL, protocols: readonly string[]): TLSSocket;
}

/** What Node's `tls.connect` needs beside whom to call. */
export interface ClientConnectOptions {
  readonly secureContext: SecureContext;
  readonly servername?: string;
  readonly checkServerIdentity: (host: string, certificate: PeerCertificate) => Error | undefined;
  /** Set where pins are: nothing may take the checks off then. */
  readonly rejectUnauthorized?: true;
}

/**
 * Opens a client's TLS. `onBroken` hears, once for each, why files that were good before are not any more.
 *
 * @throws RangeError of one line for an option that is not as it must be, or a file that can't be used.
 */
export function openClientTls(options: ClientTlsOptions, onBroken: (why: string) => void = () => undefined): ClientTls {
  if ((options.cert === undefined) !== (options.key === undefined)) {
    throw new RangeError("tls.cert and tls.key must be given together");
  }
  const pins = new Set((options.pins ?? []).map(checkedPin));
  let texts = textsOf(options);
  let context = contextOf(options, texts);
  let complained: string | undefined;

  const renewed = (): SecureContext => {
    try {
      const found = textsOf(options);
      if (found.every((text, index) => text === texts[index])) return context;
      context = contextOf(options, found);
      texts = found;
      complained = undefined;
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      if (why !== complained) onBroken(why);
      complained = why;
    }
    return context;
  };
  // Node asks once the chain is found good; a session that is resumed is not asked again, and none is here.
  const check = (host: string, certificate: PeerCertificate): Error | undefined => {
    const wrongHost = checkServerIdentity(options.serverName ?? host, certificate);
    if (wrongHost !== undefined || pins.size === 0) return wrongHost;
    // Only its own key counts: what else a server sends along need not be part of what was verified.
    if (pins.has(pinOf(new X509Certificate(certificate.raw)))) return undefined;
    return new PinMismatchError(`the public key of ${host} is none of the pinned ones`);
  };
  const connectOptions = (): ClientConnectOptions => ({
    secureContext: renewed(),
    checkServerIdentity: check,
    ...(options.serverName === undefined ? {} : { servername: options.serverName }),
    ...(pins.size === 0 ? {} : { rejectUnauthorized: true }),
  });
  return {
    connectOptions,
    dial({ hostname, port }, protocols) {
      const host = hostname.replace(/^\[(.*)\]$/, "$1");
      const made = connectOptions();
      const named = made.servername === undefined && isIP(host) === 0 ? { servername: host } : {};
      return connect({
        ...made,
        ...named,
        host,
        port: port === "" ? 443 : Number(port),
        ALPNProtocols: [...protocols],
      });
    },
  };
}

/** What a failed handshake means for a person, in one line; undefined for what is no failed handshake. */
export function tlsProblem(error: unknown): string | undefined {
  const code = error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
  if (error instanceof Error && (code === "PIN_MISMATCH" || code === "ERR_TLS_CERT_ALTNAME_INVALID")) {
    return error.message.replace(
      /^Hostname\/IP does not match certificate's altnames: /,
      "its certificate is for others: ",
    );
  }
  return PROBLEMS.get(code) ?? (code.startsWith("ERR_SSL_") ? `TLS failed: ${wordsOf(code)}` : undefined);
}

const UNTRUSTED = "its certificate is not signed by an authority that is trusted here";
const PROBLEMS: ReadonlyMap<string, string> = new Map([
  ["DEPTH_ZERO_SELF_SIGNED_CERT", UNTRUSTED],
  ["SELF_SIGNED_CERT_IN_CHAIN", UNTRUSTED],
  ["UNABLE_TO_GET_ISSUER_CERT", UNTRUSTED],
  ["UNABLE_TO_GET_ISSUER_CERT_LOCALLY", UNTRUSTED],
  ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", UNTRUSTED],
  ["CERT_SIGNATURE_FAILURE", UNTRUSTED],
  ["CERT_HAS_EXPIRED", "its certificate is over"],
  ["CERT_NOT_YET_VALID", "its certificate is not valid yet"],
  ["INVALID_PURPOSE", "its certificate is not one for servers"],
  ["ERR_SSL_WRONG_VERSION_NUMBER", "it does not speak TLS there"],
  ["ERR_SSL_PACKET_LENGTH_TOO_LONG", "it does not speak TLS there"],
  ["ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED", "it requires a client certificate"],
  ["ERR_SSL_TLSV1_ALERT_UNKNOWN_CA", "it does not trust the authority of this side's certificate"],
  ["ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED", "this side's certificate is over"],
  ["ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_EXPIRED", "this side's certificate is over"],
  ["ERR_SSL_SSLV3_ALERT_CERTIFICATE_REVOKED", "this side's certificate was revoked"],
  ["ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_REVOKED", "this side's certificate was revoked"],
]);

function wordsOf(code: string): string {
  return code.slice("ERR_SSL_".length).toLowerCase().replaceAll("_", " ");
}

function textsOf({ ca, cert, key }: ClientTlsOptions): (string | undefined)[] {
  return [
    ca === undefined ? undefined : readPemNow("tls.ca", ca),
    cert === undefined ? undefined : readPemNow("tls.cert", cert),
    key === undefined ? undefined : readPemNow("tls.key", key),
  ];
}

function contextOf(options: ClientTlsOptions, [ca, cert, key]: readonly (string | undefined)[]): SecureContext {
  try {
    return createSecureContext({
      minVersion: options.minVersion ?? "TLSv1.3",
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
    });
  } catch (error) {
    const names = [options.ca, options.cert, options.key].flatMap((source) =>
      source === undefined ? [] : nameOf(source),
    );
    throw new RangeError(`tls: the certificates and the key in ${names.join(", ")} can't be used together`, {
      cause: error,
    });
  }
}

function checkedPin(text: string): string {
  const pin = readPin(text);
  if (pin === undefined) {
    throw new RangeError(`tls.pins must be SHA-256 sums in base64 or hexadecimal, got ${JSON.stringify(text)}`);
  }
  return pin;
}
