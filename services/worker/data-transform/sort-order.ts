// The order in which `sort` puts values of any kind. Pure.
import type { JsonValue } from "@bufbuild/protobuf";
import type { SortOperation } from "../../../gen/mycel/tasks/v1/data_transform_pb.ts";
import { valueAt } from "./json-path.ts";

/** The items in the order of `operation`; equal ones keep theirs. */
export function sorted(items: readonly JsonValue[], operation: SortOperation): JsonValue[] {
  const compareText = textOrder(operation);
  const direction = operation.descending ? -1 : 1;
  return items
    .map((item) => ({ item, key: valueAt(item, operation.by) ?? null }))
    .sort((a, b) => {
      // What has no value is last in either direction.
      if (a.key === null || b.key === null) return Number(a.key === null) - Number(b.key === null);
      return direction * compare(a.key, b.key, compareText);
    })
    .map(({ item }) => item);
}

function compare(a: JsonValue, b: JsonValue, compareText: (a: string, b: string) => number): number {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (typeof a === "string" && typeof b === "string") return compareText(a, b);
  return rankOf(a) - rankOf(b);
}

function rankOf(value: JsonValue): number {
  if (typeof value === "number") return 0;
  if (typeof value === "string") return 1;
  if (typeof value === "boolean") return value ? 3 : 2;
  return 4;
}

function textOrder({ locale, numeric }: SortOperation): (a: string, b: string) => number {
  if (locale === "" && !numeric) return (a, b) => (a < b ? -1 : Number(a > b));
  const collator = new Intl.Collator(locale === "" ? "en" : locale, { numeric });
  return (a, b) => collator.compare(a, b);
}
