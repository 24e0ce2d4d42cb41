// An agent of one's own: it knows what a company's machines cost, and what could be done about it.
import { capability, defineAgent, runAgent } from "mycel/agent";
import { analyzeCost } from "./analyze-cost.ts";
import { analyzeCostInput, migrateToSpotInput, rightSizeInput } from "./inputs.ts";
import { migrateToSpot } from "./migrate-to-spot.ts";
import { rightSize } from "./right-size.ts";
import { readTables, TableError } from "./tables.ts";

const tables = await readTables(
  process.env["COST_PRICES"] ?? new URL("data/prices.csv", import.meta.url),
  process.env["COST_USAGE"] ?? new URL("data/usage.csv", import.meta.url),
).catch((error: unknown) => {
  if (!(error instanceof TableError)) throw error;
  console.error(`cost agent: ${error.message}`);
  process.exit(2);
});

const agent = defineAgent({
  name: "cost",
  concurrency: 4,
  capabilities: {
    analyze_cost: capability({
      description: "Where the money of a month goes: { services?, top? }.",
      parse: analyzeCostInput,
      run: ({ input }, { output, progress }) =>
        analyzeCost(tables, input, async (service, done) => {
          await output(service);
          progress(done, service.service);
        }),
    }),
    migrate_to_spot: capability({
      description: "What may move to spot, and its risk: { services?, maxInterruptionPercent?, keepOnDemand? }.",
      parse: migrateToSpotInput,
      run: ({ input }, { output, progress }) =>
        migrateToSpot(tables, input, async (move, done) => {
          await output(move);
          progress(done, move.instanceId);
        }),
    }),
    right_size: capability({
      description: "Which instances are too large or too small: { services?, headroomPercent? }.",
      parse: rightSizeInput,
      run: ({ input }, { output, progress }) =>
        rightSize(tables, input, async (sizing, done) => {
          await output(sizing);
          progress(done, sizing.instanceId);
        }),
    }),
  },
});
await runAgent(agent, { url: process.env["MYCEL_URL"] ?? "http://127.0.0.1:8080" });
