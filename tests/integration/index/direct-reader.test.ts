import { headers } from "@nats-io/nats-core";
import { expect, test } from "vitest";
import { LAST_SEQUENCE, SEQUENCE, SUBJECT } from "../../../lib/wire/headers.ts";
import { openMeshLog } from "../../support/mesh-log.ts";

test.for<[string, [number, number][], "whole" | "torn"]>([
  [
    "whole, gaps of the stream included",
    [
      [3, 0],
      [4, 3],
      [9, 4],
    ],
    "whole",
  ],
  [
    "cut at the start",
    [
      [4, 3],
      [9, 4],
    ],
    "torn",
  ],
  [
    "cut in the middle",
    [
      [3, 0],
      [9, 4],
    ],
    "torn",
  ],
])("an answer that arrives %s is %s", async ([, answers, verdict]) => {
  await using log = await openMeshLog();
  // A server that answers as JetStream does, so that a lost part can be played.
  log.connection.subscribe("$JS.API.DIRECT.GET.PLAYED", {
    callback: (_error, request) => {
      for (const [sequence, last] of answers) {
        const header = headers();
        header.set(SUBJECT, "task.t.a.e");
        header.set(SEQUENCE, String(sequence));
        header.set(LAST_SEQUENCE, String(last));
        request.respond("", { headers: header });
      }
      request.respond("", { headers: headers(204, "EOB") });
    },
  });
  const read = log.reader.read("PLAYED", { seq: 1, next_by_subj: "task.>", batch: 10 });
  if (verdict === "torn") await expect(read).rejects.toMatchObject({ reason: "BROKER_UNAVAILABLE" });
  else expect((await read).map(({ sequence }) => sequence)).toEqual([3, 4, 9]);
});
