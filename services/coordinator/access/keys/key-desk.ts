// Makes, shows and revokes keys for those who may. Whether somebody may at all is the gate's word; whose keys, and with which roles, is
// decided here.

import { create } from "@bufbuild/protobuf";
import { type ApiKey, ApiKeySchema } from "../../../../gen/mycel/v1/api_key_pb.ts";
import type { CreateKeyRequest, ListKeysRequest, RevokeKeyRequest } from "../../../../gen/mycel/v1/key_service_pb.ts";
import { excessOf } from "../../../../lib/core/access/excess.ts";
import { principalName } from "../../../../lib/core/access/principal-name.ts";
import type { Principal } from "../../../../lib/core/access/principal.ts";
import type { Clock } from "../../../../lib/core/clock.ts";
import { MeshError } from "../../../../lib/core/mesh-error.ts";
import type { KeyStore } from "../../../../lib/nats/key-store.ts";
import { msFromDuration, msFromTimestamp, timestampFromMs } from "../../../../lib/wire/time-codec.ts";
import { Violations } from "../../../../lib/wire/validation.ts";
import type { Policy } from "../policy.ts";
import { actionNotAllowed } from "../refusals.ts";
import { keyPrefix, newKey, OPERATOR_KEY_ID } from "./key-text.ts";

/** What keeping keys needs. */
export interface KeyDeskParts {
  readonly keys: Pick<KeyStore, "list" | "add" | "change" | "remove">;
  readonly policy: Pick<Policy, "grantsOf">;
  readonly clock: Pick<Clock, "now">;
  /** How many keys a tenant can have at most. Default 10,000. */
  readonly maxKeys?: number;
}

const MAX_KEYS = 10_000;
const DAY_MS = 86_400_000;
/** How long a key is shown after its end, in milliseconds. */
const SHOWN_MS: number = 30 * DAY_MS;
const DEFAULT_PAGE_SIZE = 100;
const MAX_PAGE_SIZE = 1_000;

/** Keeps the keys. Every method throws MeshError ACTION_NOT_ALLOWED for a foreign tenant, and BROKER_UNAVAILABLE. */
export class KeyDesk {
  readonly #parts: KeyDeskParts;

  constructor(parts: KeyDeskParts) {
    this.#parts = parts;
  }

  /** Makes a key; also throws INVALID_REQUEST for roles that the policy does not know, and KEY_LIMIT. */
  async create(
    principal: Principal,
    request: CreateKeyRequest,
  ): Promise<{ readonly key: ApiKey; readonly secret: string }> {
    const { keys, clock, maxKeys = MAX_KEYS } = this.#parts;
    const tenant = tenantFor(principal, request.tenant);
    this.#checkRoles(principal, request.roles);
    await this.#tidy(tenant);
    if (keys.list(tenant).length >= maxKeys) {
      const said = `the tenant has ${maxKeys} keys already; revoked ones count for 30 days`;
      throw new MeshError("KEY_LIMIT", said, { retryDelayMs: DAY_MS });
    }
    const { keyId, text, sha256 } = newKey();
    const nowMs = clock.now();
    const lifetimeMs = msFromDuration(request.lifetime);
    const key = create(ApiKeySchema, {
      keyId,
      prefix: keyPrefix(keyId),
      tenant,
      roles: [...new Set(request.roles)],
      description: request.description,
      createTime: timestampFromMs(nowMs),
      creator: principalName(principal),
      ...(lifetimeMs === undefined ? {} : { expireTime: timestampFromMs(nowMs + lifetimeMs) }),
    });
    if (!(await keys.add({ key, secretSha256: sha256 }))) {
      throw new MeshError("CONFLICT", "another key has got the id that was made up", { retryDelayMs: 1 });
    }
    return { key, secret: text };
  }

  /** A page of keys. */
  list(principal: Principal, request: ListKeysRequest): { readonly keys: ApiKey[]; readonly nextPageToken: string } {
    const { pageSize, pageToken, includeEnded } = request;
    const tenant = tenantFor(principal, request.tenant);
    const nowMs = this.#parts.clock.now();
    const size = Math.min(pageSize || DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE);
    const after = this.#parts.keys
      .list(tenant)
      .filter((key) => key.keyId > pageToken && (includeEnded ? !isForgotten(key, nowMs) : endMs(key) > nowMs));
    const page = after.slice(0, size);
    return { keys: page, nextPageToken: after.length > size ? (page.at(-1)?.keyId ?? "") : "" };
  }

  /** Revokes a key; also throws KEY_NOT_FOUND. */
  async revoke(principal: Principal, request: RevokeKeyRequest): Promise<ApiKey> {
    const { keyId } = request;
    const tenant = tenantFor(principal, request.tenant);
    const nowMs = this.#parts.clock.now();
    const revoked = await this.#parts.keys.change(keyId, (standing) => {
      if (standing.tenant !== tenant) throw keyNotFound(keyId);
      if (standing.revokeTime !== undefined) return standing;
      return { ...standing, revokeTime: timestampFromMs(nowMs), revoker: principalName(principal) };
    });
    if (revoked === undefined) throw keyNotFound(keyId);
    return revoked;
  }

  #checkRoles(principal: Principal, roles: readonly string[]): void {
    const { policy } = this.#parts;
    const v = new Violations();
    for (const [i, role] of roles.entries()) {
      if (policy.grantsOf([role]).length === 0) v.add(`roles[${i}]`, `the policy has no role ${JSON.stringify(role)}`);
    }
    v.throwIfAny();
    if (mayNameTenants(principal)) return;
    const excess = excessOf(principal.grants, policy.grantsOf(roles));
    if (excess !== undefined) throw actionNotAllowed(excess);
  }

  /** Forgets keys whose end is long past. */
  async #tidy(tenant: string): Promise<void> {
    const { keys, clock } = this.#parts;
    const nowMs = clock.now();
    for (const key of keys.list(tenant)) if (isForgotten(key, nowMs)) await keys.remove(key.keyId);
  }
}

/** Who may do everything in all tenants: the operator, and everybody where nobody has to show who it is. */
function mayNameTenants({ kind, id }: Principal): boolean {
  return kind === "open" || (kind === "key" && id === OPERATOR_KEY_ID);
}

function tenantFor(principal: Principal, named: string): string {
  if (named === "" || named === principal.tenant) return principal.tenant;
  if (mayNameTenants(principal)) return named;
  throw new MeshError("ACTION_NOT_ALLOWED", "only the operator's key may name another tenant", {
    metadata: { action: "key:admin" },
  });
}

/** When a key ended or will end, in milliseconds since 1970; Infinity if never. */
function endMs({ revokeTime, expireTime }: ApiKey): number {
  return Math.min(msFromTimestamp(revokeTime) ?? Infinity, msFromTimestamp(expireTime) ?? Infinity);
}

function isForgotten(key: ApiKey, nowMs: number): boolean {
  return nowMs - endMs(key) > SHOWN_MS;
}

/** The error for a key that is not there, or not the tenant's. */
function keyNotFound(keyId: string): MeshError {
  return new MeshError("KEY_NOT_FOUND", `no key ${JSON.stringify(keyId)}`, {
    resource: { type: "mycel.v1.ApiKey", name: keyId },
  });
}
