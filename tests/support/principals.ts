// Who makes calls in tests that do without the gate.

import { createContextValues, type ContextValues, type Interceptor } from "@connectrpc/connect";
import type { Principal } from "../../lib/core/access/principal.ts";
import { OPEN_PRINCIPAL, setPrincipal } from "../../services/coordinator/access/principal-values.ts";

/** The values of a call by a principal; default the one of a mesh that is open. */
export function valuesOf(principal: Principal = OPEN_PRINCIPAL): ContextValues {
  return setPrincipal(createContextValues(), principal);
}

/** Makes all calls those of a principal; default the one of a mesh that is open. */
export function calledBy(principal: Principal = OPEN_PRINCIPAL): Interceptor {
  return (next) => (request) => {
    setPrincipal(request.contextValues, principal);
    return next(request);
  };
}
