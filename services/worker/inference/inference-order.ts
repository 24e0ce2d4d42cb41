// The input of an `inference` task: what is wrong with it, and what it comes to with the operator's defaults. Pure.
import type { MessageShape } from "@bufbuild/protobuf";
import type { LanguageModelV4CallOptions } from "@ai-sdk/provider";
import type { InferenceInputSchema } from "../../../gen/mycel/tasks/v1/inference_pb.ts";
import type { FieldViolation } from "../../../sdk/agent/index.ts";
import { InputViolations } from "../input-violations.ts";
import { type InferenceSettings, isAllowedModel } from "./provider-settings.ts";

const MAX_MESSAGES = 512;
const MAX_CHAT_LENGTH = 1_000_000;
const MAX_MODEL_LENGTH = 256;
const MAX_OUTPUT_TOKENS = 1_000_000;
const MAX_STOP_SEQUENCES = 16;
const MAX_STOP_LENGTH = 256;
const MAX_SCHEMA_LENGTH = 65_536;
const MAX_TIMEOUT_MS = 3_600_000;
const MAX_STALL_TIMEOUT_MS = 600_000;
// A local server loads its model first.
const DEFAULT_STALL_TIMEOUT_MS = 120_000;

type InferenceInput = MessageShape<typeof InferenceInputSchema>;

/** What one call asks of a model; `abortSignal` is left to whoever makes it. */
export type ModelCall = Omit<LanguageModelV4CallOptions, "abortSignal">;

/** An `inference` task with its defaults. */
export interface InferenceOrder {
  /** The name of the provider. */
  readonly provider: string;
  readonly model: string;
  readonly call: ModelCall;
  /** Whether the answer must be JSON. */
  readonly json: boolean;
  /** The limit of the whole call; undefined for that of the attempt. */
  readonly timeoutMs: number | undefined;
  /** The longest silence. */
  readonly stallTimeoutMs: number;
}

/** What is wrong with the input of an `inference` task. */
export function checkInference(settings: InferenceSettings, input: InferenceInput): readonly FieldViolation[] {
  const violations = new InputViolations();
  checkMessages(violations, input);
  checkModel(violations, settings, input);
  violations.wholeNumber("maxOutputTokens", input.maxOutputTokens, 1, MAX_OUTPUT_TOKENS);
  checkNumber(violations, "temperature", input.temperature, 2);
  checkNumber(violations, "topP", input.topP, 1);
  violations.count("stopSequences", input.stopSequences, 0, MAX_STOP_SEQUENCES);
  for (const [i, text] of input.stopSequences.slice(0, MAX_STOP_SEQUENCES).entries()) {
    if (violations.required(`stopSequences[${i}]`, text))
      violations.maxLength(`stopSequences[${i}]`, text, MAX_STOP_LENGTH);
  }
  violations.oneOf("responseFormat", input.responseFormat === "" ? undefined : input.responseFormat, ["text", "json"]);
  checkSchema(violations, input);
  violations.wholeNumber("timeoutMs", input.timeoutMs, 1, MAX_TIMEOUT_MS);
  violations.wholeNumber("stallTimeoutMs", input.stallTimeoutMs, 1, MAX_STALL_TIMEOUT_MS);
  return violations.found;
}

/** Fills in the defaults of an input that was checked. */
export function inferenceOrder(settings: InferenceSettings, input: InferenceInput): InferenceOrder {
  const { maxOutputTokens, temperature, topP, stopSequences, seed, responseSchema, timeoutMs, stallTimeoutMs } = input;
  const json = input.responseFormat === "json" || responseSchema !== undefined;
  return {
    provider: providerName(settings, input),
    model: modelName(settings, input),
    json,
    timeoutMs,
    stallTimeoutMs: stallTimeoutMs ?? DEFAULT_STALL_TIMEOUT_MS,
    call: {
      prompt: promptOf(input),
      ...(maxOutputTokens === undefined ? {} : { maxOutputTokens }),
      ...(temperature === undefined ? {} : { temperature }),
      ...(topP === undefined ? {} : { topP }),
      ...(stopSequences.length === 0 ? {} : { stopSequences }),
      ...(seed === undefined ? {} : { seed }),
      ...(json
        ? { responseFormat: { type: "json", ...(responseSchema === undefined ? {} : { schema: responseSchema }) } }
        : {}),
    },
  };
}

