// What each task takes, as types and as schemas that check the input and fill in its defaults.
import { z } from "zod";

/** The input of `analyze_cost`. */
export interface AnalyzeCostInput {
  /** Only these; all if left out. */
  readonly services?: readonly string[] | undefined;
  /** How many of the dearest instances to name. From 1 to 100; 5 if left out. */
  readonly top: number;
}

/** The input of `migrate_to_spot`. */
export interface MigrateToSpotInput {
  /** Only these; all if left out. */
  readonly services?: readonly string[] | undefined;
  /** How many of a hundred instances may be interrupted in a month. From 0 to 100; 15 if left out. */
  readonly maxInterruptionPercent: number;
  /** How many instances of each stateless service stay on demand. From 0 to 1,000; 1 if left out. */
  readonly keepOnDemand: number;
}

/** The input of `right_size`. */
export interface RightSizeInput {
  /** Only these; all if left out. */
  readonly services?: readonly string[] | undefined;
  /** How much room to leave above the 95th percentile. From 0 to 200; 20 if left out. */
  readonly headroomPercent: number;
}

const services = z.array(z.string()).min(1).max(100).optional();

/** Reads the input of `analyze_cost`. */
export const analyzeCostInput: (input: unknown) => AnalyzeCostInput = readBy(
  z.strictObject({ services, top: z.number().int().min(1).max(100).default(5) }),
);

/** Reads the input of `migrate_to_spot`. */
export const migrateToSpotInput: (input: unknown) => MigrateToSpotInput = readBy(
  z.strictObject({
    services,
    maxInterruptionPercent: z.number().min(0).max(100).default(15),
    keepOnDemand: z.number().int().min(0).max(1_000).default(1),
  }),
);

/** Reads the input of `right_size`. */
export const rightSizeInput: (input: unknown) => RightSizeInput = readBy(
  z.strictObject({ services, headroomPercent: z.number().min(0).max(200).default(20) }),
);

/** Tells all that is wrong in one line, where zod's own error has many. */
function readBy<Output>(schema: z.ZodType<Output>): (input: unknown) => Output {
  return (input) => {
    const { success, data, error } = schema.safeParse(input ?? {});
    if (success) return data;
    throw new Error(error.issues.map(({ path, message }) => [...path, message].join(": ")).join("; "));
  };
}
