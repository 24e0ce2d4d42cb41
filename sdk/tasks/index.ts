// What users import as `mycel/tasks`: the typed inputs and outputs of the stock agent's tasks, and how to send and read messages.
export * from "../../gen/mycel/tasks/v1/code_analysis_pb.ts";
export * from "../../gen/mycel/tasks/v1/data_transform_pb.ts";
export * from "../../gen/mycel/tasks/v1/echo_pb.ts";
export * from "../../gen/mycel/tasks/v1/file_processing_pb.ts";
export * from "../../gen/mycel/tasks/v1/health_check_pb.ts";
export * from "../../gen/mycel/tasks/v1/http_exchange_pb.ts";
export * from "../../gen/mycel/tasks/v1/inference_pb.ts";
export * from "../../gen/mycel/tasks/v1/monitoring_pb.ts";
export * from "../../gen/mycel/tasks/v1/webhook_pb.ts";
export { packMessage, unpackMessage } from "./typed-payload.ts";
