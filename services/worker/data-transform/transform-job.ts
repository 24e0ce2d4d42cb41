// One transformation from the bytes of its input to the bytes of its output. It may take for ever and all of the memory of its process: who
// runs it bounds both.
import { create, fromBinary, fromJson, type JsonValue, toBinary, toJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import type jsonata from "jsonata";
import { DataTransformInputSchema, DataTransformOutputSchema } from "../../../gen/mycel/tasks/v1/data_transform_pb.ts";
import { isDeeper } from "../json-depth.ts";
import { openJsonataRealm } from "./jsonata-realm.ts";
import { OperationError, transformed } from "./operations.ts";

/** Largest result as JSON, in UTF-16 code units. */
const MAX_RESULT_LENGTH = 4 * 1024 * 1024;
/** Deepest nesting of a result: the mesh takes 30 levels, and the result stands in an object. */
const MAX_RESULT_DEPTH = 28;
/** How deep the functions of an expression may call each other, tail calls excepted. */
const MAX_CALL_DEPTH = 1_000;

/** What a transformation came to: the bytes of a DataTransformOutput, or why there is none. */
export type TransformAnswer =
  | { readonly kind: "done"; readonly output: Uint8Array }
  | { readonly kind: "failed"; readonly reason: TransformFailure; readonly message: string };

/** Why a transformation failed. Trying again does not help against any of them. */
export type TransformFailure =
  | "INVALID_INPUT"
  | "TRANSFORM_FAILED"
  | "TRANSFORM_TIMEOUT"
  | "TRANSFORM_TOO_LARGE"
  | "RESULT_TOO_LARGE";

/** Does what the bytes of a DataTransformInput ask for. Never rejects. */
export async function transform(bytes: Uint8Array): Promise<TransformAnswer> {
  const { data, operations, expression } = fromBinary(DataTransformInputSchema, bytes);
  let result: JsonValue;
  try {
    result = transformed(data === undefined ? null : toJson(ValueSchema, data), operations);
  } catch (error) {
    if (!(error instanceof OperationError)) throw error;
    return { kind: "failed", reason: "TRANSFORM_FAILED", message: error.message };
  }
  if (expression === "") return answerOf(result);
  return await evaluated(expression, result);
}

async function evaluated(text: string, data: JsonValue): Promise<TransformAnswer> {
  const { compile, adopt } = openJsonataRealm();
  let expression: jsonata.Expression;
  try {
    expression = compile(text, { stack: MAX_CALL_DEPTH });
  } catch (error) {
    return { kind: "failed", reason: "INVALID_INPUT", message: `invalid input: expression: ${explain(error)}` };
  }
  try {
    const result: unknown = await expression.evaluate(adopt(data));
    return answerOf(result);
  } catch (error) {
    return { kind: "failed", reason: "TRANSFORM_FAILED", message: `expression: ${explain(error)}` };
  }
}

function answerOf(result: unknown): TransformAnswer {
  const text = jsonOf(result);
  if (text === undefined) {
    return {
      kind: "failed",
      reason: "TRANSFORM_FAILED",
      message: "the result has no JSON form: it is or holds a function",
    };
  }
  if (text.length > MAX_RESULT_LENGTH) {
    const message = `the result has ${text.length} characters of JSON, at most ${MAX_RESULT_LENGTH} are allowed`;
    return { kind: "failed", reason: "RESULT_TOO_LARGE", message };
  }
  const json: JsonValue = JSON.parse(text);
  if (isDeeper(json, MAX_RESULT_DEPTH)) {
    const message = `the result is nested deeper than ${MAX_RESULT_DEPTH} levels`;
    return { kind: "failed", reason: "RESULT_TOO_LARGE", message };
  }
  const output = create(DataTransformOutputSchema, { result: fromJson(ValueSchema, json) });
  return { kind: "done", output: toBinary(DataTransformOutputSchema, output) };
}

function jsonOf(result: unknown): string | undefined {
  try {
    return JSON.stringify(result ?? null);
  } catch (error) {
    // JSONata's functions refer to themselves.
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

/** JSONata's errors say where in the expression; they are objects, not always Errors. */
function explain(error: unknown): string {
  if (typeof error !== "object" || error === null || !("message" in error)) return String(error);
  const where = "position" in error && typeof error.position === "number" ? ` (at character ${error.position})` : "";
  // It may quote what the expression or the data hold.
  return `${String(error.message).replace(/\p{Cc}+/gu, " ")}${where}`;
}
