// What users import as `mycel/contract`: the generated messages, enums and services, for code that wants the contract itself.
// Only re-exports; what crosses NATS between coordinators (the task log) is not part of it.
export * from "../gen/mycel/v1/agent_pb.ts";
export * from "../gen/mycel/v1/agent_protocol_pb.ts";
export * from "../gen/mycel/v1/agent_service_pb.ts";
export * from "../gen/mycel/v1/blob_service_pb.ts";
export * from "../gen/mycel/v1/output_pb.ts";
export * from "../gen/mycel/v1/payload_pb.ts";
export * from "../gen/mycel/v1/retry_policy_pb.ts";
export * from "../gen/mycel/v1/task_pb.ts";
