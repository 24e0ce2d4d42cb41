// Who gets in: each call's credential is verified and its action allowed before anything of its body is looked at; and calls that last
// end when that is no longer so. What credentials are is its authenticators' business, what tasks a call may touch that of who serves it.

import type { ConnectError, HandlerContext } from "@connectrpc/connect";
import { mayDo, mayDoWithAll } from "../../../lib/core/access/task-scope.ts";
import type { Grant, Principal } from "../../../lib/core/access/principal.ts";
import type { Clock } from "../../../lib/core/clock.ts";
import { MeshError } from "../../../lib/core/mesh-error.ts";
import { isName } from "../../../lib/core/names.ts";
import type { CallGate, CallPass } from "../../../lib/rpc/call-gate.ts";
import { peerOf } from "../../../lib/rpc/peer.ts";
import { rpcErrorOf } from "../interceptors/mesh-errors.ts";
import type { Authenticator, Credential } from "./authenticator.ts";
import { setPrincipal } from "./principal-values.ts";
import { actionNotAllowed, accessChanged, credentialInvalid, credentialMissing } from "./refusals.ts";
import { accessOf, type RpcAccess } from "./rpc-access.ts";

/** What a gate needs. */
export interface GateOptions {
  /** Asked in this order; the first to which a credential means anything has the last word on it. */
  readonly authenticators: readonly Authenticator[];
  readonly clock: Pick<Clock, "now">;
  /** Told of every call that was let in, and of every one that was refused or ended. Must not throw, nor take its time. */
  readonly onDecision?: (decision: Decision) => void;
}

/** What was decided about a call. */
export interface Decision {
  readonly call: HandlerContext;
  /** Who makes it, if that was found out. */
  readonly principal: Principal | undefined;
  /** Why it was refused, or was ended; undefined if it was let in. The cause says more than the caller is told. */
  readonly refusal: MeshError | undefined;
}

/** The gate. */
export interface Gate extends Disposable {
  readonly admit: CallGate;
  /** Looks again at all calls that go on, as what their callers may do may have changed. */
  recheck(): void;
}

/** The longest that a timer of Node waits. */
const MAX_TIMER_MS = 2_147_483_647;

/** Opens a gate. */
export function openGate(options: GateOptions): Gate {
  return new AuthenticatingGate(options);
}

class AuthenticatingGate implements Gate {
  readonly #options: GateOptions;
  readonly #passes = new Set<Pass>();
  readonly #stops: readonly (() => void)[];
  #isChecking = false;
  #again = false;

  constructor(options: GateOptions) {
    this.#options = options;
    this.#stops = options.authenticators.flatMap(
      (authenticator) => authenticator.onRevoked?.(() => this.recheck()) ?? [],
    );
  }

  readonly admit: CallGate = (call) => {
    const access = accessOf(call.method);
    if (access?.who === "anybody") return undefined;
    const credential = credentialOf(call);
    const found = this.#found(credential);
    if (!(found instanceof Promise)) return this.#letIn({ call, access, credential }, found);
    return found.then((principal) => this.#letIn({ call, access, credential }, principal));
  };

  recheck(): void {
    this.#again = true;
    if (!this.#isChecking) void this.#checkAll();
  }

  [Symbol.dispose](): void {
    for (const stop of this.#stops) stop();
  }

  /** The principal, or why there is none. */
  #found(credential: Credential): Principal | MeshError | Promise<Principal | MeshError> {
    try {
      const found = this.#authenticate(credential);
      return found instanceof Promise ? found.catch(inWords) : found;
    } catch (error) {
      return inWords(error);
    }
  }

  #authenticate(credential: Credential): Principal | Promise<Principal> {
    for (const [i, authenticator] of this.#options.authenticators.entries()) {
      const found = authenticator.authenticate(credential);
      if (found instanceof Promise) {
        return found.then((principal) =>
          principal === undefined ? this.#authenticateFrom(i + 1, credential) : this.#checked(principal),
        );
      }
      if (found !== undefined) return this.#checked(found);
    }
    throw unknownCredential(credential);
  }

  async #authenticateFrom(first: number, credential: Credential): Promise<Principal> {
    for (const authenticator of this.#options.authenticators.slice(first)) {
      const found = await authenticator.authenticate(credential);
      if (found !== undefined) return this.#checked(found);
    }
    throw unknownCredential(credential);
  }

  /** No authenticator is believed blindly: what it says becomes part of subjects. */
  #checked(principal: Principal): Principal {
    if (!isName(principal.tenant)) throw credentialInvalid(`its tenant ${JSON.stringify(principal.tenant)} is no name`);
    if (!(principal.expiresMs > this.#options.clock.now())) throw credentialInvalid("it has expired");
    return principal;
  }

  #letIn(caller: Caller, found: Principal | MeshError): CallPass {
    const { call, access } = caller;
    const principal = found instanceof MeshError ? undefined : found;
    const refusal = found instanceof MeshError ? found : lackOf(access, found);
    this.#options.onDecision?.({ call, principal, refusal });
    if (refusal !== undefined || principal === undefined) throw rpcErrorOf(refusal ?? credentialMissing());
    setPrincipal(call.values, principal);
    const { clock } = this.#options;
    return new Pass({ ...caller, principal, clock, passes: this.#passes, end: this.#end });
  }

  readonly #end = (pass: Pass, refusal: MeshError): void => {
    if (pass.end(rpcErrorOf(refusal))) {
      this.#options.onDecision?.({ call: pass.call, principal: pass.principal, refusal });
    }
  };

  async #checkAll(): Promise<void> {
    this.#isChecking = true;
    try {
      while (this.#again) {
        this.#again = false;
        const found = new Map<string, Principal | MeshError | Promise<Principal | MeshError>>();
        // What one call's end comes to is no reason to leave others as they are, now or the next time.
        await Promise.allSettled(
          [...this.#passes].map(async (pass) => {
            const key = keyOf(pass.credential);
            const principal = found.get(key) ?? this.#found(pass.credential);
            found.set(key, principal);
            this.#check(pass, await principal);
          }),
        );
      }
    } finally {
      this.#isChecking = false;
    }
  }

  #check(pass: Pass, found: Principal | MeshError): void {
    const { access, principal } = pass;
    const refusal = found instanceof MeshError ? found : lackOf(access, found);
    if (refusal !== undefined) this.#end(pass, refusal);
    else if (found instanceof MeshError || !isSame(found, principal)) this.#end(pass, accessChanged());
  }
}