/** System messages become one: providers differ in how many they take, and where. */
function promptOf({ system, messages }: InferenceInput): LanguageModelV4CallOptions["prompt"] {
  const instructions = [system, ...messages.filter(({ role }) => role === "system").map(({ content }) => content)];
  const above = instructions.filter((text) => text !== "").join("\n\n");
  return [
    ...(above === "" ? [] : [{ role: "system" as const, content: above }]),
    ...messages
      .filter(({ role }) => role !== "system")
      .map(({ role, content }) => ({
        role: role === "assistant" ? ("assistant" as const) : ("user" as const),
        content: [{ type: "text" as const, text: content }],
      })),
  ];
}

function checkMessages(violations: InputViolations, { messages, system }: InferenceInput): void {
  violations.count("messages", messages, 1, MAX_MESSAGES);
  let isChat = false;
  for (const [i, { role, content }] of messages.slice(0, MAX_MESSAGES).entries()) {
    violations.oneOf(`messages[${i}].role`, role, ["user", "assistant", "system"]);
    if (role === "system" && isChat) violations.add(`messages[${i}].role`, "must not be system after other messages");
    if (role !== "system") isChat = true;
    violations.required(`messages[${i}].content`, content);
  }
  if (messages.length > 0 && !isChat) violations.add("messages", "must have one by user or assistant");
  const length = messages.reduce((sum, { content }) => sum + content.length, system.length);
  if (length > MAX_CHAT_LENGTH) {
    violations.add("messages", `must have at most ${MAX_CHAT_LENGTH} characters with system, have ${length}`);
  }
}

function checkModel(violations: InputViolations, settings: InferenceSettings, input: InferenceInput): void {
  const names = settings.providers.map(({ name }): string => name);
  violations.oneOf("provider", input.provider === "" ? undefined : input.provider, names);
  violations.maxLength("model", input.model, MAX_MODEL_LENGTH);
  // Which models there are depends on the provider.
  if (input.provider !== "" && !names.includes(input.provider)) return;
  const model = modelName(settings, input);
  if (model === "") violations.add("model", `must be given: provider ${providerName(settings, input)} has no default`);
  else if (input.model !== "" && !isAllowedModel(settings, model))
    violations.oneOf("model", model, settings.allowedModels);
}

function checkNumber(violations: InputViolations, field: string, value: number | undefined, max: number): void {
  if (value === undefined || (value >= 0 && value <= max)) return;
  violations.add(field, `must be a number from 0 to ${max}, is ${value}`);
}

function checkSchema(violations: InputViolations, { responseFormat, responseSchema }: InferenceInput): void {
  if (responseSchema === undefined) return;
  if (responseFormat === "text") violations.add("responseSchema", "must be left out: responseFormat is text");
  const { length } = JSON.stringify(responseSchema);
  if (length > MAX_SCHEMA_LENGTH) {
    violations.add("responseSchema", `must have at most ${MAX_SCHEMA_LENGTH} characters as JSON, has ${length}`);
  }
}

function providerName({ providers }: InferenceSettings, { provider }: InferenceInput): string {
  return provider === "" ? (providers[0]?.name ?? "") : provider;
}

/** Empty if none was given and there is no default: the default model is the default provider's. */
function modelName(settings: InferenceSettings, input: InferenceInput): string {
  if (input.model !== "") return input.model;
  const isDefault = providerName(settings, input) === settings.providers[0]?.name;
  return (isDefault ? settings.defaultModel : undefined) ?? "";
}
