// Random requests from the descriptors of the contract: values within and beyond the bounds, and values of no sense at all.
import { type DescField, type DescMessage, ScalarType } from "@bufbuild/protobuf";
import * as fc from "fast-check";
import { BOUNDS, VALID } from "./field-bounds.ts";

const INT32: fc.Arbitrary<number> = fc.oneof(
  fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  fc.constantFrom(0, 1, -1, 2 ** 31 - 1, -(2 ** 31)),
);
const INT64: fc.Arbitrary<bigint> = fc.oneof(
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.constantFrom(0n, 1n, -1n, 2n ** 53n, 2n ** 63n - 1n),
);
const UINT64: fc.Arbitrary<bigint> = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  fc.constantFrom(0n, 2n ** 53n + 1n, 2n ** 64n - 1n),
);
const TEXT: fc.Arbitrary<string> = fc.oneof(
  fc.string({ unit: "binary", maxLength: 80 }),
  fc.string({ unit: "grapheme", maxLength: 20 }),
  fc.constantFrom(
    "",
    "*",
    ">",
    "..",
    "\u0000",
    "\r\n",
    "__proto__",
    "constructor",
    "\u202e",
    "\u001b[2J",
    "%00",
    "{{1}}",
    "x".repeat(5_000),
  ),
);
const BYTES: fc.Arbitrary<Uint8Array> = fc.uint8Array({ maxLength: 300 });

/** A JSON value in Protobuf, now and then with what JSON does not have. */
const { value: VALUE } = fc.letrec<{ value: object }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.record({ kind: fc.record({ case: fc.constant("numberValue"), value: fc.double() }) }),
    fc.record({ kind: fc.record({ case: fc.constant("stringValue"), value: TEXT }) }),
    fc.record({ kind: fc.record({ case: fc.constant("boolValue"), value: fc.boolean() }) }),
    fc.constantFrom({}, { kind: { case: "nullValue", value: 0 } }, { kind: { case: "nullValue", value: 7 } }),
    fc.record({
      kind: fc.record({
        case: fc.constant("listValue"),
        value: fc.record({ values: fc.array(tie("value"), { maxLength: 4 }) }),
      }),
    }),
    fc.record({
      kind: fc.record({
        case: fc.constant("structValue"),
        value: fc.record({ fields: fc.dictionary(TEXT, tie("value"), { maxKeys: 4 }) }),
      }),
    }),
  ),
}));

const WELL_KNOWN: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  "google.protobuf.Duration": fc.record({ seconds: INT64, nanos: INT32 }),
  "google.protobuf.Timestamp": fc.record({ seconds: INT64, nanos: INT32 }),
  "google.protobuf.Value": VALUE,
  "google.protobuf.Any": fc.record({ typeUrl: TEXT, value: BYTES }),
};

/** A random message of a type. Required fields of requests are mostly there, so that they get beyond the first check. */
export function messageOf(message: DescMessage): fc.Arbitrary<object> {
  const wellKnown = WELL_KNOWN[message.typeName];
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- each is a record
  if (wellKnown !== undefined) return wellKnown as fc.Arbitrary<object>;
  const singles = message.fields.filter(({ oneof }) => oneof === undefined || oneof.fields.length === 1);
  const members = Object.fromEntries(
    singles.map((field) => [field.localName, fc.option(valueOf(field), { nil: undefined, freq: 1 })]),
  );
  const choices = Object.fromEntries(
    message.oneofs.map(({ localName, fields }) => {
      const chosen = fields.map((field) => valueOf(field).map((value) => ({ case: field.localName, value })));
      return [localName, fc.option(fc.oneof(...chosen), { nil: undefined, freq: 1 })];
    }),
  );
  return fc.record({ ...members, ...choices }, { requiredKeys: [] }).map((made) => ({
    ...VALID[message.name],
    ...Object.fromEntries(Object.entries(made).filter(([, value]) => value !== undefined)),
  }));
}

/** A value of a field: from its bounds, mostly within them, or any that its type can carry. */
function valueOf(field: DescField): fc.Arbitrary<unknown> {
  const any = anyOf(field);
  const cases = BOUNDS[`${field.parent.name}.${field.name}`]?.filter(({ value }) => sizeOf(value) < 20_000) ?? [];
  const [within, beyond] = [cases.filter(({ fits }) => fits), cases.filter(({ fits }) => !fits)];
  const pick = (some: typeof cases): fc.Arbitrary<unknown> => fc.constantFrom(...some.map(({ value }) => value));
  return fc.oneof(
    { arbitrary: within.length > 0 ? pick(within) : any, weight: 6 },
    { arbitrary: beyond.length > 0 ? pick(beyond) : any, weight: 1 },
    { arbitrary: any, weight: 1 },
  );
}

function anyOf(field: DescField): fc.Arbitrary<unknown> {
  switch (field.fieldKind) {
    case "scalar":
      return scalarOf(field.scalar);
    case "enum":
      return INT32;
    case "message":
      return messageOf(field.message);
    case "list": {
      const item =
        field.listKind === "message"
          ? messageOf(field.message)
          : field.listKind === "enum"
            ? INT32
            : scalarOf(field.scalar);
      return fc.array(item, { maxLength: 6 });
    }
    case "map":
      return fc.dictionary(TEXT, TEXT, { maxKeys: 40 });
  }
}

function scalarOf(type: ScalarType): fc.Arbitrary<unknown> {
  switch (type) {
    case ScalarType.STRING:
      return TEXT;
    case ScalarType.BYTES:
      return BYTES;
    case ScalarType.BOOL:
      return fc.boolean();
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT:
      return fc.double();
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
      return UINT64;
    case ScalarType.INT64:
    case ScalarType.SINT64:
    case ScalarType.SFIXED64:
      return INT64;
    default:
      return INT32;
  }
}

/** Roughly how much there is of a value: what is large is tried once with the bounds, not a thousand times here. */
function sizeOf(value: unknown): number {
  if (typeof value === "string" || Array.isArray(value) || value instanceof Uint8Array)
    return value.length * (Array.isArray(value) ? 20 : 1);
  if (typeof value !== "object" || value === null) return 1;
  return Object.values(value).reduce<number>((sum, part) => sum + 10 + sizeOf(part), 0);
}
