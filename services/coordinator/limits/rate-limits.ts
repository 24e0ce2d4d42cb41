// How fast callers may come: requests of each address, tasks of each caller and tenant, and wrong credentials of each address. Counted in
// this coordinator alone: behind a balancer, several coordinators let in several times as much.

import type { DescMethod } from "@bufbuild/protobuf";
import type { ConnectError, HandlerContext } from "@connectrpc/connect";
import { AgentService } from "../../../gen/mycel/v1/agent_service_pb.ts";
import type { Principal } from "../../../lib/core/access/principal.ts";
import { MeshError } from "../../../lib/core/mesh-error.ts";
import type { CallGate, CallPass } from "../../../lib/rpc/call-gate.ts";
import { principalIn } from "../access/principal-values.ts";
import { accessOf } from "../access/rpc-access.ts";
import { rpcErrorOf } from "../interceptors/mesh-errors.ts";
import { behindProxies, clientAddressIn, networkOf } from "./client-address.ts";
import { MinuteLimit } from "./minute-limit.ts";

/** The limits, each a minute; 0 for none. */
export interface RateLimitSettings {
  /** Requests of one address; of IPv6, of one /64 network. */
  readonly requestsPerAddress: number;
  /** Tasks that one caller submits. */
  readonly tasksPerPrincipal: number;
  /** Tasks that all callers of one tenant submit. */
  readonly tasksPerTenant: number;
  /** Calls with a bad credential of one address that are told so; further ones are told to come again when the minute is over. */
  readonly badCredentialsPerAddress: number;
  /** Addresses and ranges of proxies whose `x-forwarded-for` is taken for the address. */
  readonly trustedProxies: readonly string[];
}

/** What agents need to come and go, which a whole fleet may do at once. */
const OF_AGENTS: ReadonlySet<DescMethod> = new Set([
  AgentService.method.registerAgent,
  AgentService.method.deregisterAgent,
]);

/** How many times as often as other calls an address may make those. */
const AGENTS_SHARE = 10;

/** Hears of calls that were refused before anything else was looked at. */
export type OnLimited = (call: HandlerContext, refusal: MeshError) => void;

/** Admits tasks, or throws MeshError RATE_LIMITED. */
export type AdmitTasks = (call: Pick<HandlerContext, "values">, tasks: number) => Promise<void>;

/** The limits at work. */
export interface RateLimits {
  /** The same gate behind the limits of addresses. */
  limited(gate: CallGate | undefined): CallGate | undefined;
  /** Undefined if tasks are not limited. */
  readonly admitTasks: AdmitTasks | undefined;
}

/**
 * Makes the limits.
 *
 * @throws RangeError for a proxy that is neither an address nor a range.
 */
export function createRateLimits(settings: RateLimitSettings, onLimited: OnLimited = () => undefined): RateLimits {
  const requests = limitOf(settings.requestsPerAddress);
  const agents = limitOf(settings.requestsPerAddress * AGENTS_SHARE);
  const bad = limitOf(settings.badCredentialsPerAddress);
  const ofPrincipal = limitOf(settings.tasksPerPrincipal);
  const ofTenant = limitOf(settings.tasksPerTenant);
  return {
    limited: (gate) => {
      const limitless = requests === undefined && (bad === undefined || gate === undefined);
      return behindProxies(
        limitless ? gate : limitedGate({ gate, requests, agents, bad, onLimited }),
        settings.trustedProxies,
      );
    },
    admitTasks: ofPrincipal === undefined && ofTenant === undefined ? undefined : taskAdmission(ofPrincipal, ofTenant),
  };
}

interface GateLimits {
  readonly gate: CallGate | undefined;
  readonly requests: MinuteLimit | undefined;
  /** For agents that come and go: whoever submits from the same address does not keep them out. */
  readonly agents: MinuteLimit | undefined;
  readonly bad: MinuteLimit | undefined;
  readonly onLimited: OnLimited;
}

function limitedGate({ gate, requests, agents, bad, onLimited }: GateLimits): CallGate {
  const admit = async (call: HandlerContext, network: string): Promise<void> => {
    const limit = OF_AGENTS.has(call.method) ? agents : requests;
    const waitMs = await limit?.take(network);
    if (waitMs !== undefined) throw refused(call, network, `${limit?.points} requests`, waitMs);
  };
  const refused = (call: HandlerContext, network: string, what: string, waitMs: number): ConnectError => {
    const refusal = rateLimited(`address:${network}`, `${what} a minute from one address`, waitMs);
    onLimited(call, refusal);
    return rpcErrorOf(refusal);
  };
  const enter = async (call: HandlerContext): Promise<CallPass | undefined> => {
    const network = networkOf(clientAddressIn(call.values));
    await admit(call, network);
    try {
      return await gate?.(call);
    } catch (error) {
      // Never before the gate was asked: one with an old credential would shut out all who share its address, and agents their bus.
      const waitMs = isBadCredential(error) ? await bad?.take(network) : undefined;
      if (waitMs === undefined) throw error;
      throw refused(call, network, `${bad?.points} calls with a bad credential`, waitMs);
    }
  };
  // Orchestrators look often whether a coordinator is well.
  return (call) => (accessOf(call.method)?.who === "anybody" ? gate?.(call) : enter(call));
}

function taskAdmission(ofPrincipal: MinuteLimit | undefined, ofTenant: MinuteLimit | undefined): AdmitTasks {
  const admit = async (limit: MinuteLimit, subject: string, tasks: number): Promise<void> => {
    const waitMs = await limit.take(subject, tasks);
    if (waitMs === undefined) return;
    const [kind] = subject.split(":", 1);
    // More at once than a minute has is not lifted by waiting.
    const afterMs = tasks > limit.points ? undefined : waitMs;
    throw rateLimited(subject, `${limit.points} tasks a minute of one ${kind}`, afterMs);
  };
  return async (call, tasks) => {
    const principal = principalIn(call.values);
    if (principal === undefined) return;
    const who = principal.kind === "open" ? `open:${networkOf(clientAddressIn(call.values))}` : nameOf(principal);
    if (ofPrincipal !== undefined) await admit(ofPrincipal, `caller:${principal.tenant}/${who}`, tasks);
    if (ofTenant !== undefined) await admit(ofTenant, `tenant:${principal.tenant}`, tasks);
  };
}

function nameOf({ kind, id }: Principal): string {
  return `${kind}:${id}`;
}

function limitOf(points: number): MinuteLimit | undefined {
  return points === 0 ? undefined : new MinuteLimit(points);
}

function rateLimited(subject: string, limit: string, waitMs: number | undefined): MeshError {
  return new MeshError("RATE_LIMITED", `too fast: at most ${limit}`, {
    metadata: { subject, limit },
    ...(waitMs === undefined ? {} : { retryDelayMs: waitMs }),
  });
}

function isBadCredential(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { cause } = error;
  return cause instanceof MeshError && cause.reason === "CREDENTIAL_INVALID";
}
