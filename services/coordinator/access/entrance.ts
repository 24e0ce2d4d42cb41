// Whether callers have to show who they are, and the gate that they pass if so. A coordinator that others can reach is never open.

import { BlockList, isIP } from "node:net";
import { ConfigError } from "../../../lib/config/config-error.ts";
import type { Clock } from "../../../lib/core/clock.ts";
import type { CallGate } from "../../../lib/rpc/call-gate.ts";
import { peerOf } from "../../../lib/rpc/peer.ts";
import type { QuietLog } from "../quiet-log.ts";
import type { Authenticator } from "./authenticator.ts";
import { createCertificateAuthenticator } from "./certificate-authenticator.ts";
import { type Decision, openGate } from "./gate.ts";
import type { LivePolicy } from "./live-policy.ts";

/** What an entrance needs. */
export interface EntranceOptions {
  readonly policy: LivePolicy;
  /** Asked before certificates are looked at. */
  readonly authenticators: readonly Authenticator[];
  readonly clock: Pick<Clock, "now">;
  /** Told of every decision. */
  readonly onDecision: (decision: Decision) => void;
  readonly quiet: QuietLog;
}

/** An entrance that is guarded. */
export interface Entrance extends Disposable {
  readonly gate: CallGate;
}

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet("127.0.0.0", 8);
LOOPBACK.addAddress("::1", "ipv6");

/** Whether nobody but this machine reaches an address. Of a name only `localhost` says so. */
export function isLoopback(host: string): boolean {
  const version = isIP(host);
  return version === 0 ? host === "localhost" : LOOPBACK.check(host, version === 6 ? "ipv6" : "ipv4");
}

/** Throws ConfigError if callers need not show who they are at an address that others reach. */
export function checkOpen(host: string): void {
  if (isLoopback(host)) return;
  throw new ConfigError(
    `coordinator.listen (MYCEL_LISTEN) is ${host}, which others can reach, but nobody would have to show who it is: set ` +
      "access.adminKey (MYCEL_ADMIN_KEY), access.jwt.issuer (MYCEL_JWT_ISSUER) or access.policy (MYCEL_POLICY), or listen on 127.0.0.1",
  );
}

/** Opens an entrance. */
export function openEntrance({ policy, authenticators, clock, onDecision, quiet }: EntranceOptions): Entrance {
  const stack = new DisposableStack();
  const gate = stack.use(
    openGate({
      authenticators: [...authenticators, createCertificateAuthenticator(policy)],
      clock,
      onDecision: (decision) => {
        onDecision(decision);
        if (decision.refusal !== undefined) quiet(factsOf(decision), "call refused");
      },
    }),
  );
  stack.defer(policy.onChange(() => gate.recheck()));
  return { gate: gate.admit, [Symbol.dispose]: () => stack.dispose() };
}

function factsOf({ call: { method, values }, principal, refusal }: Decision): Record<string, unknown> {
  const cause = refusal?.cause instanceof Error ? refusal.cause.message : undefined;
  return {
    method: `${method.parent.typeName}/${method.name}`,
    peer: peerOf(values).address,
    reason: refusal?.reason,
    ...(cause === undefined ? {} : { why: cause }),
    ...(principal === undefined ? {} : { principal: `${principal.kind}:${principal.id}`, tenant: principal.tenant }),
  };
}
