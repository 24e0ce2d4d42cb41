// How connections to NATS are encrypted: what nats.js is told. Who is believed, and what is shown, is as with every other TLS connection.
import type { TlsOptions } from "@nats-io/nats-core";
import type { Socket } from "node:net";
import type { PeerCertificate } from "node:tls";
import { type ClientTlsOptions, openClientTls } from "../tls/client-tls.ts";

/** How to speak TLS to NATS. */
export interface NatsTlsOptions extends ClientTlsOptions {
  /**
   * Shakes hands before the server says a word, as its `handshake_first` has it: nothing is said unencrypted. Must be as the server has it.
   * Default false: the server says first, unencrypted, what it is.
   */
  readonly first?: boolean;
}

/** What `tls.connect` was called with, as nats.js does it. */
interface Call {
  readonly servername?: string;
  readonly host?: string;
  readonly socket?: Socket;
}

/**
 * What nats.js is told; undefined for connections that need not be encrypted: without options, and to servers none of which is a `tls:`
 * URL. With it, a server that speaks no TLS is not talked to.
 *
 * @throws RangeError of one line for what can't be used.
 */
export function natsTls(
  options: NatsTlsOptions | undefined,
  servers: readonly string[],
  onBroken?: (why: string) => void,
): TlsOptions | undefined {
  if (options === undefined && !servers.some((url) => url.trim().startsWith("tls:"))) return undefined;
  const { first = false, ...rest } = options ?? {};
  const tls = openClientTls(rest, onBroken);
  const fixed = tls.connectOptions();
  return {
    handshakeFirst: first,
    ...fixed,
    // Looked up by nats.js for each connection: files are read again then.
    get secureContext() {
      return tls.connectOptions().secureContext;
    },
    // Of a connection to an address that it made before the handshake, nats.js does not say whose it is, and Node takes it for localhost's.
    checkServerIdentity(this: Call | undefined, host: string, certificate: PeerCertificate) {
      const asked = this?.servername || this?.host || this?.socket?.remoteAddress?.replace(/^::ffff:/, "") || host;
      return fixed.checkServerIdentity(asked, certificate);
    },
  } as TlsOptions;
}
