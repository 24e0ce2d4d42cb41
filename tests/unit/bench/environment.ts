// Where the runs took place of which tests make reports.
import type { BenchEnvironment } from "../../../bench/support/environment.ts";

/** A machine that stands still. */
export const ENVIRONMENT: BenchEnvironment = {
  command: "npm run bench",
  date: "2026-11-21 09:00",
  commit: "abc",
  node: "v24",
  natsServer: "2.15.1",
  platform: "linux",
  cores: 2,
  memoryGiB: 24,
  loadBefore: 0,
};
