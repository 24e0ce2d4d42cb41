// The policy in force: what its file says, as soon as it says so. A new version that can't be read leaves the old one in force, and is
// told to the operator.

import { watch } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { ConfigError } from "../../../lib/config/config-error.ts";
import { matchesGlob } from "../../../lib/core/access/glob.ts";
import type { Grant } from "../../../lib/core/access/principal.ts";
import type { Logger } from "../../../lib/core/logger.ts";
import { DEFAULT_TENANT, isName } from "../../../lib/core/names.ts";
import type { Binding, Identity, Policy } from "./policy.ts";
import { NO_DOCUMENT, type PolicyDocument, readPolicy } from "./policy-document.ts";

/** What a live policy needs. */
export interface LivePolicyOptions {
  /** The file. Only the built-in roles, bound to nobody, if left out. */
  readonly file?: string | undefined;
  readonly logger: Logger;
  /** How often to look at the file where the system does not say that it changed, in milliseconds. From 10; default 5,000. */
  readonly lookMs?: number;
}

/** A policy that follows its file. */
export interface LivePolicy extends Policy, Disposable {
  /** Has a function called when another policy is in force. Returns what stops that. */
  onChange(changed: () => void): () => void;
}

const MAX_FILE_BYTES = 1024 * 1024;
const DEFAULT_LOOK_MS = 5_000;
/** Editors write a file in several steps. */
const SETTLE_MS = 50;
const MAX_REMEMBERED = 4_096;

const NOBODY: Binding = { tenant: DEFAULT_TENANT, roles: [] };

/** Opens the policy. Throws ConfigError when the file can't be read. */
export async function openLivePolicy(options: LivePolicyOptions): Promise<LivePolicy> {
  const { file, logger, lookMs = DEFAULT_LOOK_MS } = options;
  if (file === undefined) return new FollowedPolicy(NO_DOCUMENT);
  if (!(lookMs >= 10)) throw new RangeError(`lookMs must be at least 10, is ${lookMs}`);
  let text = await textOf(file);
  const policy = new FollowedPolicy(readPolicy(file, text));
  let complaint = "";

  const look = async (): Promise<void> => {
    try {
      const now = await textOf(file);
      if (now === text) return;
      policy.follow(readPolicy(file, now));
      text = now;
      complaint = "";
      logger.info({ file }, "another policy is in force");
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      if (message === complaint) return;
      complaint = message;
      logger.error({ file, mistake: message }, "the policy can't be read: the one before stays in force");
    }
  };
  policy.use(follow(file, lookMs, look));
  return policy;
}

/** Has a file looked at whenever it may have changed, one look at a time. */
function follow(file: string, lookMs: number, look: () => Promise<void>): Disposable {
  let settling: NodeJS.Timeout | undefined;
  let looking: Promise<void> = Promise.resolve();
  const soon = (): void => {
    settling ??= setTimeout(() => {
      settling = undefined;
      looking = looking.then(look);
    }, SETTLE_MS).unref();
  };
  const timer = setInterval(soon, lookMs).unref();
  // The folder, as files are replaced rather than written. Where there is no watching, there is the timer.
  const stack = new DisposableStack();
  try {
    const watcher = watch(dirname(file), { persistent: false }, soon);
    watcher.on("error", () => watcher.close());
    stack.defer(() => watcher.close());
  } catch {
    // No file system tells everything.
  }
  stack.defer(() => {
    clearInterval(timer);
    clearTimeout(settling);
  });
  return stack;
}

class FollowedPolicy implements LivePolicy {
  readonly #stack = new DisposableStack();
  readonly #listeners = new Set<() => void>();
  #document: PolicyDocument;
  #bindings = new Map<string, Binding | undefined>();
  #grants = new Map<string, readonly Grant[]>();

  constructor(document: PolicyDocument) {
    this.#document = document;
  }

  use(resource: Disposable): void {
    this.#stack.use(resource);
  }

  follow(document: PolicyDocument): void {
    this.#document = document;
    this.#bindings = new Map();
    this.#grants = new Map();
    for (const changed of this.#listeners) changed();
  }

  onChange(changed: () => void): () => void {
    this.#listeners.add(changed);
    return () => void this.#listeners.delete(changed);
  }

  bindingOf(identity: Identity): Binding {
    return this.#bound(identity) ?? this.#claimed(identity) ?? NOBODY;
  }

  grantsOf(roles: readonly string[]): readonly Grant[] {
    const key = roles.join(" ");
    const known = this.#grants.get(key);
    if (known !== undefined) return known;
    const grants = [...new Set(roles)].flatMap((role) => this.#document.roles.get(role) ?? []);
    remember(this.#grants, key, grants);
    return grants;
  }

  [Symbol.dispose](): void {
    this.#stack.dispose();
  }

  #bound({ kind, id }: Identity): Binding | undefined {
    const key = `${kind}:${id}`;
    if (this.#bindings.has(key)) return this.#bindings.get(key);
    const found = this.#document.bindings.find((each) => each.kind === kind && matchesGlob(each.pattern, id));
    remember(this.#bindings, key, found);
    return found;
  }

  #claimed({ kind, claims = {} }: Identity): Binding | undefined {
    const { tenant: tenantClaim, roles: rolesClaim } = this.#document.claims;
    if (kind !== "token" || rolesClaim === undefined) return undefined;
    const tenant = tenantClaim === undefined ? DEFAULT_TENANT : ownValue(claims, tenantClaim);
    if (typeof tenant !== "string" || !isName(tenant)) return undefined;
    return { tenant, roles: namesIn(ownValue(claims, rolesClaim)) };
  }
}

/** A list of names, or names with spaces between them, as the claim `scope` has it. */
function namesIn(claim: unknown): readonly string[] {
  const names: readonly unknown[] = typeof claim === "string" ? claim.split(" ") : Array.isArray(claim) ? claim : [];
  return names.filter((each): each is string => typeof each === "string" && isName(each));
}

function ownValue(claims: Readonly<Record<string, unknown>>, key: string): unknown {
  return Object.hasOwn(claims, key) ? claims[key] : undefined;
}

function remember<T>(map: Map<string, T>, key: string, value: T): void {
  if (map.size >= MAX_REMEMBERED) map.clear();
  map.set(key, value);
}

async function textOf(file: string): Promise<string> {
  try {
    const { size } = await stat(file);
    if (size > MAX_FILE_BYTES) throw new ConfigError(`${file} must have ${MAX_FILE_BYTES} bytes at most, has ${size}`);
    return new TextDecoder("utf-8", { fatal: true }).decode(await readFile(file));
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw new ConfigError(`${file} can't be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}
