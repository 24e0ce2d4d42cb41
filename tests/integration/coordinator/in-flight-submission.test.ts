// A replicated stream refuses a publish while another one of the same subject has no quorum yet: there is a conflict with what stands nowhere.
import { expect, test } from "vitest";
import { openParts } from "./open-parts.ts";

test("a submission that meets an earlier try of itself, which stands nowhere yet, may be tried again", async () => {
  await using parts = await openParts();
  const { publisher } = parts.log;
  publisher.publish = async () => await Promise.resolve({ kind: "conflict" });

  await expect(parts.submit({ taskId: "in-flight" })).rejects.toMatchObject({ reason: "BROKER_UNAVAILABLE" });
});
