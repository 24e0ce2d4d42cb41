// How a principal is called where it is recorded: one text that stands for it among all of a tenant.

import type { Principal } from "./principal.ts";

/** The name of a principal, `<kind>:<id>`, as bindings of the policy have it; empty for everybody, where nobody has to show who it is. */
export function principalName({ kind, id }: Pick<Principal, "kind" | "id">): string {
  return kind === "open" ? "" : `${kind}:${id}`;
}