/** Who asks to be let in. */
interface Caller {
  readonly call: HandlerContext;
  readonly access: RpcAccess | undefined;
  readonly credential: Credential;
}

interface PassParts extends Caller {
  readonly principal: Principal;
  readonly clock: Pick<Clock, "now">;
  /** Where it stands while its call is watched. */
  readonly passes: Set<Pass>;
  readonly end: (pass: Pass, refusal: MeshError) => void;
}

/** What a call that goes on was let in with. */
class Pass implements CallPass {
  readonly #parts: PassParts;
  #over: ((reason: ConnectError) => void) | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: PassParts) {
    this.#parts = parts;
  }

  get call(): HandlerContext {
    return this.#parts.call;
  }

  get access(): RpcAccess | undefined {
    return this.#parts.access;
  }

  get credential(): Credential {
    return this.#parts.credential;
  }

  get principal(): Principal {
    return this.#parts.principal;
  }

  watch(over: (reason: ConnectError) => void): () => void {
    this.#over = over;
    this.#parts.passes.add(this);
    if (this.principal.expiresMs !== Infinity) this.#awaitExpiry();
    return () => this.#stop();
  }

  /** Ends the call; false if it is over. */
  end(reason: ConnectError): boolean {
    const over = this.#over;
    this.#stop();
    over?.(reason);
    return over !== undefined;
  }

  #awaitExpiry(): void {
    const leftMs = this.principal.expiresMs - this.#parts.clock.now();
    if (leftMs <= 0) {
      this.#parts.end(this, credentialInvalid("it has expired while the call went on"));
      return;
    }
    // Of a wall clock that is set back, or a time that no timer counts, what is left is waited for anew.
    this.#timer = setTimeout(() => this.#awaitExpiry(), Math.min(leftMs, MAX_TIMER_MS));
    this.#timer.unref();
  }

  #stop(): void {
    this.#over = undefined;
    this.#parts.passes.delete(this);
    clearTimeout(this.#timer);
  }
}

/** What a principal lacks for a call; undefined if nothing. */
function lackOf(access: RpcAccess | undefined, principal: Principal): MeshError | undefined {
  if (access === undefined) return new MeshError("ACTION_NOT_ALLOWED", "nobody may make this call");
  const byToken = principal.kind === "stream-token" || principal.taskId !== undefined;
  if (access.who !== "allowed") {
    // One that is made to read a task's stream in a browser is not for the mesh itself.
    return byToken ? new MeshError("ACTION_NOT_ALLOWED", "this call can't be made with a stream token") : undefined;
  }
  const allows = access.tasks === "all" ? mayDoWithAll : mayDo;
  const lacked = access.actions.find((action) => (byToken && !access.streamToken) || !allows(principal, action));
  return lacked === undefined ? undefined : actionNotAllowed(lacked);
}

/** Of an authenticator that fails, the caller hears what it would hear of a bad credential. */
function inWords(error: unknown): MeshError {
  return error instanceof MeshError ? error : credentialInvalid("it could not be verified", error);
}

function credentialOf(call: HandlerContext): Credential {
  const authorization = call.requestHeader.get("authorization");
  const peer = peerOf(call.values);
  return authorization === null ? { peer } : { authorization, peer };
}

function unknownCredential({ authorization }: Credential): MeshError {
  return authorization === undefined ? credentialMissing() : credentialInvalid("nobody here knows its kind");
}

function keyOf({ authorization = "", peer: { address, certificate } }: Credential): string {
  return `${address} ${certificate?.fingerprint ?? ""} ${authorization}`;
}

/** Whether a principal is, for calls that go on, who it was. */
function isSame(a: Principal, b: Principal): boolean {
  if (a.tenant !== b.tenant || a.taskId !== b.taskId) return false;
  return a.grants === b.grants || JSON.stringify(a.grants.map(plainly)) === JSON.stringify(b.grants.map(plainly));
}

function plainly({ actions, taskTypes, labels }: Grant): unknown {
  return [[...actions].toSorted(), taskTypes, Object.entries(labels)];
}
