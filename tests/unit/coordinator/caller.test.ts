import type { HandlerContext } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { callerOf } from "../../../services/coordinator/rpc/caller.ts";
import { valuesOf } from "../../support/principals.ts";

const PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

function traceOf(headers: Record<string, string>): object {
  return callerOf({
    requestHeader: new Headers(headers),
    values: valuesOf(),
  } as Partial<HandlerContext> as HandlerContext).trace;
}

test("a trace context is taken as it came", () => {
  expect(traceOf({ traceparent: PARENT, tracestate: "a=b,c=d" })).toEqual({
    traceparent: PARENT,
    tracestate: "a=b,c=d",
  });
  expect(traceOf({ traceparent: `cc${PARENT.slice(2)}-later` })).toEqual({ traceparent: `cc${PARENT.slice(2)}-later` });
  expect(traceOf({})).toEqual({});
});

test.for([
  "00-<script>-x-y",
  `00-${"0".repeat(32)}-b7ad6b7169203331-01`,
  `00-0af7651916cd43dd8448eb211c80319c-${"0".repeat(16)}-01`,
  `ff${PARENT.slice(2)}`,
  PARENT.toUpperCase(),
  `${PARENT} `.repeat(2),
  "x".repeat(10_000),
])("a traceparent that is none is left out: %s", (traceparent) => {
  expect(traceOf({ traceparent, tracestate: "a=b" })).toEqual({});
});

test("a tracestate that is none is left out alone", () => {
  for (const tracestate of ["é", "x".repeat(513)]) {
    expect(traceOf({ traceparent: PARENT, tracestate })).toEqual({ traceparent: PARENT });
  }
});
