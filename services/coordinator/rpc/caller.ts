// Who calls. Without authentication, everybody is the default tenant.

import type { HandlerContext } from "@connectrpc/connect";
import { DEFAULT_TENANT } from "../../../lib/core/names.ts";

/** The tenant on whose behalf a call is made. */
export function tenantOf(_context: HandlerContext): string {
  return DEFAULT_TENANT;
}
