import { SlowFirst } from "./tests/support/slow-first.ts";
import { defineConfig, type ViteUserConfig } from "vitest/config";

const config: ViteUserConfig = defineConfig({
  test: {
    include: ["tests/**/*.test.ts"],
    // These need other languages' toolchains, or minutes: npm run test:interop, npm run test:long.
    exclude: ["tests/interop/**", "tests/**/*.long.test.ts"],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Many tests wait, for elections and leases: one more than the cores that CI has.
    maxWorkers: 3,
    sequence: { sequencer: SlowFirst },
    reporters:
      process.env["CI"] === undefined ? ["default"] : ["default", ["json", { outputFile: ".cache/vitest.json" }]],
  },
});

export default config;
