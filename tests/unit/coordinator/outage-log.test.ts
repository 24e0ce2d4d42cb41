import { expect, test } from "vitest";
import { type Logger, silentLogger } from "../../../lib/core/logger.ts";
import { MeshError } from "../../../lib/core/mesh-error.ts";
import { outageLog } from "../../../services/coordinator/interceptors/outage-log.ts";
import { quietLog } from "../../../services/coordinator/quiet-log.ts";

test("an outage is told once a second, with its cause and how often it was not told", () => {
  const lines: unknown[] = [];
  let nowMs = 0;
  const logger: Logger = {
    ...silentLogger,
    warn: (fields, message) => lines.push([fields["unsaid"], fields["cause"], message]),
  };
  const tell = outageLog(quietLog(logger, { now: () => 0, monotonicMs: () => nowMs }));
  const error = new MeshError("BROKER_UNAVAILABLE", "no log", { cause: new Error("timeout") });
  for (nowMs of [0, 1, 999, 1_000, 1_001, 5_000]) tell(error);
  expect(lines).toEqual([
    [0, "timeout", "no log"],
    [2, "timeout", "no log"],
    [1, "timeout", "no log"],
  ]);
});
