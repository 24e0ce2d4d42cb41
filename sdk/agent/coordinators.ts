// Owns the agent's RPC side: clients for the coordinators it was told of, taken in turn when one does not answer.
import { type Client, Code, ConnectError, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { BadRequestSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { AgentService } from "../../gen/mycel/v1/agent_service_pb.ts";
import { BlobService } from "../../gen/mycel/v1/blob_service_pb.ts";
import { ClientSession, letGo, securityOf } from "../../lib/rpc/client-session.ts";
import { tlsProblem } from "../../lib/tls/client-tls.ts";
import { type ResolvedAccess, withHeaders } from "../access/access-options.ts";
import { AgentError } from "./agent-error.ts";

/** Clients of the coordinators. */
export interface Coordinators {
  /** The coordinator in use, for messages. */
  readonly url: string;
  agents(): Client<typeof AgentService>;
  blobs(): Client<typeof BlobService>;
  /** Goes on from the coordinator with this URL to the next one, unless another call did that already. */
  leave(url: string): void;
  /** Closes all connections. */
  close(): void;
}

interface Peer {
  readonly url: string;
  readonly session: ClientSession;
  readonly transport: Transport;
}

// A connection that died without a word is noticed within the two together.
const PING_INTERVAL_MS = 5_000;
const PING_TIMEOUT_MS = 3_000;

/** Makes the clients. Throws {@link AgentError} INVALID_OPTION for no address at all. */
export function createCoordinators(
  urls: readonly string[],
  access: ResolvedAccess,
  interceptors: readonly Interceptor[],
): Coordinators {
  const { headers, interceptor } = access;
  const credentials = interceptor === undefined ? withHeaders(headers) : interceptor;
  const peers = urls.map((url): Peer => {
    const session = new ClientSession(
      url,
      { pingIntervalMs: PING_INTERVAL_MS, pingTimeoutMs: PING_TIMEOUT_MS },
      securityOf(url, access.tls),
    );
    const options = { baseUrl: url, sessionManager: session, interceptors: [...interceptors, credentials, letGo] };
    return { url, session, transport: createGrpcTransport(options) };
  });
  const [first] = peers;
  if (first === undefined) throw new AgentError("INVALID_OPTION", "url is missing: give url or urls");
  let at = 0;
  const current = (): Peer => peers[at % peers.length] ?? first;
  return {
    get url() {
      return current().url;
    },
    agents: () => createClient(AgentService, current().transport),
    blobs: () => createClient(BlobService, current().transport),
    leave: (url) => {
      if (url === current().url) at += 1;
    },
    close: () => {
      for (const peer of peers) peer.session.abort();
    },
  };
}

const FINAL_CODES: ReadonlySet<Code> = new Set([
  Code.InvalidArgument,
  Code.Unauthenticated,
  Code.PermissionDenied,
  Code.NotFound,
  Code.AlreadyExists,
  Code.FailedPrecondition,
  Code.Unimplemented,
  Code.OutOfRange,
  Code.DataLoss,
]);

/** Whether asking again, here or elsewhere, cannot help. */
export function isFinal(error: unknown): boolean {
  return error instanceof ConnectError && FINAL_CODES.has(error.code);
}

/** One line about a failed call, with every violation that the coordinator listed. */
export function callErrorLine(error: unknown): string {
  const failed = ConnectError.from(error);
  const handshake = tlsProblem(failed.cause);
  if (handshake !== undefined) return handshake;
  const violations = failed.findDetails(BadRequestSchema).flatMap((detail) => detail.fieldViolations);
  const listed = violations.map((violation) => `${violation.field}: ${violation.description}`).join("; ");
  return listed === "" ? (failed.rawMessage.split("\n", 1)[0] ?? "") : `${failed.rawMessage} (${listed})`;
}
