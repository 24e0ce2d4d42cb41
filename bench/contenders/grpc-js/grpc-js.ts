// @grpc/grpc-js, the usual gRPC server of Node, answering the empty call.

import type { ContenderKind } from "../../support/contender.ts";
import { installedVersion } from "../../support/installed-version.ts";
import { openEchoServer } from "../echo-server.ts";

/** How the registry knows it. */
export const GRPC_JS: ContenderKind = {
  id: "grpc-js",
  lacking: () => Promise.resolve(undefined),
  open: async (options) =>
    await openEchoServer(options, {
      id: "grpc-js",
      title: `@grpc/grpc-js ${await installedVersion("@grpc/grpc-js")}, empty unary call`,
    }),
};
