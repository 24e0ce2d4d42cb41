// How deep a JSON value is nested: the mesh takes 30 levels of a result. Pure.
import type { JsonValue } from "@bufbuild/protobuf";

/** Whether `value` is nested deeper than `levels`; a list or an object is one level, whatever it holds. */
export function isDeeper(value: JsonValue, levels: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return levels === 0 || Object.values(value).some((item) => isDeeper(item, levels - 1));
}
