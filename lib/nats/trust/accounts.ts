// The accounts of the bus, as the operator's JWTs describe them: SYS, where the servers talk of themselves; MYCEL, where the mesh's
// streams are and coordinators work; and MYCEL_AGENTS, which sees of it no more than agents need. Pure.

import { agentVerbFilter, OUTPUT_SUBJECTS_OF_AGENTS, SIGNALS_FILTER, TASKS_STREAM } from "../../wire/subjects.ts";
import type { Claims } from "./claims.ts";

/** The public keys of the operator and of the accounts. */
export interface TrustIds {
  readonly operator: string;
  readonly system: string;
  readonly mesh: string;
  readonly agents: string;
}

/** Until when which keys' credentials are revoked: a time of issue in seconds since 1970, by public key; `*` for everybody's. */
export type RevokedKeys = Readonly<Record<string, number>>;

/** All keys, where keys are revoked. */
export const EVERY_KEY = "*";

const UNLIMITED = -1;

/** What an account without JetStream may have; no account may have leaf nodes. */
const LIMITS = {
  subs: UNLIMITED,
  data: UNLIMITED,
  payload: UNLIMITED,
  imports: UNLIMITED,
  exports: UNLIMITED,
  wildcards: true,
  conn: UNLIMITED,
  leaf: 0,
  disallow_bearer: true,
};

/** What agents ask of the mesh's account: a service is answered by it, and the answer finds its way back by itself. */
const SERVICES: readonly { readonly name: string; readonly subject: string; readonly streams: boolean }[] = [
  // Many messages answer one pull.
  { name: "pulls", subject: `$JS.API.CONSUMER.MSG.NEXT.${TASKS_STREAM}.*`, streams: true },
  { name: "renewals", subject: `$JS.ACK.${TASKS_STREAM}.*.>`, streams: false },
  { name: "outputs", subject: OUTPUT_SUBJECTS_OF_AGENTS, streams: false },
  { name: "reports", subject: agentVerbFilter("report"), streams: false },
  { name: "heartbeats", subject: agentVerbFilter("heartbeat"), streams: false },
];

/** How long a pull may take to be answered in full, in nanoseconds: agents' pulls stand for half a minute. */
const PULL_THRESHOLD_NANOS = 120_000_000_000;

/** The operator: which keys sign accounts, and which account is the servers'. */
export function operatorClaims(ids: TrustIds, signingKeys: readonly string[], issuedAtS: number): Claims {
  return {
    subject: ids.operator,
    name: "mycel",
    kind: "operator",
    issuedAtS,
    nats: { signing_keys: signingKeys, system_account: ids.system },
  };
}

/** What changes of the accounts of the mesh itself. */
export interface AccountState {
  readonly issuedAtS: number;
  /** Users of the account whose credentials were replaced. */
  readonly revoked: RevokedKeys;
}

/** The servers' account. Its users push accounts' JWTs. */
export function systemAccountClaims(ids: TrustIds, { issuedAtS, revoked }: AccountState): Claims {
  const nats = { limits: LIMITS, revocations: revoked };
  return { subject: ids.system, name: "SYS", kind: "account", issuedAtS, nats };
}

/** The mesh's account, with JetStream: as much as the servers have. */
export function meshAccountClaims(ids: TrustIds, { issuedAtS, revoked }: AccountState): Claims {
  const services = SERVICES.map(({ name, subject, streams }) => ({
    name,
    subject,
    type: "service",
    ...(streams ? { response_type: "Stream", response_threshold: PULL_THRESHOLD_NANOS } : {}),
  }));
  return {
    subject: ids.mesh,
    name: "MYCEL",
    kind: "account",
    issuedAtS,
    nats: {
      limits: {
        ...LIMITS,
        mem_storage: UNLIMITED,
        disk_storage: UNLIMITED,
        streams: UNLIMITED,
        consumer: UNLIMITED,
        max_ack_pending: UNLIMITED,
      },
      exports: [...services, { name: "signals", subject: SIGNALS_FILTER, type: "stream" }],
      revocations: revoked,
    },
  };
}

/** The agents' account: no JetStream, no exports, and the few imports that make an agent. */
export function agentsAccountClaims(ids: TrustIds, { signingKeys, revoked, issuedAtS }: AgentsAccountState): Claims {
  const imports = [
    ...SERVICES.map(({ name, subject }) => ({ name, subject, account: ids.mesh, type: "service" })),
    { name: "signals", subject: SIGNALS_FILTER, account: ids.mesh, type: "stream" },
  ];
  return {
    subject: ids.agents,
    name: "MYCEL_AGENTS",
    kind: "account",
    issuedAtS,
    nats: { limits: LIMITS, imports, signing_keys: signingKeys, revocations: revoked },
  };
}

/** What changes of the agents' account. */
export interface AgentsAccountState {
  /** The public keys that sign agents' credentials. */
  readonly signingKeys: readonly string[];
  readonly revoked: RevokedKeys;
  readonly issuedAtS: number;
}
