// Where a call carries its principal. Nobody but the gate puts one there.

import { type ContextKey, type ContextValues, createContextKey } from "@connectrpc/connect";
import { ACTIONS, isAction } from "../../../lib/core/access/action.ts";
import type { Principal } from "../../../lib/core/access/principal.ts";
import { DEFAULT_TENANT } from "../../../lib/core/names.ts";

const PRINCIPAL: ContextKey<Principal | undefined> = createContextKey<Principal | undefined>(undefined, {
  description: "the principal of the call",
});

/** Everybody, where nobody has to show who it is. */
export const OPEN_PRINCIPAL: Principal = {
  kind: "open",
  id: "",
  tenant: DEFAULT_TENANT,
  grants: [{ actions: new Set(Object.keys(ACTIONS).filter(isAction)), taskTypes: ["*"], labels: {} }],
  expiresMs: Infinity,
};

/** Says who makes a call. */
export function setPrincipal(values: ContextValues, principal: Principal): ContextValues {
  return values.set(PRINCIPAL, principal);
}

/** Who makes a call; undefined for one that passed no gate. */
export function principalIn(values: ContextValues): Principal | undefined {
  return values.get(PRINCIPAL);
}
