// What an agent may do on the bus, and the credential that says so: bound to a key that only the agent holds, exact to the subject.
//
// Agents live in an account of their own, which imports from the mesh's account just these few kinds of subjects. Permissions alone would
// not do: the broker answers to whatever reply subject a publisher names, with its own rights, so that a pull whose reply is
// `$JS.API.STREAM.DELETE.…` would delete a stream. In another account, the answer to it goes nowhere.

import { isName } from "../../core/names.ts";
import { agentSubject, inboxPrefix, signalSubject, TASKS_STREAM } from "../../wire/subjects.ts";
import { signClaims } from "./claims.ts";
import { isPublicKey, type SigningKey } from "./signing-key.ts";

/** Whom a credential is for, and for how long. */
export interface AgentCredentialRequest {
  readonly tenant: string;
  readonly agentId: string;
  /** The public part of the agent's key pair (`U…`). */
  readonly publicKey: string;
  /** The consumers that it may pull from. */
  readonly lanes: readonly { readonly stream: string; readonly consumer: string }[];
  /** When it ends, in milliseconds since 1970 by the wall clock; the second before counts. */
  readonly expiresMs: number;
}

/** What signs agents' credentials. */
export interface AgentSigner {
  /** A signing key of the agents' account. */
  readonly signingKey: SigningKey;
  /** The public key of the agents' account (`A…`). */
  readonly account: string;
}

/** The most subscriptions that an agent may hold; the stock one has four. */
const MAX_SUBSCRIPTIONS = 32;

/** The most bytes of one message: the broker's own bound. */
const MAX_PAYLOAD = 1024 * 1024;

/** Whether a text may be the public key of an agent. */
export function isAgentKey(text: string): boolean {
  return isPublicKey(text, "U");
}

/** Exactly what an agent publishes to, and subscribes to. */
export function agentPermissions({
  tenant,
  agentId,
  lanes,
}: Pick<AgentCredentialRequest, "tenant" | "agentId" | "lanes">): {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
} {
  return {
    publish: [
      agentSubject(tenant, agentId, "report"),
      agentSubject(tenant, agentId, "heartbeat"),
      `out.${tenant}.*.${agentId}.*`,
      ...lanes.flatMap(({ stream, consumer }) => [
        `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`,
        // It says that it still works on a delivery; a coordinator acknowledges.
        `$JS.ACK.${stream}.${consumer}.>`,
      ]),
    ],
    subscribe: [`${inboxPrefix(tenant, agentId)}.>`, signalSubject(tenant, agentId)],
  };
}

/**
 * Issues a user JWT for the agent's key. Throws a RangeError for what is no name, no key, or no lane of the tenant: none of it may stand in
 * a permission.
 */
export function issueAgentCredential(
  request: AgentCredentialRequest,
  { signingKey, account, nowMs }: AgentSigner & { readonly nowMs: number },
): string {
  const { tenant, agentId, publicKey, expiresMs } = request;
  check(request);
  const { publish, subscribe } = agentPermissions(request);
  const claims = {
    subject: publicKey,
    name: `${tenant}.${agentId}`,
    kind: "user",
    issuedAtS: Math.floor(nowMs / 1_000),
    expiresS: Math.floor(expiresMs / 1_000),
    nats: {
      issuer_account: account,
      pub: { allow: publish },
      sub: { allow: subscribe },
      subs: MAX_SUBSCRIPTIONS,
      payload: MAX_PAYLOAD,
      data: -1,
      allowed_connection_types: ["STANDARD", "WEBSOCKET"],
    },
  } as const;
  return signClaims(claims, signingKey);
}

function check({ tenant, agentId, publicKey, lanes, expiresMs }: AgentCredentialRequest): void {
  if (!isName(tenant)) throw new RangeError(`tenant ${JSON.stringify(tenant)} is no name`);
  if (!isName(agentId)) throw new RangeError(`agentId ${JSON.stringify(agentId)} is no name`);
  if (!isAgentKey(publicKey)) throw new RangeError("publicKey is not the public part of a user's key (U…)");
  if (!(expiresMs > 0 && Number.isFinite(expiresMs))) throw new RangeError(`expiresMs ${expiresMs} is no time`);
  for (const { stream, consumer } of lanes) {
    const isLane = /^[A-Za-z0-9_-]+=[A-Za-z0-9_-]+=\d+$/.test(consumer);
    if (stream !== TASKS_STREAM || !isLane || !consumer.startsWith(`${tenant}=`)) {
      throw new RangeError(`lane ${JSON.stringify(`${stream} ${consumer}`)} is none of tenant ${tenant}`);
    }
  }
}
