// Who is at the other end of a connection, as far as the connection itself shows. It must not judge that: whom to believe is decided
// where calls are guarded.
import type { Http2Session } from "node:http2";
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { type ContextKey, type ContextValues, createContextKey, createContextValues } from "@connectrpc/connect";
import { factsOf as factsOfCertificate } from "../tls/certificate-facts.ts";

/** What a client certificate says that was verified in the handshake. */
export interface PeerCertificateFacts {
  /** The common name of its subject; empty if it has none. */
  readonly commonName: string;
  /** The URIs among its subject's alternative names, e.g. SPIFFE ids. */
  readonly uris: readonly string[];
  /** When it ends, by the wall clock, in milliseconds since 1970. */
  readonly expiresMs: number;
  /** The SHA-256 of the whole certificate, in lower-case hexadecimal. */
  readonly fingerprint: string;
}

/** The other end of a connection. */
export interface Peer {
  /** Its IP address; of IPv4 without the prefix that maps it to IPv6. Empty once the connection is gone. */
  readonly address: string;
  /** Its certificate, if it showed one that was verified. */
  readonly certificate?: PeerCertificateFacts;
}

/** A connection, of HTTP/2 or else of HTTP/1.1. */
export type Connection = Http2Session | Socket;

const NOBODY: Peer = { address: "" };
const PEER: ContextKey<Peer> = createContextKey<Peer>(NOBODY, { description: "the peer of the connection" });
const known = new WeakMap<Connection, Peer>();

/** The peer of a connection. */
export function peerAt(connection: Connection): Peer {
  const before = known.get(connection);
  if (before !== undefined) return before;
  const peer = factsOf(connection);
  if (peer.address !== "") known.set(connection, peer);
  return peer;
}

/** Values of a call with the peer at whose connection it came; `connection` is undefined for one that is gone. */
export function valuesWithPeer(connection: Connection | undefined): ContextValues {
  const values = createContextValues();
  return connection === undefined ? values : values.set(PEER, peerAt(connection));
}

/** Who makes a call, as its values say. */
export function peerOf(values: ContextValues): Peer {
  return values.get(PEER);
}

function factsOf(connection: Connection): Peer {
  const socket = "socket" in connection ? connection.socket : connection;
  try {
    const address = socket.remoteAddress?.replace(/^::ffff:(?=[\d.]+$)/, "") ?? "";
    const certificate = certificateAt(socket);
    return certificate === undefined ? { address } : { address, certificate };
  } catch {
    // The socket of a session that has ended can't be asked.
    return NOBODY;
  }
}

function certificateAt(socket: object): PeerCertificateFacts | undefined {
  // Through the stand-in that Node gives for the socket of a session, too.
  const { authorized, getPeerX509Certificate: read }: Partial<TLSSocket> = socket;
  const certificate = authorized === true ? read?.call(socket) : undefined;
  return certificate === undefined ? undefined : factsOfCertificate(certificate);
}
