// KeyService: who makes keys, looks at them and revokes them.

import type { ServiceImpl } from "@connectrpc/connect";
import type { CreateKeyRequest, KeyService, ListKeysRequest } from "../../../gen/mycel/v1/key_service_pb.ts";
import { Violations } from "../../../lib/wire/validation.ts";
import type { KeyDesk } from "../access/keys/key-desk.ts";
import { principalOf } from "./caller.ts";

/** What the RPCs need. */
export interface KeyRpcParts {
  readonly desk: KeyDesk;
}

const MAX_ROLES = 16;
const MAX_DESCRIPTION_LENGTH = 256;
const MIN_LIFETIME_MS = 60_000;
const MAX_LIFETIME_MS: number = 3_650 * 86_400_000;
const MAX_PAGE_SIZE = 1_000;

/** Implements KeyService. */
export function keyRpcs({ desk }: KeyRpcParts): ServiceImpl<typeof KeyService> {
  return {
    createKey: (request, context) => {
      checkCreate(request);
      return desk.create(principalOf(context), request);
    },
    listKeys: (request, context) => {
      checkList(request);
      return desk.list(principalOf(context), request);
    },
    revokeKey: async (request, context) => {
      const v = new Violations();
      v.name("key_id", request.keyId);
      v.optionalName("tenant", request.tenant);
      v.throwIfAny();
      return { key: await desk.revoke(principalOf(context), request) };
    },
  };
}

function checkCreate({ roles, description, lifetime, tenant }: CreateKeyRequest): void {
  const v = new Violations();
  v.count("roles", roles.length, 1, MAX_ROLES);
  for (const [i, role] of roles.slice(0, MAX_ROLES).entries()) v.name(`roles[${i}]`, role);
  v.text("description", description, MAX_DESCRIPTION_LENGTH);
  v.duration("lifetime", lifetime, MIN_LIFETIME_MS, MAX_LIFETIME_MS);
  v.optionalName("tenant", tenant);
  v.throwIfAny();
}

function checkList({ pageSize, pageToken, tenant }: ListKeysRequest): void {
  const v = new Violations();
  if (pageSize < 0) v.add("page_size", `must be from 0 to ${MAX_PAGE_SIZE}, is ${pageSize}`);
  v.optionalName("page_token", pageToken);
  v.optionalName("tenant", tenant);
  v.throwIfAny();
}
