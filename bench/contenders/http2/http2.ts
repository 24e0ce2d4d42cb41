// Node's own HTTP/2 server without any library on it, answering the empty call: the limit of what an RPC on Node can do.

import process from "node:process";
import type { ContenderKind } from "../../support/contender.ts";
import { openEchoServer } from "../echo-server.ts";

/** How the registry knows it. */
export const HTTP2: ContenderKind = {
  id: "http2",
  lacking: () => Promise.resolve(undefined),
  open: async (options) =>
    await openEchoServer(options, {
      id: "http2",
      title: `node:http2 of Node ${process.versions.node}, empty unary call`,
    }),
};
