// Owns a connection to a checked address: look-up, TCP and TLS, each timed. It connects to nothing that resolve.ts did
// not give, and hands out no TLS connection whose certificate is not trusted.
import { once } from "node:events";
import { connect as connectTcp, isIP, type LookupFunction, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { type Address, readAddress } from "./address-kind.ts";
import { type AllowList, bareHost } from "./allow-list.ts";
import { certificateOf } from "./certificate.ts";
import type { LineLookup } from "./lookup-line.ts";
import { causeCode, type ExchangeFacts, OutboundError } from "./outbound-error.ts";
import { resolveTarget } from "./resolve.ts";
import { hostPort, type Target } from "./target.ts";

/** Longest wait for one of several addresses before the next is tried beside it. Node's own 250 ms is less than some round trips. */
const NEXT_ADDRESS_MS = 1_000;

/** What every connection of a caller has in common. */
export interface ConnectionRules {
  /** What is allowed beyond public addresses. */
  readonly allowed: AllowList;
  /** How names become addresses. */
  readonly lookup: LineLookup;
  /** Roots that are trusted, in PEM; Node's own if left out. */
  readonly ca?: readonly string[];
}

/** Facts of an exchange while it goes on. */
export type GrowingFacts = { -readonly [Key in keyof ExchangeFacts]: ExchangeFacts[Key] };

/** How long a connection may take, and who may end it. */
export interface ConnectionLimits {
  /** For look-up, TCP and TLS together, in milliseconds. */
  readonly connectTimeoutMs: number;
  /** Ends the attempt; its reason is thrown. */
  readonly signal: AbortSignal;
}

/**
 * Connects to `target` and fills `facts` on the way. The caller owns the socket.
 *
 * Throws OutboundError ADDRESS_REFUSED, HOST_NOT_FOUND, DNS_FAILED, CONNECT_FAILED, CONNECT_TIMEOUT or TLS_ERROR, or the
 * reason of the signal.
 */
export async function openConnection(
  target: Target,
  rules: ConnectionRules,
  { connectTimeoutMs, signal }: ConnectionLimits,
  facts: GrowingFacts,
): Promise<Socket> {
  signal.throwIfAborted();
  const late = new AbortController();
  const timer = setTimeout(() => {
    const message = `no connection to ${hostPort(target)} within ${connectTimeoutMs} ms (${phaseOf(facts, target.secure)})`;
    late.abort(new OutboundError("CONNECT_TIMEOUT", message, { facts }));
  }, connectTimeoutMs);
  const ended = AbortSignal.any([signal, late.signal]);
  try {
    const startedAt = performance.now();
    const addresses = await resolveTarget(target, rules, ended);
    facts.dnsMs = performance.now() - startedAt;
    const socket = await openTcp(target, addresses, ended, facts);
    return target.secure ? await openTls(target, socket, rules.ca, ended, facts) : socket;
  } finally {
    clearTimeout(timer);
  }
}

async function openTcp(
  target: Target,
  addresses: readonly Address[],
  signal: AbortSignal,
  facts: GrowingFacts,
): Promise<Socket> {
  const startedAt = performance.now();
  const [first] = addresses;
  // The name is given for nothing but this: Node asks for its addresses here, and gets the checked ones.
  const lookup: LookupFunction = (_host, _options, answer) => {
    answer(
      null,
      addresses.map(({ text, family }) => ({ address: text, family })),
    );
  };
  const socket = connectTcp({
    host: target.literal === undefined || first === undefined ? target.host : first.text,
    port: target.port,
    lookup,
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: NEXT_ADDRESS_MS,
    noDelay: true,
  });
  try {
    await once(socket, "connect", { signal });
  } catch (error) {
    socket.destroy();
    signal.throwIfAborted();
    const message = `no connection to ${hostPort(target)}: ${causeCode(error)}`;
    throw new OutboundError("CONNECT_FAILED", message, { cause: error, facts });
  }
  // Whoever gets the socket next listens too; between the two an error must not end the process.
  socket.on("error", () => {});
  facts.connectMs = performance.now() - startedAt;
  // Undefined if the other side has hung up already: whoever writes to it finds out.
  const reached = socket.remoteAddress === undefined ? first : readAddress(socket.remoteAddress);
  if (reached === undefined || !addresses.some(({ text }) => text === reached.text)) {
    socket.destroy();
    throw new OutboundError("CONNECT_FAILED", `the connection to ${hostPort(target)} led elsewhere`, { facts });
  }
  facts.address = reached.text;
  return socket;
}

async function openTls(
  target: Target,
  tcp: Socket,
  ca: readonly string[] | undefined,
  signal: AbortSignal,
  facts: GrowingFacts,
): Promise<Socket> {
  const startedAt = performance.now();
  const host = bareHost(target.host);
  const socket = connectTls({
    socket: tcp,
    host,
    // Server names are names: the standard forbids addresses there.
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ...(ca === undefined ? {} : { ca: [...ca] }),
    ALPNProtocols: ["http/1.1"],
    minVersion: "TLSv1.2",
    // Judged below, before a byte is sent: a refused certificate is told of, and Node would throw it away.
    rejectUnauthorized: false,
  });
  try {
    await once(socket, "secureConnect", { signal });
  } catch (error) {
    socket.destroy();
    signal.throwIfAborted();
    const message = `the TLS handshake with ${hostPort(target)} failed: ${causeCode(error)}`;
    throw new OutboundError("TLS_ERROR", message, { cause: error, facts });
  }
  socket.on("error", () => {});
  facts.tlsMs = performance.now() - startedAt;
  const certificate = certificateOf(socket, Date.now());
  if (certificate !== undefined) facts.certificate = certificate;
  if (socket.authorized) return socket;
  socket.destroy();
  const problem = certificate?.problem ?? "none was presented";
  throw new OutboundError("TLS_ERROR", `the certificate of ${hostPort(target)} is not trusted: ${problem}`, { facts });
}

/** What an exchange was at, by how far it had come. */
export function phaseOf({ dnsMs, connectMs, tlsMs, firstByteMs }: ExchangeFacts, secure: boolean): string {
  if (dnsMs === undefined) return "while its name was looked up";
  if (connectMs === undefined) return "while connecting";
  if (secure && tlsMs === undefined) return "in the TLS handshake";
  return firstByteMs === undefined ? "while waiting for the response" : "in the response's body";
}
