// Who is measured beside the mesh, in the order in which they are shown.

import type { Contender, ContenderKind } from "../support/contender.ts";
import { BULLMQ } from "./bullmq/bullmq.ts";
import { type FloorOptions, openFloor } from "./floor/floor.ts";
import { GRAPHILE_WORKER } from "./graphile-worker/graphile-worker.ts";
import { GRPC_JS } from "./grpc-js/grpc-js.ts";
import { HTTP2 } from "./http2/http2.ts";
import { PG_BOSS } from "./pg-boss/pg-boss.ts";
import { TEMPORAL } from "./temporal/temporal.ts";

/** A contender beside the mesh; it may ask what the mesh's messages weigh. */
export interface OtherKind extends Pick<ContenderKind, "id" | "lacking"> {
  /** As {@link ContenderKind.open}. */
  readonly open: (options: FloorOptions) => Promise<Contender>;
}

/** The floor, without which no run is worth anything, and the peers. */
export const OTHERS: readonly OtherKind[] = [
  { id: "floor", lacking: async () => undefined, open: openFloor },
  BULLMQ,
  GRAPHILE_WORKER,
  PG_BOSS,
  TEMPORAL,
  GRPC_JS,
  HTTP2,
];
