// Reads the two tables that the agent reckons with: what instances cost, and how they were used in a month.
import { readFile } from "node:fs/promises";
import { parse } from "csv-parse/sync";
import { Decimal } from "decimal.js";
import { TerminalError } from "mycel/agent";
import { z } from "zod";

/** A line of the price list. */
export interface Price {
  readonly instance_type: string;
  readonly architecture: "x86_64" | "arm64";
  readonly burstable: boolean;
  readonly vcpu: number;
  readonly memory_gib: Decimal;
  readonly gpu: string;
  readonly on_demand_usd_hour: Decimal;
  readonly spot_usd_hour: Decimal;
  /** How many of a hundred instances are interrupted in a month. */
  readonly interruption_percent: Decimal;
}

/** How instances are paid for. */
export type Purchase = "on-demand" | "spot";

/** A line of the usage table: one instance in one month. */
interface Usage {
  readonly instance_id: string;
  readonly service: string;
  readonly workload: "stateless" | "stateful" | "batch";
  readonly instance_type: string;
  readonly purchase: Purchase;
  readonly hours: Decimal;
  readonly cpu_p50_percent: Decimal;
  readonly cpu_p95_percent: Decimal;
  readonly memory_p95_percent: Decimal;
}

/** An instance as it was used, with what its type costs. */
export interface Instance extends Usage {
  readonly price: Price;
}

// Money and hours never become floating-point numbers: 0.1 + 0.2 is 0.3 on an invoice.
const amount = z
  .string()
  .regex(/^\d+(\.\d+)?$/, "must be a number")
  .transform((text) => new Decimal(text));
const percent = amount.refine((value) => value.lte(100), "must be at most 100");
const name = z.string().min(1);

const priceRow: z.ZodType<Price> = z.object({
  instance_type: name,
  architecture: z.enum(["x86_64", "arm64"]),
  burstable: z.enum(["yes", "no"]).transform((word) => word === "yes"),
  vcpu: z.coerce.number().int().positive(),
  memory_gib: amount,
  gpu: name,
  on_demand_usd_hour: amount,
  spot_usd_hour: amount,
  interruption_percent: percent,
});

const usageRow: z.ZodType<Usage> = z.object({
  instance_id: name,
  service: name,
  workload: z.enum(["stateless", "stateful", "batch"]),
  instance_type: name,
  purchase: z.enum(["on-demand", "spot"]),
  hours: amount,
  cpu_p50_percent: percent,
  cpu_p95_percent: percent,
  memory_p95_percent: percent,
});

/** Both tables. */
export interface Tables {
  readonly prices: readonly Price[];
  readonly instances: readonly Instance[];
}

/** What is wrong with a table, in one line. */
export class TableError extends Error {
  override readonly name = "TableError";
}

/** Reads both files. Throws a TableError that names the file, the line and what is wrong. */
export async function readTables(pricesFile: string | URL, usageFile: string | URL): Promise<Tables> {
  const prices = await rowsOf(pricesFile, priceRow);
  const byType = new Map(prices.map((price) => [price.instance_type, price]));
  const usage = await rowsOf(usageFile, usageRow);
  const instances = usage.map((row) => {
    const price = byType.get(row.instance_type);
    if (price === undefined)
      throw new TableError(`${row.instance_id}: no price for instance type ${row.instance_type}`);
    return { ...row, price };
  });
  return { prices, instances };
}

/** What an hour of this type costs, in US dollars. */
export function hourly(price: Price, purchase: Purchase): Decimal {
  return purchase === "spot" ? price.spot_usd_hour : price.on_demand_usd_hour;
}

/** What the instance cost in its month. */
export function costOf({ price, purchase, hours }: Instance): Decimal {
  return hourly(price, purchase).times(hours);
}

/** The instances of the named services, or all. Throws a TerminalError for a service that there is not: asking again does not help. */
export function ofServices({ instances }: Tables, services: readonly string[] | undefined): readonly Instance[] {
  if (services === undefined) return instances;
  const known = new Set(instances.map(({ service }) => service));
  const unknown = services.filter((service) => !known.has(service));
  if (unknown.length > 0) {
    throw new TerminalError(`no service ${unknown.join(", ")}; there are ${[...known].join(", ")}`, {
      reason: "UNKNOWN_SERVICE",
      details: "",
    });
  }
  return instances.filter(({ service }) => services.includes(service));
}

async function rowsOf<Row>(file: string | URL, schema: z.ZodType<Row>): Promise<readonly Row[]> {
  const lines = await linesOf(file);
  return lines.map((line, i) => {
    const { success, data, error } = schema.safeParse(line);
    if (success) return data;
    const [issue] = error.issues;
    // The first line is the header.
    throw new TableError(`${file.toString()}, line ${i + 2}: ${issue?.path.join(".") ?? ""} ${issue?.message ?? ""}`);
  });
}

async function linesOf(file: string | URL): Promise<readonly unknown[]> {
  try {
    return parse(await readFile(file), { columns: true, skip_empty_lines: true, trim: true });
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    throw new TableError(`${file.toString()} cannot be read: ${error.message}`, { cause: error });
  }
}
