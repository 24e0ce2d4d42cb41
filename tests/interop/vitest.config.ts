// Tests with other languages' tools, which are built or installed on first use: `npm run test:interop`.
import { defineConfig, type ViteUserConfig } from "vitest/config";

const config: ViteUserConfig = defineConfig({
  test: {
    include: ["tests/interop/**/*.test.ts"],
    testTimeout: 120_000,
    // The first run compiles grpcurl and fills a Python environment.
    hookTimeout: 900_000,
    maxWorkers: 2,
  },
});

export default config;
